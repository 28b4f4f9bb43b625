"""Whether what a platform gave us is what it should be: a whole file of the right kind (R-086)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from app.canonical.media import File
from app.canonical.media_type import HEAD_BYTES, sniff
from app.errors import BadReply, BrokenTransfer

_BOXED = ("video/mp4", "video/quicktime", "video/3gpp")


def judged(path: Path, kind: str, headers: Mapping[str, str] | None = None) -> File:
    """The file, told from its own bytes. A `BadReply` where it is empty, of another kind or not whole;
    `headers` are those it came with.
    """
    size = os.path.getsize(path)
    if not size:
        raise BadReply("what the platform made is empty")
    said = (headers or {}).get("content-length", "")
    if said.isdecimal() and int(said) != size and not (headers or {}).get("content-encoding"):
        raise BrokenTransfer("the platform's answer ended before it was complete")
    with open(path, "rb") as file:
        media_type = sniff(file.read(HEAD_BYTES)) or ""
    if not media_type.startswith(f"{kind}/"):
        raise BadReply("what the platform made is no {kind}", kind=kind)
    if media_type in _BOXED and not _is_whole(path, size):
        raise BrokenTransfer("the platform's answer ended before it was complete")
    return File(str(path), media_type, size)


def measured(path: Path) -> str:
    """WIDTHxHEIGHT of a film made of boxes, from the first track that has a picture; nothing where it
    does not say.
    """
    with open(path, "rb") as file:
        for moov in _boxes(file, 0, os.path.getsize(path), b"moov"):
            for track in _boxes(file, *moov, b"trak"):
                for _, end in _boxes(file, *track, b"tkhd"):
                    file.seek(end - 8)
                    wide, high = struct.unpack(">HxxHxx", file.read(8))
                    if wide and high:
                        return f"{wide}x{high}"
    return ""


def _boxes(file: BinaryIO, at: int, end: int, wanted: bytes) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes of this name begin and end, among those in between."""
    while at + 8 <= end:
        file.seek(at)
        head = file.read(16)
        length, name, inner = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1:
            length, inner = int.from_bytes(head[8:16], "big"), 16
        elif length == 0:
            length = end - at  # the last one, to the end
        if length < inner or at + length > end:
            return
        if name == wanted and length >= inner + 8:
            yield at + inner, at + length
        at += length


def _is_whole(path: Path, size: int) -> bool:
    """Whether the boxes that such a film is made of fill the file, with an index among them. Where the
    connection's end is the file's, nothing else tells that half of it is missing.
    """
    at, indexed = 0, False
    with open(path, "rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                return False
            length, name = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            elif length == 0:
                length = size - at  # the last one, to the end of the file
            if length < 8:
                return False
            indexed = indexed or name in (b"moov", b"moof")
            at += length
    return indexed and at == size
