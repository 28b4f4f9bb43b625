"""What one picture, or one second of film, costs by what it is like.

A line of a menu names a quality, a size, a resolution, several of them or none. The line that says
most of what was made counts; of two that say as much, the dearer one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.ledger.units import Units

ANY = "*"  # what a line is called that names nothing
Words = tuple[str, str, str]  # quality, size, resolution; empty = whatever it is

_SIZE = re.compile(r"\d+x\d+", re.ASCII)
_WORD = re.compile(r"[\w.-]+", re.ASCII)
_RESOLUTION = re.compile(r"\d+[kp]?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Menu:
    """Lines with their prices in micro-units, of which there is at least one."""

    lines: tuple[tuple[Words, int], ...]

    def price(self, units: Units) -> int:
        """What one costs; as much as the dearest where no line is about such a one."""
        asked = units.words()
        fitting = [line for line in self.lines if _fits(line[0], asked)]
        if not fitting:
            return self._dearest()
        most = max(_said(words) for words, _ in fitting)
        return max(price for words, price in fitting if _said(words) == most)

    def most(self, units: Units) -> int:
        """The most that one can cost, while some of what it will be like is not known yet."""
        asked = units.words()
        if not any(_fits(words, asked) for words, _ in self.lines):
            return self._dearest()
        return max(price for words, price in self.lines if _may_fit(words, asked))

    def covers(self, units: Units) -> bool:
        """Whether some line is, or may yet be, about such a one."""
        asked = units.words()
        return any(_may_fit(words, asked) for words, _ in self.lines)

    def told(self) -> dict[str, int]:
        """The lines by what they say, as a price file writes it."""
        return {written(words): price for words, price in self.lines}

    def _dearest(self) -> int:
        return max(price for _, price in self.lines)


def read(line: str) -> Words:
    """What a line says, from words such as `high 1536x1024` or `720p`; `ValueError` if it says a
    thing twice.
    """
    said = ["", "", ""]
    for word in () if line == ANY else line.lower().split(" "):
        place = 1 if _SIZE.fullmatch(word) else 2 if _RESOLUTION.fullmatch(word) else 0
        if said[place] or not _WORD.fullmatch(word):
            raise ValueError(line)
        said[place] = word
    return said[0], said[1], said[2]


def written(words: Words) -> str:
    return " ".join(word for word in words if word) or ANY


def _said(words: Words) -> int:
    return sum(map(bool, words))


def _fits(words: Words, asked: Words) -> bool:
    return all(not word or word == one for word, one in zip(words, asked, strict=True))


def _may_fit(words: Words, asked: Words) -> bool:
    return all(not word or not one or word == one for word, one in zip(words, asked, strict=True))
