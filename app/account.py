"""What a licence has used of what it may use, and what is held back for calls that are on their way.

Nothing here knows of tables: whoever keeps an account changes it where nobody else can at the same
moment. What is used and held never exceeds what is
allowed, as long as no call uses more than was held for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from app.days import month_of
from app.limits import Allowance
from app.money import MILLION

MOST_OUTPUT = (
    10**12
)  # tokens; no answer is that long, and thousands of them are still a number for a database

Shortage = Literal["rpd", "tpd", "day", "month", "total", "credit", "expired"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a call may come to: tokens in, at most so many out, and money: `base` whatever comes out,
    and `rate` for each million tokens that do. With fewer than `least` tokens it makes no sense.
    """

    input: int = 0
    output: int = 0
    base: int = 0
    rate: int = 0
    least: int = 1

    def money(self, output: int) -> int:
        return self.base + -(-output * self.rate // MILLION)


@dataclass(frozen=True, slots=True)
class Today:
    """What a licence has used of its day, with what is held back."""

    calls: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """What is held back for a call, which may give `output` tokens; `today` is with it."""

    tokens: int = 0
    money: int = 0
    output: int = 0
    today: Today = field(default=Today(), compare=False)


class Short(Exception):
    """There is too little left. `held` = it may yet come back from calls that are on their way."""

    def __init__(self, of: Shortage, today: Today, *, held: bool = False) -> None:
        super().__init__(of)
        self.of: Shortage = of
        self.today = today
        self.held = held


@dataclass(slots=True)
class Account:
    """Days and months as `month_of` numbers them."""

    day: int = 0
    day_calls: int = 0
    day_tokens: int = 0
    day_money: int = 0
    month: int = 0
    month_money: int = 0
    total_money: int = 0
    held_tokens: int = 0
    held_money: int = 0

    def turn(self, day: int) -> None:
        """Begins anew where a day or a month has. A clock that goes back changes nothing."""
        if day <= self.day:
            return
        self.day, self.day_calls, self.day_tokens, self.day_money = day, 0, 0, 0
        if (month := month_of(day)) > self.month:
            self.month, self.month_money = month, 0

    def take(self, allowance: Allowance, claim: Claim, now: float) -> Hold:
        """Holds back what the call may come to, or as much of its output as there is room for.
        Raises `Short` where not even the least may come out.
        """
        limits = allowance.limits
        if limits.rpd is not None and self.day_calls >= limits.rpd:
            raise Short("rpd", self._today())
        output = min(claim.output, MOST_OUTPUT)
        least = min(output, claim.least)
        if limits.tpd is not None:
            room = limits.tpd - self.day_tokens - self.held_tokens - claim.input
            if room < least or room < 0:
                raise Short("tpd", self._today(), held=room + self.held_tokens >= least)
            output = min(output, room)
        if allowance.counts_money:
            output = self._affordable(allowance, claim, output, now)
        tokens, money = claim.input + output, claim.money(output)
        self.day_calls += 1
        self.held_tokens += tokens
        self.held_money += money
        return Hold(tokens, money, output, self._today())

    def _today(self) -> Today:
        return Today(self.day_calls, self.day_tokens + self.held_tokens)

    def _affordable(self, allowance: Allowance, claim: Claim, output: int, now: float) -> int:
        if allowance.credit_until is not None and now >= allowance.credit_until:
            raise Short("expired", self._today())
        least = claim.money(min(output, claim.least))
        for of, used, most in self._purses(allowance):
            if most is None:
                continue
            left = most - used
            room = left - self.held_money
            # Where nothing is left, not even what costs nothing is given: nobody can tell beforehand.
            if room < least or left <= 0:
                raise Short(of, self._today(), held=left > 0 and left >= least)
            if claim.rate:
                output = min(output, (room - claim.base) * MILLION // claim.rate)
        return output

    def _purses(self, allowance: Allowance) -> tuple[tuple[Shortage, int, int | None], ...]:
        return (
            ("credit", self.total_money, allowance.credit),
            ("total", self.total_money, allowance.total),
            ("month", self.month_money, allowance.month),
            ("day", self.day_money, allowance.day),
        )

    def settle(self, hold: Hold, tokens: int, money: int) -> None:
        """The call is over and has used this much."""
        self.held_tokens = max(self.held_tokens - hold.tokens, 0)
        self.held_money = max(self.held_money - hold.money, 0)
        self.day_tokens += tokens
        self.day_money += money
        self.month_money += money
        self.total_money += money
