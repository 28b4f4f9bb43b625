"""The tally of several hosts that never fails: where Redis cannot be used, each host counts for itself,
and gives a share of every limit that is safe for all of them together.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace

import gevent
from gevent.event import Event

from app.clock import Clock
from app.limits import UNLIMITED, Limits
from app.pool.hindrance import Hindrance
from app.pool.host_tally import HostTally
from app.pool.redis_board import RedisTrouble
from app.pool.redis_tally import SEAT_SECONDS, RedisTally
from app.pool.tally import Draw, Taken, Used

log = logging.getLogger(__name__)

KEPT_EVERY = SEAT_SECONDS / 3  # seconds
TRIED_EVERY = 2.0


class SharedTally:
    """Counts in Redis, and on its own host all the while: so this host knows its part when it has to go
    on alone. One of many `hosts` then gives one of as many parts.

    A call waits for Redis once, and for no longer than it takes to notice that there is no answer. Until
    there is one again nobody asks but a greenlet of its own.
    """

    def __init__(self, host: HostTally, redis: RedisTally, hosts: int, clock: Clock) -> None:
        self._host = host
        self._redis = redis
        self._hosts = hosts
        self._clock = clock
        self._seats: dict[str, Taken] = {}  # calls of ours that are going, by their seats
        self._late: list[tuple[Taken, int]] = []  # over, and not yet told
        self._alarmed = False
        self._wanted = Event()
        self.is_alone = False
        self.window = host.window

    def start(self) -> None:
        self._host.start()
        self._wanted.set()
        gevent.spawn(self._run)

    def take(self, name: str, draw: Draw, limits: Limits, now: float) -> Taken | Hindrance:
        there = None if self.is_alone else self._take_there(name, draw, limits, now)
        if isinstance(there, Hindrance):
            return there
        most = UNLIMITED if there else _part(limits, self._hosts)
        here = self._host.take(name, draw, most, now)
        if isinstance(here, Hindrance):
            return here
        if there is None:  # Redis hears of it later
            seat = uuid.uuid4().hex if draw.calls else ""
            there = replace(here, draw=replace(draw, tokens=0), seat=seat)
        there = replace(there, here=here)
        if there.seat:
            self._seats[there.seat] = there
        return there

    def give(self, taken: Taken, tokens: int, now: float, *, at_leisure: bool = False) -> None:
        assert taken.here is not None  # every one of ours has been counted here too
        self._host.give(taken.here, tokens, now)
        self._seats.pop(taken.seat, None)
        if at_leisure or self.is_alone:
            self._late.append((taken, tokens))
            self._wanted.set()
            return
        try:
            self._redis.give(taken, tokens)
        except RedisTrouble as trouble:
            self._lose(trouble)
            self._late.append((taken, tokens))

    def used(self, name: str, now: float) -> Used:
        return self._host.used(name, now)

    def look(self) -> None:
        """Tells Redis what has not been told, and finds out whether it can be used."""
        late, self._late = self._late, []
        try:
            self._redis.keep(list(self._seats.values()))
            while late:
                self._redis.give(*late[-1], at_leisure=True)
                late.pop()
        except RedisTrouble as trouble:
            self._late += late
            self.is_alone = True
            if not self._alarmed:
                self._alarmed = True
                log.error(
                    "limits are counted by this host alone, at a part of each: %s",
                    trouble,
                    extra={"part": f"1/{self._hosts}"},
                )
            return
        if self._alarmed:
            self._alarmed = False
            log.warning("limits are counted by all hosts together again")
        self.is_alone = False

    def _take_there(
        self, name: str, draw: Draw, limits: Limits, now: float
    ) -> Taken | Hindrance | None:
        try:
            return self._redis.take(name, draw, limits, now)
        except RedisTrouble as trouble:
            self._lose(trouble)
            return None

    def _lose(self, trouble: RedisTrouble) -> None:
        """Asks at once whether that was but a moment: then nobody need be alarmed."""
        if not self.is_alone:
            log.warning("counted by this host alone for a moment: %s", trouble)
        self.is_alone = True
        self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait(TRIED_EVERY if self.is_alone else KEPT_EVERY)
            self._wanted.clear()
            self.look()
            if self.is_alone:
                self._clock.sleep(TRIED_EVERY)


def _part(limits: Limits, hosts: int) -> Limits:
    """One of as many parts, of which nobody has none."""

    def part(most: int | None) -> int | None:
        return None if most is None else max(most // hosts, 1)

    return Limits(
        part(limits.rpm),
        part(limits.rpd),
        part(limits.tpm),
        part(limits.tpd),
        part(limits.concurrency),
    )


def made(host: HostTally, url: str, hosts: int, clock: Clock) -> SharedTally:
    return SharedTally(host, RedisTally(url, host.window), hosts, clock)
