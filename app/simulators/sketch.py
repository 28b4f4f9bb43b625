"""What a simulated picture shows: bands of colour from top to bottom and a pattern of squares.

Both follow from the words, so that the same prompt gives the same picture and another prompt one
that looks different. A picture is told as stripes of equal rows, which is why even a large one is
written at once by `png`, `jpeg` and `webp`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import groupby

BANDS = 48
SQUARES = 8

Colour = tuple[int, int, int, int]  # red, green, blue, and how opaque


@dataclass(frozen=True, slots=True)
class Stripe:
    """So many equal rows, each of these runs of one colour."""

    rows: int
    runs: tuple[tuple[int, Colour], ...]


def sketch(width: int, height: int, words: str, transparent: bool = False) -> list[Stripe]:
    """The picture from top to bottom; every stripe is as wide as the picture."""
    seed = hashlib.sha512(words.encode("utf-8", "surrogatepass")).digest()
    bands = min(BANDS, height)
    rows = [(y * SQUARES // height, y * bands // height) for y in range(height)]
    stripes = []
    for (square, band), equal in groupby(rows):
        ground = _ground(band / max(1, bands - 1), seed, transparent)
        stripes.append(Stripe(len(list(equal)), _runs(width, square, ground, seed)))
    return stripes


def _runs(width: int, row: int, ground: Colour, seed: bytes) -> tuple[tuple[int, Colour], ...]:
    edges = [place * width // SQUARES for place in range(SQUARES + 1)]
    runs: list[tuple[int, Colour]] = []
    for place in range(SQUARES):
        size, colour = edges[place + 1] - edges[place], _ink(place, row, seed) or ground
        if runs and runs[-1][1] == colour:
            size += runs.pop()[0]
        if size:
            runs.append((size, colour))
    return tuple(runs)


def _ink(place: int, row: int, seed: bytes) -> Colour | None:
    """What a square is drawn in, if it is. Left and right mirror each other, the rim stays free."""
    column = min(place, SQUARES - 1 - place)
    if not column or row in (0, SQUARES - 1):
        return None
    drawn = seed[12 + column * SQUARES + row]
    return None if drawn % 2 else _colour(seed[6:9] if drawn % 4 else seed[9:12])


def _ground(part: float, seed: bytes, transparent: bool) -> Colour:
    if transparent:
        return (0, 0, 0, 0)
    top, bottom = seed[0:3], seed[3:6]
    red, green, blue = (
        round(above + (below - above) * part) for above, below in zip(top, bottom, strict=True)
    )
    return (red, green, blue, 255)


def _colour(three: bytes) -> Colour:
    return (three[0], three[1], three[2], 255)
