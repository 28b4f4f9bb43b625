"""Keeps a worker's pool in step with the others."""

from __future__ import annotations

import logging

from app.clock import Clock
from app.errors import GatewayError
from app.pool.board import Board
from app.pool.pool import Pool
from app.pool.spending import Spending
from app.rounds import Rounds

log = logging.getLogger(__name__)

EVERY = 0.5  # seconds between two looks at what the others have told
SWEPT_EVERY = 60.0
BOARDS_SWEPT_EVERY = 3600.0


class Keeper:
    """Tells the boards what its pool has learnt, at once, and the pool what is on the boards."""

    def __init__(
        self, pool: Pool, boards: list[Board], clock: Clock, spending: Spending | None = None
    ) -> None:
        self._pool = pool
        self._boards = boards
        self._clock = clock
        self._spending = spending
        self._silent: set[int] = set()  # boards that could not be reached the last time
        self._rounds = Rounds(EVERY, self.look, "the pool could not be kept in step")
        self._swept = self._boards_swept = clock.ticks()

    def start(self) -> None:
        """Takes in what is known already, and goes on from there."""
        self._pool.on_news = self._rounds.ring
        self.look()
        self._rounds.start()

    def look(self) -> None:
        """Tells and hears, once."""
        rests, bound = self._pool.untold()
        for place, board in enumerate(self._boards):
            try:
                if rests or bound or place in self._silent:
                    known = self._pool.known() if place in self._silent else (rests, bound)
                    board.tell(*known, self._clock.now())
                news = board.news()
            except GatewayError as error:
                if place not in self._silent:
                    log.error("the pool works alone: %s", error)
                self._silent.add(place)
                continue
            if place in self._silent:
                log.warning("the pool works with the others again")
                self._silent.discard(place)
            self._pool.take(news)
        if self._spending is not None:
            self._spending.look_in_time(self._clock.ticks())
        self._sweep(self._clock.ticks())

    def _sweep(self, now: float) -> None:
        if now - self._swept > SWEPT_EVERY:
            self._swept = now
            self._pool.sweep()
        if now - self._boards_swept > BOARDS_SWEPT_EVERY:
            self._boards_swept = now
            for place, board in enumerate(self._boards):
                if place not in self._silent:
                    board.sweep(self._clock.now())
