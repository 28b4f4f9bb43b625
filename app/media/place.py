"""Where files are put: what each kind of place can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

from app.errors import NotFound

PIECE = 1 << 18  # bytes read, hashed and sent at a time

NOTHING = "there is nothing at this path"

_OURS = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{3,4}")


class Place(Protocol):
    """Keeps files under names of ours. Nothing is there until it is there whole."""

    def put(self, name: str, path: str) -> str:
        """Copies the file at `path`; the SHA-256 of what was copied."""

    def open(self, name: str, size: int, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end` in pieces, of a file that has `size` of them; close it if
        it is not read to its end. Raises `NotFound` at once where there is no such file.
        """

    def remove(self, name: str) -> None:
        """Removes it, and what is left of it; nothing happens if there is nothing."""

    def free(self) -> int | None:
        """Bytes that there is room for; None if nobody knows."""


def checked(name: str) -> str:
    """The name, if it is one of ours; nothing else ever becomes part of a path (R-091)."""
    if not name.isascii() or not _OURS.fullmatch(name):
        raise NotFound(NOTHING)
    return name
