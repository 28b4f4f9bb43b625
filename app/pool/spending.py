"""Looks up in the ledger what credentials with budgets have spent, now and then and beside the calls."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping

from app.days import Days, month_of
from app.errors import GatewayError
from app.pool.pool import Pool
from app.pool.purse import Spent
from app.storage.ledger_reading import LedgerReading

log = logging.getLogger(__name__)

EVERY = 2.0  # seconds between two looks
OLD_EVERY = 3600.0  # what was opened before yesterday is seldom closed now
LAST = 10**9  # day

Sums = Mapping[str, Mapping[int, int]]  # by credential and day


class Spending:
    """Tells a pool, and asks nobody anything where no credential has a budget."""

    def __init__(self, pool: Pool, reading: LedgerReading, days: Days) -> None:
        self._pool = pool
        self._reading = reading
        self._days = days
        self._names: frozenset[str] = frozenset()
        self._looked = self._looked_back = float("-inf")
        self._edge = 0  # the first day that is looked up every time
        self._old: Sums = {}
        self._is_silent = False

    def look_in_time(self, ticks: float) -> None:
        """Looks if it is time to, or if there are others to look after. The gateway goes on without."""
        names = frozenset(self._pool.purses)
        if not names or (names == self._names and ticks - self._looked < EVERY):
            return
        try:
            self.look(ticks)
        except GatewayError as error:
            if not self._is_silent:
                log.error("what credentials have spent is not known: %s", error)
            self._is_silent = True
            return
        if self._is_silent:
            log.warning("what credentials have spent is known again")
        self._is_silent = False

    def look(self, ticks: float) -> None:
        purses = dict(self._pool.purses)
        own = {name: purse.own for name, purse in purses.items()}
        now = self._pool.clock.now()
        today, names = self._days.day(now), frozenset(purses)
        if names != self._names or today - 1 != self._edge or ticks - self._looked_back > OLD_EVERY:
            self._old = self._sums(names, 0, today - 2)
            self._names, self._edge, self._looked_back = names, today - 1, ticks
        new = self._sums(names, self._edge, LAST)
        poor = [purse for purse in purses.values() if purse.hindrance(now)]
        for name, purse in purses.items():
            purse.hear(_spent(self._old.get(name, {}), new.get(name, {}), today), own[name])
        self._looked = ticks
        if any(purse.hindrance(now) is None for purse in poor):  # counted twice for a moment
            self._pool.wake()

    def _sums(self, names: Collection[str], first: int, last: int) -> Sums:
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for name, day, money in self._reading.charged(names, first, last):
            found[name][day] = money
        return found


def _spent(old: Mapping[int, int], new: Mapping[int, int], today: int) -> Spent:
    both, month = {**old, **new}, month_of(today)
    return Spent(
        today,
        both.get(today, 0),
        sum(money for day, money in both.items() if month_of(day) == month),
        sum(both.values()),
    )
