"""Where in a worker's column what is counted: every place is known before anything is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import accumulate, product

from app.metrics.blame import BLAMES, KINDS
from app.metrics.family import BOUNDS, COUNTED, NONE, Family, Kind

Labels = tuple[str, ...]
WIDTHS: Mapping[Kind, int] = {"counter": 1, "gauge": 1, "histogram": len(BOUNDS) + 2}
_SUM = len(BOUNDS) + 1  # behind the buckets, the last of which has no bound


class Layout:
    """The places of all families. `platforms` and `dialects` are the words that their labels can be;
    whatever else comes is `NONE`.
    """

    def __init__(self, platforms: Iterable[str], dialects: Iterable[str]) -> None:
        words: dict[str, Sequence[str]] = {
            "platform": (*sorted(platforms), NONE),
            "dialect": (*sorted(dialects), NONE),
            "status": ("2xx", "3xx", "4xx", "5xx"),
            "stream": ("true", "false"),
            "blame": BLAMES,
            "kind": KINDS,
            "of": ("input", "output", "cached", "reasoning"),
        }
        self.platforms = frozenset(words["platform"])
        self.dialects = frozenset(words["dialect"])
        self.places: dict[str, dict[Labels, int]] = {}
        self.size = 0  # numbers
        for family in COUNTED:
            choices = [words[label] for label in family.labels]
            self.places[family.name] = self._placed(family, choices)
        said = repr([*self.places.items(), BOUNDS]).encode()
        self.name = blake2b(said, digest_size=4).hexdigest()  # no other layout has it

    def _placed(self, family: Family, choices: list[Sequence[str]]) -> dict[Labels, int]:
        width = WIDTHS[family.kind]
        found = {}
        for labels in product(*choices):
            found[labels] = self.size
            self.size += width
        return found

    def of(self, family: Family) -> dict[Labels, int]:
        """The places of one family, by its labels."""
        return self.places[family.name]


def observe(values: memoryview[float], at: int, seconds: float) -> None:
    """Counts one time among those of the histogram there."""
    values[at + bisect_left(BOUNDS, seconds)] += 1.0
    values[at + _SUM] += seconds


def histogram(values: Sequence[float], at: int) -> tuple[list[float], float]:
    """How many times there were up to each bound and in all, and their sum."""
    return list(accumulate(values[at : at + _SUM])), values[at + _SUM]
