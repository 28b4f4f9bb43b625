"""JSON with files in it, read as it comes and without holding the files: long base64 texts end up on
disk, and what is left is small.

A text is lifted if it is long and all base64, with or without `data:` before it. What is around it
is read as JSON always is, so what is damaged is refused as ever. Events with JSON in them are read
alike: a text never goes beyond its line.

Work that could go on for a while gives way to others in between (R-048).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from app.spool import Spool
from app.turn import give_way

LEAST = 1 << 15  # characters; shorter texts stay where they are
MOST_TEXT = 1 << 20  # bytes; longer texts that are no base64 are of no use to anybody
MOST_LEFT = 4 << 20  # bytes that may be left when all files are lifted
DEEPEST = 64  # levels
_PIECE = 1 << 18  # characters
_MARK = "\ufdd0"  # a code point that is set aside for such uses
_MARKED = _MARK.encode()
_BACKSLASH = ord("\\")
_DATA_URL = re.compile(rb"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
_STANDARD = bytes.maketrans(b"-_", b"+/")


class Overfull(ValueError):
    """There is more than `MOST_LEFT` beside the files."""


@dataclass(frozen=True, slots=True)
class Lifted:
    """What a text held, in a file. `declared` is what a data URL called it."""

    path: Path
    size: int
    declared: str = ""


@dataclass(frozen=True, slots=True)
class Unread:
    """Stands where a text was that is too long for one and is not base64 either."""

    size: int


class Lifter:
    """Takes JSON, or events, in pieces; gives what is left of them, with a mark for each long text."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._found: list[Lifted | Unread] = []
        self._inside = False  # of a text
        self._escapes = False  # whether what comes next is escaped
        self._held = bytearray()
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    def feed(self, data: bytes) -> bytes:
        """What is left, up to the last text that is over."""
        left, at = bytearray(), 0
        while at < len(data):
            if self._inside:
                end = self._end(data, at)
                self._take(data[at:end])
                if end < len(data):
                    left += self._text()
                    self._inside = False
                    left.append(data[end])
                    end += 1
            else:
                end = data.find(b'"', at) + 1
                self._inside, self._escapes = end > 0, False
                end = end or len(data)
                left += data[at:end]
            at = end
        return bytes(left)

    def finish(self) -> bytes:
        """What is left of a text that did not come to its end."""
        return self._text() if self._inside else b""

    def put_back(self, value: Any, level: int = 1) -> Any:
        """What was read from what is left, with what was lifted in the place of each mark."""
        if isinstance(value, (dict, list)) and level > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        if isinstance(value, dict):
            return {name: self.put_back(one, level + 1) for name, one in value.items()}
        if isinstance(value, list):
            return [self.put_back(one, level + 1) for one in value]
        if isinstance(value, str) and value[:1] == _MARK:
            place = value[1:]
            if place.isascii() and place.isdecimal() and int(place) < len(self._found):
                return self._found[int(place)]
        return value

    def _end(self, data: bytes, at: int) -> int:
        """Where the text ends: at a quote, or with its line; the end of the data if it does not."""
        end = data.find(b'"', at)
        while end >= 0 and self._is_escaped(data, at, end):
            end = data.find(b'"', end + 1)
        end = end if end >= 0 else len(data)
        line = data.find(b"\n", at, end)
        if line >= 0:
            return line
        if end == len(data):
            self._escapes = self._is_escaped(data, at, end)
        return end

    def _is_escaped(self, data: bytes, start: int, end: int) -> bool:
        """Whether an odd number of backslashes stands before it."""
        at = end
        while at > start and data[at - 1] == _BACKSLASH:
            at -= 1
        return (end - at + (self._escapes and at == start)) % 2 == 1

    def _take(self, piece: bytes) -> None:
        if self._file is None:
            self._held += piece
            if len(self._held) < LEAST:
                return
            self._path = self._spool.new()
            self._file = open(self._path, "wb")
            piece, self._held = bytes(self._held), bytearray()
        self._file.write(piece)

    def _text(self) -> bytes:
        """The text that is over, or the mark that stands for it."""
        if self._file is None or self._path is None:
            text, self._held = bytes(self._held), bytearray()
            return text
        self._file.close()
        self._file = None
        found = read_text(self._path, self._spool)
        if isinstance(found, bytes):
            return found
        self._found.append(found)
        return b"%s%d" % (_MARKED, len(self._found) - 1)


def lifted(
    pieces: Iterable[bytes], spool: Spool, read: Callable[[bytes], Any] = orjson.loads
) -> Any:
    """What the JSON says that comes in these pieces, with a `Lifted` in place of each long base64 text.
    A ValueError where it is not JSON.
    """
    lifter, left = Lifter(spool), bytearray()
    for piece in pieces:
        left += lifter.feed(piece)
        if len(left) > MOST_LEFT:
            raise Overfull("there is too much in it")
    left += lifter.finish()
    return lifter.put_back(read(bytes(left)))


def read_text(path: Path, spool: Spool) -> Lifted | Unread | bytes:
    """What a file with a long text holds, or the text itself; the file is gone then."""
    try:
        if (found := _decoded(path, spool)) is not None:
            return found
        size = path.stat().st_size
        return path.read_bytes() if size <= MOST_TEXT else Unread(size)
    finally:
        path.unlink()


def on_disk(value: Any, spool: Spool) -> Lifted:
    """What a field of base64 holds, whether its text was lifted or too short for that. A ValueError
    where it is not base64.
    """
    if isinstance(value, Lifted):
        return value
    if not isinstance(value, str) or (data := _bytes(value.encode())) is None:
        raise ValueError("that is not base64")
    return Lifted(spool.keep(data), len(data))


def _decoded(path: Path, spool: Spool) -> Lifted | None:
    """The text's bytes in a file; None where it is not base64."""
    held, size, is_padded = spool.new(), 0, False
    with open(path, "rb") as text, open(held, "wb") as file:
        declared = _declared(text)
        for piece in _quads(text):
            data = None if piece and is_padded else _bytes(piece)
            if data is None:
                held.unlink()
                return None
            is_padded = is_padded or piece.endswith(b"=")
            size += file.write(data)
            give_way()
    return Lifted(held, size, declared)


def _declared(text: BinaryIO) -> str:
    """What a data URL calls what is in it; `text` is behind its head then."""
    start = text.read(200)
    head = _DATA_URL.match(start.replace(b"\\/", b"/"))
    text.seek(0 if head is None else start.find(b",") + 1)
    return "" if head is None else (head[1] or b"").decode().lower()


def _quads(text: BinaryIO) -> Iterator[bytes]:
    """The characters by fours, and at last what is left; without escapes and the ends of lines."""
    left = b""
    while piece := text.read(_PIECE):
        piece = left + piece
        half = b"\\" if piece.endswith(b"\\") else b""  # of an escape
        piece = piece[: len(piece) - len(half)].replace(b"\\/", b"/")
        piece = piece.replace(b"\\n", b"").replace(b"\\r", b"").translate(None, b"\r\n")
        whole = len(piece) // 4 * 4
        yield piece[:whole]
        left = piece[whole:] + half
    yield left


def _bytes(text: bytes) -> bytes | None:
    """Both alphabets, and without the padding that some leave out; None where it is neither."""
    bare = text.rstrip(b"=")
    if bare.translate(None, _ALPHABET) or len(bare) % 4 == 1 or len(text) - len(bare) > 2:
        return None
    return base64.b64decode(bare.translate(_STANDARD) + b"=" * (-len(bare) % 4))
