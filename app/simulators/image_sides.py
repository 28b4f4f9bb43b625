"""How wide and how high a picture is that somebody sent: PNG, JPEG and WebP, by their heads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

PNG, RIFF, JPEG = b"\x89PNG\r\n\x1a\n", b"RIFF", b"\xff\xd8"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers that tell the size

Sides = tuple[int, int]


def sides(data: bytes) -> Sides | None:
    """Width and height; None when these bytes do not tell them."""
    readers: dict[bytes, Callable[[bytes], Sides | None]] = {PNG: _png, JPEG: _jpeg, RIFF: _webp}
    for head, read in readers.items():
        if data.startswith(head):
            found = read(data)
            return found if found and all(found) else None
    return None


def nearest(width: float, height: float, ratios: Sequence[str]) -> str:
    """The ratio that is closest to these sides."""

    def distance(ratio: str) -> float:
        across, down = ratio.split(":")
        return abs(math.log(width / height) - math.log(float(across) / float(down)))

    return min(ratios, key=distance)


def _png(data: bytes) -> Sides:
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def _jpeg(data: bytes) -> Sides | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in FRAMES:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(
                data[at + 5 : at + 7], "big"
            )
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _webp(data: bytes) -> Sides | None:
    kind = data[12:16]
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return (
            int.from_bytes(data[24:27], "little") + 1,
            int.from_bytes(data[27:30], "little") + 1,
        )
    if kind == b"VP8 ":
        return (
            int.from_bytes(data[26:28], "little") & 0x3FFF,
            int.from_bytes(data[28:30], "little") & 0x3FFF,
        )
    return None
