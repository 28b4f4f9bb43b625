"""The tally of one host: its workers count together in a file, without a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.limits import Limits
from app.pool.hindrance import Hindrance
from app.pool.slate import Count, Slate
from app.pool.tally import Draw, Taken, Used, asked, over
from app.pool.window import FIXED, Minutes, Window

MOST_BUSY = 65535  # what a column holds


class HostTally:
    """`make` opens the file. That is done in the process that counts, never before it was forked."""

    def __init__(self, make: Callable[[], Slate], window: Window = FIXED) -> None:
        self._make = make
        self.window = window
        self._slate: Slate | None = None

    def start(self) -> None:
        self._counting()

    def take(self, name: str, draw: Draw, limits: Limits, now: float) -> Taken | Hindrance:
        slate = self._counting()
        with slate.held(name, now) as (count, busy):
            calls = sum(busy)
            found = over(self._used(count, calls, now), draw, limits, now)
            if found is not None:
                return self._placed(found, count, draw, limits, now)
            count.minute_requests = max(count.minute_requests + draw.requests, 0)
            count.day_requests = max(count.day_requests + draw.requests, 0)
            count.minute_tokens = max(count.minute_tokens + draw.tokens, 0)
            count.day_tokens = max(count.day_tokens + draw.tokens, 0)
            busy[slate.column] = min(busy[slate.column] + draw.calls, MOST_BUSY)
            used = self._used(count, calls + draw.calls, now)
            return Taken(name, draw, count.minute, count.day, used)

    def give(self, taken: Taken, tokens: int, now: float, *, at_leisure: bool = False) -> None:
        slate, more = self._counting(), tokens - taken.draw.tokens
        with slate.held(taken.name, now) as (count, busy):
            if more > 0 or taken.minute == count.minute:
                count.minute_tokens = max(count.minute_tokens + more, 0)
            elif taken.minute == count.minute - 1:
                count.tokens_before = max(count.tokens_before + more, 0)
            if more > 0 or taken.day == count.day:
                count.day_tokens = max(count.day_tokens + more, 0)
            busy[slate.column] = max(busy[slate.column] - taken.draw.calls, 0)

    def used(self, name: str, now: float) -> Used:
        found = self._opened().look(name, now)
        return Used() if found is None else self._used(*found, now)

    def _used(self, count: Count, calls: int, now: float) -> Used:
        requests, tokens = _minutes(count)
        return Used(
            self.window.used(requests, now),
            self.window.used(tokens, now),
            count.day_requests,
            count.day_tokens,
            calls,
        )

    def _placed(
        self, found: Hindrance, count: Count, draw: Draw, limits: Limits, now: float
    ) -> Hindrance:
        """With the moment at which the minute has room, if it is that which has none."""
        requests, tokens = _minutes(count)
        if found.kind == "rpm" and limits.rpm is not None:
            until = self.window.room(requests, asked(draw.requests, limits.rpm), limits.rpm, now)
        elif found.kind == "tpm" and limits.tpm is not None:
            until = self.window.room(tokens, asked(draw.tokens, limits.tpm), limits.tpm, now)
        else:
            return found
        return replace(found, until=until)

    def _counting(self) -> Slate:
        slate = self._opened()
        if slate.column < 0:
            slate.claim()
        return slate

    def _opened(self) -> Slate:
        if self._slate is None:
            self._slate = self._make()
        return self._slate


def _minutes(count: Count) -> tuple[Minutes, Minutes]:
    """Requests and tokens."""
    return (
        Minutes(count.minute, count.minute_requests, count.requests_before),
        Minutes(count.minute, count.minute_tokens, count.tokens_before),
    )
