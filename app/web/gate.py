"""What licences may use a minute and at a time. Flask-Limiter carries the minutes; where they are
counted, and with whom, is the tally's business.

A call enters when its body has been read and leaves when its answer is over, a stream with its last
piece.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flask import Flask, g
from flask_limiter import Limiter
from limits import RateLimitItemPerMinute
from limits.storage import MovingWindowSupport, Storage
from limits.storage.base import SlidingWindowCounterSupport

from app.access.caller import Caller
from app.access.standing import Allotment, Standing
from app.clock import Clock
from app.errors import OverLimit
from app.limits import Limits
from app.pool.hindrance import Hindrance
from app.pool.tally import Draw, Taken, Tally
from app.pool.window import MINUTE, WindowName

AGAIN = 1.0  # seconds after which a call may have made room for another
SEAT = Draw(0, 0, 1)
SCHEME = "tally"
# Of Flask-Limiter's strategies those that ask and count in one step, and refuse without counting, which
# is what a counter wants that many share.
STRATEGIES: dict[WindowName, str] = {"fixed": "moving-window", "sliding": "sliding-window-counter"}


class Minutes(Storage, MovingWindowSupport, SlidingWindowCounterSupport):
    """The tally as Flask-Limiter wants its storage, whichever window the tally has. A key is a limit's
    name and a licence's.
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

    def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        return self.acquire_entry(key, limit, expiry, amount)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """What still counts of the minute before is among what counts now."""
        return 0, 0.0, self.get(key), self.get_expiry(key) - self._clock.now()

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        self.clear(key)

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
        return self._tally.window.ends(self._clock.now())

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

    __slots__ = ("_gate", "_taken", "name", "counted")

    def __init__(self, gate: Gate | None = None, name: str = "") -> None:
        self._gate = gate
        self._taken: list[Taken] = []
        self.name = name
        self.counted = False  # among the requests of its minute

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

    def undo(self) -> None:
        """The call was refused: it has used nothing, and was no request."""
        gate = self._gate
        self.leave(0)
        if gate is not None and self.counted:
            gate.back(self.name)

    def __del__(self) -> None:
        self.leave(0, at_leisure=True)  # of an answer that nobody read; no place to wait in


class Gate:
    """Lets calls in as far as their licences go; one per worker."""

    def __init__(self, tally: Tally, clock: Clock) -> None:
        self._tally = tally
        self._clock = clock
        limiter = Limiter(
            get_name,
            strategy=STRATEGIES[tally.window.name],
            storage_uri=f"{SCHEME}://",
            storage_options={"tally": tally, "clock": clock},  # type: ignore[dict-item]
        )
        # An app of its own, which serves nothing. In ours its hooks would look for limits that are written
        # at routes, before and after every request, which costs as much as all that Flask does.
        limiter.init_app(Flask("limits"))
        self._limiter = limiter.limiter
        self._minutes: Minutes = limiter.storage  # type: ignore[assignment]

    def enter(self, caller: Caller, tokens: int) -> Ticket:
        """Counts a call that is thought to come to so many tokens; one that costs none meets no limit of
        them. Raises `OverLimit`, and then nothing
        is counted.
        """
        assert caller.licence is not None  # nobody else has limits
        limits, standing = caller.licence.allowance.limits, caller.standing
        if limits.rpm is None and limits.tpm is None and limits.concurrency is None:
            return Ticket()
        name = f"licence:{caller.licence.name}"
        ticket = Ticket(self, name)
        try:
            if limits.rpm is not None:
                self._count_request(ticket, standing, limits.rpm)
            if limits.tpm is not None and tokens:
                self._hold_tokens(ticket, standing, limits.tpm, tokens)
            if limits.concurrency is not None:
                self._take_seat(ticket, limits.concurrency)
        except OverLimit:
            ticket.undo()
            raise
        return ticket

    def left(self, taken: list[Taken], tokens: int | None, *, at_leisure: bool) -> None:
        now = self._clock.now()
        for one in taken:
            came_to = one.draw.tokens if tokens is None or one.draw.calls else tokens
            self._tally.give(one, came_to, now, at_leisure=at_leisure)

    def back(self, name: str) -> None:
        """A request has come to nothing."""
        self._minutes.incr(f"rpm/{name}", MINUTE, -1)

    def _count_request(self, ticket: Ticket, standing: Standing, most: int) -> None:
        fits = self._limiter.hit(per_minute(most), "rpm", ticket.name)
        found = self._minutes.last  # nobody has asked since
        used = found.used.minute_requests if isinstance(found, Taken) else most
        standing.meet_requests(Allotment(most, used, self._left()))
        if not fits:
            error = OverLimit("the licence's limit of requests a minute is {most}", most=most)
            raise error.named("rpm_exceeded").after(self._until(found))
        ticket.counted = True

    def _hold_tokens(self, ticket: Ticket, standing: Standing, most: int, tokens: int) -> None:
        cost = min(max(tokens, 1), most)
        self._limiter.hit(per_minute(most), "tpm", ticket.name, cost=cost)
        found = self._minutes.last
        if isinstance(found, Taken):
            ticket.take(found)
            used = found.used.minute_tokens
        else:
            used = self._minutes.get(f"tpm/{ticket.name}")
        standing.meet_tokens(Allotment(most, used, self._left()))
        if not isinstance(found, Taken):
            error = OverLimit("the licence's limit of tokens a minute is {most}", most=most)
            raise error.named("tpm_exceeded").after(self._until(found))

    def _take_seat(self, ticket: Ticket, most: int) -> None:
        found = self._tally.take(ticket.name, SEAT, Limits(concurrency=most), self._clock.now())
        if isinstance(found, Taken):
            return ticket.take(found)
        error = OverLimit("the licence's limit of calls at a time is {most}", most=most)
        raise error.named("concurrency_exceeded").after(AGAIN)

    def _until(self, found: Taken | Hindrance | None) -> float:
        assert isinstance(found, Hindrance)
        return found.until - self._clock.now()

    def _left(self) -> float:
        now = self._clock.now()
        return self._tally.window.ends(now) - now


def get_name() -> str:
    """Whom Flask-Limiter limits."""
    return str(g.caller.name)
