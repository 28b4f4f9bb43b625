"""JSON with files in it, read without holding the files: long base64 texts end up on disk, and what
is left is small.

A text is lifted if it is long and all base64, with or without `data:` before it. What is around it
is read as JSON always is, so what is damaged is refused as ever.
"""

from __future__ import annotations

import base64
import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from app.spool import Spool

LEAST = 1 << 15  # characters; shorter texts stay where they are
DEEPEST = 64  # levels
_PIECE = 1 << 18  # characters, a multiple of four
_MARK = "\ufdd0"  # a code point that is set aside for such uses
_MARKED = _MARK.encode()
_DATA_URL = re.compile(rb"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_ALPHABET = re.compile(rb"[A-Za-z0-9+/_-]*={0,2}")


@dataclass(frozen=True, slots=True)
class Lifted:
    """What a text held, in a file. `declared` is what a data URL called it."""

    path: Path
    size: int
    declared: str = ""


def lifted(path: Path, spool: Spool) -> Any:
    """What the JSON in a file says, with a `Lifted` in place of each long base64 text. A ValueError
    where it is not JSON.
    """
    with open(path, "rb") as file:
        if not (size := path.stat().st_size):
            raise ValueError("there is nothing in it")
        with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
            found: list[Lifted] = []
            rest = bytearray()
            at = 0
            for start, end in _long_texts(data):
                if (one := _decoded(data, start, end, spool)) is not None:
                    rest += data[at:start] + b"%s%d" % (_MARKED, len(found))
                    found.append(one)
                    at = end
            rest += data[at:]
    return _put_back(orjson.loads(rest), found)


def on_disk(value: Any, spool: Spool) -> Lifted:
    """What a field of base64 holds, whether its text was lifted or too short for that. A ValueError
    where it is not base64.
    """
    if isinstance(value, Lifted):
        return value
    if not isinstance(value, str) or not _ALPHABET.fullmatch(text := value.encode()):
        raise ValueError("that is not base64")
    data = _bytes(text)
    return Lifted(spool.keep(data), len(data))


def _long_texts(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    start = data.find(b'"')
    while start >= 0:
        start += 1
        end = data.find(b'"', start)
        while end > 0 and _is_escaped(data, start, end):
            end = data.find(b'"', end + 1)
        if end < 0:
            return
        if end - start >= LEAST:
            yield start, end
        start = data.find(b'"', end + 1)


def _is_escaped(data: mmap.mmap, start: int, end: int) -> bool:
    """Whether an odd number of backslashes stands before it."""
    at = end
    while at > start and data[at - 1] == 0x5C:
        at -= 1
    return (end - at) % 2 == 1


def _decoded(data: mmap.mmap, start: int, end: int, spool: Spool) -> Lifted | None:
    """The text in a file; None where it is not base64."""
    head = _DATA_URL.match(data[start : start + 200].replace(b"\\/", b"/"))
    declared = ""
    if head is not None:
        declared = (head[1] or b"").decode().lower()
        start = data.find(b",", start) + 1
    path, left, size = spool.new(), b"", 0
    with open(path, "wb") as file:
        for at in range(start, end, _PIECE):
            piece = left + data[at : min(at + _PIECE, end)].replace(b"\\/", b"/")
            whole = len(piece) if at + _PIECE >= end else len(piece) // 4 * 4
            if not _ALPHABET.fullmatch(piece) or len(piece[:whole].rstrip(b"=")) % 4 == 1:
                path.unlink()
                return None
            piece, left = piece[:whole], piece[whole:]
            size += file.write(_bytes(piece))
    return Lifted(path, size, declared)


def _bytes(piece: bytes) -> bytes:
    """Both alphabets, and without the padding that some leave out."""
    piece = piece.rstrip(b"=").translate(_STANDARD)
    return base64.b64decode(piece + b"=" * (-len(piece) % 4))


_STANDARD = bytes.maketrans(b"-_", b"+/")


def _put_back(value: Any, found: list[Lifted], level: int = 1) -> Any:
    if isinstance(value, (dict, list)) and level > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        return {name: _put_back(one, found, level + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_put_back(one, found, level + 1) for one in value]
    if isinstance(value, str) and value[:1] == _MARK:
        place = value[1:]
        if place.isascii() and place.isdecimal() and int(place) < len(found):
            return found[int(place)]
    return value
