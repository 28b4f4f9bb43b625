"""The queue that wakes workers up: names of tasks and nothing else.

What it loses costs seconds: the row is the truth, and the sweep finds what is due. So nobody waits
for the queue, and nothing that is not a name is ever read out of it.
"""

from __future__ import annotations

import importlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent import get_hub
from gevent.threadpool import ThreadPool

log = logging.getLogger(__name__)

LOST = "the queue cannot be used, what is due waits for it"
BACK = "the queue can be used again"
MOST_NAMES = 10_000  # that wait to be written; before that, the sweep has found the first of them


class Contact:
    """Whether the queue can be used: a line in the log when it is lost, whichever of its sides finds that
    out, and one when all of them have it back.
    """

    def __init__(self) -> None:
        self._lost: dict[str, float] = {}

    def lost(self, side: str, error: Exception) -> None:
        if not self._lost:
            log.error(LOST, extra={"why": str(error)})
        self._lost[side] = time.monotonic()

    def kept(self, side: str, begun: float) -> None:
        """What was begun then has gone well. It proves nothing where the loss was noticed later."""
        if self._lost.get(side, math.inf) <= begun:
            del self._lost[side]
            if not self._lost:
                log.warning(BACK)


class TaskQueue:
    """The queue of this host in a file, or that of several hosts in Redis."""

    def __init__(self, file: Path | str, redis_url: str = "") -> None:
        self._file = Path(file)
        self._redis_url = redis_url
        self._pool: ThreadPool | None = None
        self._wrapped: Any = None
        self._contact = Contact()
        self._names: deque[str] = deque(maxlen=MOST_NAMES)
        self._is_putting = False

    def put(self, name: str) -> None:
        """Tells a worker that a step of the task is due. Takes no time and never fails."""
        self._names.append(name)
        if not self._is_putting:
            self._is_putting = True
            gevent.spawn(self._put_all)

    def consumer(self, step: Callable[[str], object], hands: int) -> Any:
        """Takes names off the queue and does their steps, so many at a time, until it is told to stop:
        TERM lets the steps in hand finish, INT does not.
        """
        return _huey().consumer(self._file, self._redis_url, step, hands, self._contact)

    def _put_all(self) -> None:
        try:
            while self._names:
                names = [self._names.popleft() for _ in range(len(self._names))]
                if self._redis_url:
                    self._write(names)
                    continue
                if self._pool is None:
                    # SQLite waits in C; one thread, because huey's locks are gevent's by then.
                    self._pool = ThreadPool(1, hub=get_hub())
                self._pool.apply(self._write, (names,))
        finally:
            self._is_putting = False

    def _write(self, names: list[str]) -> None:
        """All of them, or as many as can be: the sweep finds the others."""
        huey, begun = _huey(), time.monotonic()
        try:
            if self._wrapped is None:
                self._wrapped = huey.writer(self._file, self._redis_url)
            for name in names:
                self._wrapped(name)
        except huey.TROUBLES as error:
            self._contact.lost("writing", error)
        else:
            self._contact.kept("writing", begun)


def _huey() -> Any:
    """What knows huey. It takes a tenth of a start to import, and only those who have work need it."""
    return importlib.import_module("app.media.huey_queue")
