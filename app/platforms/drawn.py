"""What a platform does not say of the pictures that it made, told from themselves (C-172)."""

from __future__ import annotations

from collections.abc import Iterable

from app.canonical.media import File, Picture
from app.canonical.media_type import sides

LONGEST_HEAD = 1 << 20  # bytes; a JPEG may keep its size behind as much metadata


def size_of(pictures: Iterable[Picture]) -> str:
    """WIDTHxHEIGHT of all of them; nothing where they differ."""
    return _same(_size(picture.file) for picture in pictures)


def format_of(pictures: Iterable[Picture]) -> str:
    """The format of all of them, as callers ask for it."""
    return _same(picture.file.media_type.removeprefix("image/") for picture in pictures)


def _size(file: File) -> str:
    with open(file.path, "rb") as opened:
        found = sides(opened.read(LONGEST_HEAD), file.media_type)
    return f"{found[0]}x{found[1]}" if found else ""


def _same(values: Iterable[str]) -> str:
    found = set(values)
    return found.pop() if len(found) == 1 else ""
