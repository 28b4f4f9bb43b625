"""Looks after what the ledger has left to do, in a greenlet of its own."""

from __future__ import annotations

import logging

import gevent

from app.clock import Clock
from app.errors import GatewayError
from app.ledger.ledger import DAY, Ledger
from app.storage.ledger_reading import LedgerReading

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two rounds
FORGET_EVERY = 3600.0


class LedgerWatch:
    """Takes in the journal, closes what dead workers have left open, and forgets what is old; the first
    time at once."""

    def __init__(
        self,
        ledger: Ledger,
        reading: LedgerReading,
        clock: Clock,
        *,
        days: int = 0,
        every: float = EVERY,
    ) -> None:
        self._ledger = ledger
        self._reading = reading
        self._clock = clock
        self._days = days
        self._every = every
        self._forgotten_at = float("-inf")

    def start(self) -> None:
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            self.look()
            gevent.sleep(self._every)

    def look(self) -> None:
        try:
            self._ledger.tidy()
            self._forget(self._clock.now())
        except (GatewayError, OSError) as error:
            log.error("the ledger could not be tidied", extra={"why": str(error)})

    def _forget(self, now: float) -> None:
        """Rows that are too old; one worker finds them, the others nothing."""
        if not self._days or now - self._forgotten_at < FORGET_EVERY:
            return
        self._forgotten_at = now
        if rows := self._reading.forget(int((now - self._days * DAY) * 1000)):
            log.info("rows of the ledger are forgotten", extra={"rows": rows})
