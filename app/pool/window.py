"""Which requests and tokens count for a limit of a minute: those of the minute of the clock, or, where
it slides, of the sixty seconds before.

Nobody keeps when each of them was. What slides out is taken for spread evenly over the minute before,
and what is left of that is rounded up. So at the turn of a minute nobody has twice a limit at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

MINUTE = 60


class Minutes(NamedTuple):
    """What was counted in the minute of this number, and in the one before it."""

    number: int
    now: int
    before: int


WindowName = Literal["fixed", "sliding"]


@dataclass(frozen=True, slots=True)
class Window:
    name: WindowName = "fixed"

    def used(self, counted: Minutes, now: float) -> int:
        """How much of a limit is used."""
        if self.name == "fixed":
            return counted.now
        left = (counted.number + 1) * MINUTE - now
        return counted.now + math.ceil(counted.before * min(max(left, 0.0), MINUTE) / MINUTE)

    def room(self, counted: Minutes, wanted: int, most: int, now: float) -> float:
        """When there is room for so much more, if nobody else takes it."""
        turn = (counted.number + 1) * MINUTE
        if self.name == "fixed":
            return turn
        free, leaving = most - wanted - counted.now, counted.before
        if free < 0 or not leaving:  # not before what was counted in this minute slides out too
            turn, free, leaving = turn + MINUTE, most - wanted, counted.now
        return max(turn - free * MINUTE / max(leaving, 1), now)

    def ends(self, now: float) -> float:
        """When nothing of what is used now counts any more."""
        turn = (now // MINUTE + 1) * MINUTE
        return turn if self.name == "fixed" else turn + MINUTE


FIXED, SLIDING = Window("fixed"), Window("sliding")
WINDOWS: dict[str, Window] = {one.name: one for one in (FIXED, SLIDING)}
