"""What licences may use a minute and at a time. Flask-Limiter carries the minutes; where they are
counted, and with whom, is the tally's business.

A call enters when its body has been read and leaves when its answer is over, a stream with its last
piece.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import Flask, g
from flask_limiter import Limiter
from limits import RateLimitItemPerMinute
from limits.storage import MovingWindowSupport, Storage

from app.clock import Clock
from app.errors import OverLimit
from app.limits import Limits
from app.pool.hindrance import Hindrance
from app.pool.tally import MINUTE, Draw, Taken, Tally, next_turn
from app.storage.licences import Licence

AGAIN = 1.0  # seconds after which a call may have made room for another
SEAT = Draw(0, 0, 1)
SCHEME = "tally"


@dataclass(frozen=True, slots=True)
class Allotment:
    """How much of something there is until it begins anew in so many seconds."""

    limit: int
    used: int
    seconds: float


class Minutes(Storage, MovingWindowSupport):
    """The tally as Flask-Limiter wants its storage. A key is a limit's name and a licence's.

    Of its strategies the moving window is the one that asks and counts in one step, and refuses without
    counting, which is what a counter wants that many share. The window is the minute of the clock.
    """

    STORAGE_SCHEME = [SCHEME]

    def __init__(self, uri: str, *, tally: Tally, clock: Clock, **options: Any) -> None:
        super().__init__(uri, **options)
        self._tally = tally
        self._clock = clock
        self.last: Taken | Hindrance | None = None  # what the tally said to whoever asked last

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()  # there are none: a tally gives an answer

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        self.last = self._take(key, amount, limit)
        return isinstance(self.last, Taken)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        return self.get_expiry(key) - MINUTE, self.get(key)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        self._take(key, amount, None)
        return self.get(key)

    def get(self, key: str) -> int:
        kind, _, name = key.partition("/")
        used = self._tally.used(name, self._clock.now())
        return used.minute_requests if kind == "rpm" else used.minute_tokens

    def get_expiry(self, key: str) -> float:
        return next_turn(self._clock.now(), MINUTE)

    def check(self) -> bool:
        return True

    def clear(self, key: str) -> None:
        self._take(key, -self.get(key), None)

    def reset(self) -> int | None:
        raise NotImplementedError("others count in it too")

    def _take(self, key: str, amount: int, most: int | None) -> Taken | Hindrance:
        kind, _, name = key.partition("/")
        draw = Draw(amount, 0, 0) if kind == "rpm" else Draw(0, amount, 0)
        return self._tally.take(name, draw, Limits(**{kind: most}), self._clock.now())


class PerMinute(RateLimitItemPerMinute):
    """So many a minute. Whoever is given another limit has still used what was used."""

    def key_for(self, *identifiers: str | bytes | float) -> str:
        return "/".join(map(str, identifiers))


per_minute = lru_cache(maxsize=1024)(PerMinute)


class Ticket:
    """A call that has entered. Whoever has it says when it is over."""

    __slots__ = ("_gate", "_taken", "requests", "tokens")

    def __init__(self, gate: Gate | None = None) -> None:
        self._gate = gate
        self._taken: list[Taken] = []
        self.requests: Allotment | None = None
        self.tokens: Allotment | None = None

    def take(self, taken: Taken) -> None:
        """Holds something until the call is over."""
        self._taken.append(taken)

    def leave(self, tokens: int | None, *, at_leisure: bool = False) -> None:
        """The call came to so many tokens; None where nobody counted, then as many as was thought.
        Saying so again changes nothing.
        """
        gate, taken = self._gate, self._taken
        self._gate, self._taken = None, []
        if gate is not None:
            gate.left(taken, tokens, at_leisure=at_leisure)

    def headers(self) -> dict[str, str]:
        """What there is, what is left of it, and when it begins anew (C-243)."""
        found: dict[str, str] = {}
        for of, one in (("requests", self.requests), ("tokens", self.tokens)):
            if one is not None:
                found[f"x-ratelimit-limit-{of}"] = str(one.limit)
                found[f"x-ratelimit-remaining-{of}"] = str(max(one.limit - one.used, 0))
                found[f"x-ratelimit-reset-{of}"] = span(one.seconds)
        return found

    def __del__(self) -> None:
        self.leave(0, at_leisure=True)  # of an answer that nobody read; no place to wait in


class Gate:
    """Lets calls in as far as their licences go; one per worker."""

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally = tally
        self._clock = clock
        limiter = Limiter(
            get_name,
            strategy="moving-window",
            storage_uri=f"{SCHEME}://",
            storage_options={"tally": tally, "clock": clock},  # type: ignore[dict-item]
        )
        # An app of its own, which serves nothing. In ours its hooks would look for limits that are written
        # at routes, before and after every request, which costs as much as all that Flask does.
        limiter.init_app(Flask("limits"))
        self._limiter = limiter.limiter
        self._minutes: Minutes = limiter.storage  # type: ignore[assignment]

    def enter(self, licence: Licence, tokens: int) -> Ticket:
        """Counts a call that is thought to come to so many tokens. Raises `OverLimit`, and then nothing
        is counted.
        """
        limits = licence.allowance.limits
        if limits.rpm is None and limits.tpm is None and limits.concurrency is None:
            return Ticket()
        ticket, name = Ticket(self), f"licence:{licence.name}"
        if limits.rpm is not None:
            self._count_request(ticket, name, limits.rpm)
        try:
            if limits.tpm is not None:
                self._hold_tokens(ticket, name, limits.tpm, tokens)
            if limits.concurrency is not None:
                self._take_seat(ticket, name, limits.concurrency)
        except OverLimit:
            if limits.rpm is not None:
                self._minutes.incr(f"rpm/{name}", MINUTE, -1)
            ticket.leave(0)
            raise
        return ticket

    def left(self, taken: list[Taken], tokens: int | None, *, at_leisure: bool) -> None:
        now = self._clock.now()
        for one in taken:
            came_to = one.draw.tokens if tokens is None or one.draw.calls else tokens
            self._tally.give(one, came_to, now, at_leisure=at_leisure)

    def _count_request(self, ticket: Ticket, name: str, most: int) -> None:
        if self._limiter.hit(per_minute(most), "rpm", name):
            taken = self._minutes.last
            assert isinstance(taken, Taken)  # nobody has asked since
            ticket.requests = Allotment(most, taken.used.minute_requests, self._left())
            return
        ticket.requests = Allotment(most, most, self._left())
        error = OverLimit("the licence allows {most} requests a minute", most=most)
        raise error.named("rpm_exceeded").at(ticket.headers(), ticket.requests.seconds)

    def _hold_tokens(self, ticket: Ticket, name: str, most: int, tokens: int) -> None:
        if self._limiter.hit(per_minute(most), "tpm", name, cost=min(max(tokens, 1), most)):
            taken = self._minutes.last
            assert isinstance(taken, Taken)
            ticket.tokens = Allotment(most, taken.used.minute_tokens, self._left())
            ticket.take(taken)
            return
        used = self._minutes.get(f"tpm/{name}")
        ticket.tokens = Allotment(most, used, self._left())
        error = OverLimit("the licence allows {most} tokens a minute", most=most)
        raise error.named("tpm_exceeded").at(ticket.headers(), ticket.tokens.seconds)

    def _take_seat(self, ticket: Ticket, name: str, most: int) -> None:
        found = self._tally.take(name, SEAT, Limits(concurrency=most), self._clock.now())
        if isinstance(found, Taken):
            return ticket.take(found)
        error = OverLimit("the licence allows {most} calls at a time", most=most)
        raise error.named("concurrency_exceeded").at(ticket.headers(), AGAIN)

    def _left(self) -> float:
        now = self._clock.now()
        return next_turn(now, MINUTE) - now


def get_name() -> str:
    """Whom Flask-Limiter limits."""
    return str(g.caller.name)


def span(seconds: float) -> str:
    """A time as OpenAI writes it: `6m0s`."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
    )
