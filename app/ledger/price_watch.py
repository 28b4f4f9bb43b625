"""Looks now and then whether the operator has changed prices, in a greenlet of its own."""

from __future__ import annotations

import gevent

from app.ledger.price_book import PriceBook

EVERY = 2.0  # seconds between two looks


class PriceWatch:
    """Keeps a worker's price book in step with its folder; no call waits for that."""

    def __init__(self, book: PriceBook, every: float = EVERY) -> None:
        self._book = book
        self._every = every

    def start(self) -> None:
        gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            gevent.sleep(self._every)
            self._book.look()
