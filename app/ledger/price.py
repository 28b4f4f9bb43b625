"""What a model costs, and what a call therefore costs.

Everything is a whole number of micro-units, millionths of the currency: per million tokens, per
picture, per second of film, per call. Nothing is rounded but the sum, once, upwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from app.canonical.events import Usage
from app.ledger.menu import Menu, read
from app.ledger.units import MOST_THINGS, NOTHING, Units, counted, milliseconds
from app.money import MILLION

THOUSAND = 10**3


@dataclass(frozen=True, slots=True)
class Rates:
    """What a million tokens of each kind cost in a call of more than `above` input tokens."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int
    above: int = 0

    def told(self) -> dict[str, int]:
        return {
            "input": self.input,
            "output": self.output,
            "cache_read": self.cache_read,
            "cache_write": self.cache_write,
            "reasoning": self.reasoning,
            "above": self.above,
        }

    def cost(self, usage: Usage) -> int:
        """In millionths of a micro-unit. What a platform counts as part of another count is never
        more than that.
        """
        given, made = counted(usage.input), counted(usage.output)
        cached = min(counted(usage.cached), given)
        kept = min(counted(usage.cache_write), given - cached)
        thought = min(counted(usage.reasoning), made)
        return (
            (given - cached - kept) * self.input
            + cached * self.cache_read
            + kept * self.cache_write
            + (made - thought) * self.output
            + thought * self.reasoning
        )


@dataclass(frozen=True, slots=True)
class Price:
    """The unit prices of one model in one edition of a price file. It never changes: a call that
    took one when it began is charged by it, whatever is in force by then (R-066).
    """

    version: str
    currency: str
    rates: tuple[Rates, ...] = ()  # the lowest `above` first
    picture: Menu | None = None
    second: Menu | None = None
    request: int = 0

    def charge(self, usage: Usage, units: Units = NOTHING) -> int:
        """What the call costs; raises `NotCountable` for what is no quantity."""
        pictures, length = _amounts(units)
        cost = self.request * MILLION + self._applying(counted(usage.input)).cost(usage)
        if self.picture:
            cost += pictures * self.picture.price(units) * MILLION
        if self.second:
            cost += length * self.second.price(units) * THOUSAND
        return _rounded_up(cost)

    def most(self, input_tokens: int, output_tokens: int, units: Units = NOTHING) -> int:
        """The most that a call of no more than this can cost, however its tokens are counted."""
        pictures, length = _amounts(units)
        given, made = counted(input_tokens), counted(output_tokens)
        reached = [one for one in self.rates if one.above < given or not one.above] or [_FREE]
        cost = self.request * MILLION
        cost += given * max(max(one.input, one.cache_read, one.cache_write) for one in reached)
        cost += made * max(max(one.output, one.reasoning) for one in reached)
        if self.picture:
            cost += pictures * self.picture.most(units) * MILLION
        if self.second:
            cost += length * self.second.most(units) * THOUSAND
        return _rounded_up(cost)

    def covers(self, units: Units = NOTHING) -> bool:
        """Whether such a call has a price at all. Pictures and films may be paid for by their
        tokens; a chat with a model that has a price for pictures alone has none.
        """
        if self.picture and units.pictures:
            return self.picture.covers(units)
        if self.second and units.seconds:
            return self.second.covers(units)
        return bool(self.rates or self.request)

    def told(self) -> dict[str, Any]:
        """The unit prices, for the ledger to keep; `recalled` reads them again."""
        told: dict[str, Any] = {"version": self.version, "currency": self.currency}
        if self.rates:
            told["rates"] = [one.told() for one in self.rates]
        if self.picture:
            told["picture"] = self.picture.told()
        if self.second:
            told["second"] = self.second.told()
        if self.request:
            told["request"] = self.request
        return told

    @classmethod
    def recalled(cls, told: Mapping[str, Any]) -> Self:
        """The price that `told` was of: another process may have to settle what one has begun."""
        return cls(
            told["version"],
            told["currency"],
            tuple(Rates(**one) for one in told.get("rates", ())),
            _menu(told.get("picture")),
            _menu(told.get("second")),
            told.get("request", 0),
        )

    def _applying(self, given: int) -> Rates:
        """The rates of a call of so many input tokens: all of it is charged by the same."""
        found = _FREE
        for one in self.rates:
            if one.above < given or not one.above:
                found = one
        return found


_FREE = Rates(0, 0, 0, 0, 0)


def _menu(told: Mapping[str, int] | None) -> Menu | None:
    return Menu(tuple((read(line), price) for line, price in told.items())) if told else None


def _amounts(units: Units) -> tuple[int, int]:
    return counted(units.pictures, MOST_THINGS), milliseconds(units.seconds)


def _rounded_up(cost: int) -> int:
    return -(-cost // MILLION)
