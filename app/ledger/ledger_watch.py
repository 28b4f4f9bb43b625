"""Looks after what the ledger has left to do."""

from __future__ import annotations

import logging

from app.clock import Clock
from app.days import DAY
from app.ledger.ledger import Ledger
from app.rounds import Rounds
from app.storage.ledger_reading import LedgerReading

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two rounds
FORGET_EVERY = 3600.0


class LedgerWatch:
    """Takes in the journal, closes what dead workers have left open, and forgets what is old."""

    def __init__(
        self,
        ledger: Ledger,
        reading: LedgerReading,
        clock: Clock,
        *,
        days: int = 0,
    ) -> None:
        self._ledger = ledger
        self._reading = reading
        self._clock = clock
        self._days = days
        self.rounds = Rounds(EVERY, self.look, "the ledger could not be tidied")
        self._forgotten_at = float("-inf")

    def look(self) -> None:
        self._ledger.tidy()
        self._forget(self._clock.now())

    def _forget(self, now: float) -> None:
        """Rows that are too old; one worker finds them, the others nothing."""
        if not self._days or now - self._forgotten_at < FORGET_EVERY:
            return
        self._forgotten_at = now
        if rows := self._reading.forget(int((now - self._days * DAY) * 1000)):
            log.info("rows of the ledger are forgotten", extra={"rows": rows})
