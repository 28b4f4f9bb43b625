"""Looks after what the ledger has left to do, in a greenlet of its own."""

from __future__ import annotations

import logging

import gevent

from app.errors import GatewayError
from app.ledger.ledger import Ledger

log = logging.getLogger(__name__)

EVERY = 5.0  # seconds between two rounds


class LedgerWatch:
    """Takes in the journal, and closes what dead workers have left open; the first time at once."""

    def __init__(self, ledger: Ledger, every: float = EVERY) -> None:
        self._ledger = ledger
        self._every = every

    def start(self) -> None:
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            self.look()
            gevent.sleep(self._every)

    def look(self) -> None:
        try:
            self._ledger.tidy()
        except (GatewayError, OSError) as error:
            log.error("the ledger could not be tidied", extra={"why": str(error)})
