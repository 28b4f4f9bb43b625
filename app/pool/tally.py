"""How much of its limits somebody has used: of the requests and tokens of this minute and day, and of
the calls at a time. Where that is counted, and with whom, is each tally's own business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.days import DAY
from app.limits import Limits
from app.pool.hindrance import Hindrance
from app.pool.window import MINUTE, Window


@dataclass(frozen=True, slots=True)
class Draw:
    """What a call takes. How many tokens it comes to is not known yet: these are held for it."""

    requests: int = 1
    tokens: int = 0
    calls: int = 1


@dataclass(frozen=True, slots=True)
class Used:
    """What counts by now, of a minute and of a day, and the calls that are going."""

    minute_requests: int = 0
    minute_tokens: int = 0
    day_requests: int = 0
    day_tokens: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """A draw that was granted, in this minute and day; `used` is with it. `seat` is its place among the
    calls of all hosts, and `here` what its own host has counted beside that.
    """

    name: str
    draw: Draw
    minute: int
    day: int
    used: Used
    seat: str = ""
    here: Taken | None = None


UNCOUNTED = Taken("", Draw(0, 0, 0), 0, 0, Used())  # of who has no limits


class Tally(Protocol):
    @property
    def window(self) -> Window:
        """What counts of a minute."""

    def start(self) -> None:
        """Once, in the process that counts."""

    def take(self, name: str, draw: Draw, limits: Limits, now: float) -> Taken | Hindrance:
        """Counts all of it, or nothing and says which limit is used up: in one step, whoever else
        counts.
        """

    def give(self, taken: Taken, tokens: int, now: float, *, at_leisure: bool = False) -> None:
        """The call is over and came to so many tokens. What was held beyond that is free again, as
        long as the minute lasts. `at_leisure` does not wait for anybody.
        """

    def used(self, name: str, now: float) -> Used:
        """What is counted at this moment, as far as this host knows."""


def over(used: Used, draw: Draw, limits: Limits, now: float) -> Hindrance | None:
    """The limit that has no room for this draw, if one has none. Whoever wants more than there can ever
    be is let in where nothing is used: what is held is an estimate.
    """
    for kind, had, wanted, most, of in (
        ("rpd", used.day_requests, draw.requests, limits.rpd, DAY),
        ("tpd", used.day_tokens, draw.tokens, limits.tpd, DAY),
        ("rpm", used.minute_requests, draw.requests, limits.rpm, MINUTE),
        ("tpm", used.minute_tokens, draw.tokens, limits.tpm, MINUTE),
        ("concurrency", used.calls, draw.calls, limits.concurrency, 0),
    ):
        if most is not None and had + asked(wanted, most) > most:
            return Hindrance(kind, f"{had} of {most} used", next_turn(now, of) if of else now)
    return None


def asked(wanted: int, most: int) -> int:
    """For how much there must be room."""
    return min(max(wanted, 1), most)


def next_turn(now: float, of: int) -> float:
    """When the next minute or day of the clock begins."""
    return (now // of + 1) * of
