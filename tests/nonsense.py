"""JSON of any shape, for readers that must take it or refuse it.

What hypothesis puts together itself takes it a draw for every branch and leaf, some 10 ms a value, while
the reader takes microseconds. Here a value is one draw: the number it is made from. So the same time is
good for twenty times as many values; a value that breaks a reader is shown as it is, though not made
smaller.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

EDGES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    0.0,
    -0.5,
    1e308,
    2**53,
    2**60,
    "",
    " ",
    "0",
    "null",
    "\0",
    "é",
    "😀",
)
NUMBERS_BEYOND = (float("nan"), float("inf"), float("-inf"), 2**64, -(10**30), sys.float_info.min)


def nonsense(
    names: Sequence[str], words: Sequence[str] = (), *, leaves: int = 12, beyond: bool = False
) -> st.SearchStrategy[Any]:
    """Values whose objects have these names or, now and then, any; `words` stand among the texts, and
    numbers that JSON or 64 bits have no room for if it goes `beyond`.
    """
    maker = _Maker(names, [*EDGES, *words, *words, *(NUMBERS_BEYOND if beyond else ())])
    return st.integers(0, 2**64 - 1).map(lambda seed: maker.value(Random(seed), leaves))


class _Maker:
    def __init__(self, names: Sequence[str], edges: Sequence[Any]) -> None:
        self._names, self._edges = names, edges

    def value(self, chance: Random, leaves: int) -> Any:
        """A value with about so many leaves at most."""
        shape = chance.random()
        if leaves < 2 or shape < 0.35:
            return self._leaf(chance)
        size = chance.randint(0, 4)
        values = [self.value(chance, leaves // (size or 1)) for _ in range(size)]
        return values if shape < 0.55 else {self._name(chance): value for value in values}

    def _name(self, chance: Random) -> str:
        return chance.choice(self._names) if chance.random() < 0.95 else _text(chance)

    def _leaf(self, chance: Random) -> Any:
        kind = chance.random()
        if kind < 0.6:
            return chance.choice(self._edges)
        if kind < 0.75:
            return chance.getrandbits(chance.choice((3, 16, 60))) * chance.choice((1, -1))
        return chance.uniform(-3, 3) if kind < 0.8 else _text(chance)


def _text(chance: Random) -> str:
    """Up to six letters of any kind that UTF-8 has, most of them plain."""
    most = chance.choice((0x7F, 0x7F, 0xD7FF, 0x10FFFF))
    letters = (chance.randint(0, most) for _ in range(chance.randint(0, 6)))
    return "".join(chr(one) for one in letters if not 0xD800 <= one <= 0xDFFF)
