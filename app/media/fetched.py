"""Whether what a platform gave us is what it should be: a whole file of the right kind (R-086)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

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
