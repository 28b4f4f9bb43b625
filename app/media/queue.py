"""The queue that wakes workers up: names of tasks and nothing else.

What it loses costs seconds: the row is the truth, and the sweep finds what is due. So nobody waits
for the queue, and nothing that is not a name is ever read out of it.
"""

from __future__ import annotations

import importlib
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent import get_hub
from gevent.threadpool import ThreadPool

log = logging.getLogger(__name__)

MOST_NAMES = 10_000  # that wait to be written; before that, the sweep has found the first of them


class TaskQueue:
    """The queue of this host in a file, or that of several hosts in Redis."""

    def __init__(self, file: Path | str, redis_url: str = "") -> None:
        self._file = Path(file)
        self._redis_url = redis_url
        self._pool: ThreadPool | None = None
        self._wrapped: Any = None
        self._is_silent = False
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
        return _huey().consumer(self._file, self._redis_url, step, hands)

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
        huey = _huey()
        try:
            if self._wrapped is None:
                self._wrapped = huey.writer(self._file, self._redis_url)
            for name in names:
                self._wrapped(name)
        except huey.TROUBLES as error:
            if not self._is_silent:
                log.error("the queue cannot be written, tasks wait for the sweep: %s", error)
            self._is_silent = True
            return
        self._is_silent = False


def _huey() -> Any:
    """What knows huey. It takes a tenth of a start to import, and only those who have work need it."""
    return importlib.import_module("app.media.huey_queue")
