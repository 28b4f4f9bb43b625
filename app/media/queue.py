"""The queue that wakes workers up: names of tasks and nothing else.

What it loses costs seconds: the row is the truth, and the sweep finds what is due. So nobody waits
for the queue, and nothing that is not a name is ever read out of it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent import get_hub
from gevent.threadpool import ThreadPool
from huey import RedisHuey, SqliteHuey
from huey.consumer import Consumer
from huey.exceptions import HueyException
from huey.registry import Message
from huey.serializer import Serializer
from redis import RedisError

log = logging.getLogger(__name__)

NAME = "tokens"
STEP = "step"
REDIS_SECONDS = 5.0
MOST_NAMES = 10_000  # that wait to be written; before that, the sweep has found the first of them
LONGEST_PAUSE = 2.0  # seconds between two looks of one of many who wait for work


class Names(Serializer):  # type: ignore[misc]  # huey has no types
    """Writes what huey wants to remember as JSON: its own way would run whatever the queue holds."""

    def _serialize(self, data: Any) -> bytes:
        if not isinstance(data, Message):
            raise TypeError("only tasks are put on the queue")
        return json.dumps([data.id, data.name, list(data.args)]).encode()

    def _deserialize(self, data: bytes) -> Message:
        one, name, args = json.loads(bytes(data))
        return Message(one, name, None, 0, 0, None, tuple(args), {}, None, None, None, None)


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

    def consumer(self, step: Callable[[str], object], hands: int) -> Consumer:
        """Takes names off the queue and does their steps, so many at a time, until it is told to stop:
        TERM lets the steps in hand finish, INT does not.
        """
        logging.getLogger("huey").setLevel(logging.WARNING)
        huey = self._connected()
        _registered(huey, step)
        return Consumer(
            huey,
            workers=hands,
            periodic=False,
            max_delay=LONGEST_PAUSE,
            scheduler_interval=60,
            worker_type="greenlet",
            graceful_signal="TERM",
        )

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
        try:
            if self._wrapped is None:
                self._wrapped = _registered(self._connected(), _elsewhere)
            for name in names:
                self._wrapped(name)
        except (sqlite3.Error, RedisError, HueyException, OSError) as error:
            if not self._is_silent:
                log.error("the queue cannot be written, tasks wait for the sweep: %s", error)
            self._is_silent = True
            return
        self._is_silent = False

    def _connected(self) -> Any:
        shared: dict[str, Any] = {"results": False, "serializer": Names()}
        if self._redis_url:
            return RedisHuey(NAME, url=_patient(self._redis_url), **shared)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return SqliteHuey(NAME, filename=str(self._file), fsync=False, **shared)


def _registered(huey: Any, step: Callable[[str], object]) -> Any:
    """Both sides know the step by the same name, whatever does it."""

    def run(name: str) -> None:
        step(name)

    return huey.task(name=STEP)(run)


def _elsewhere(name: str) -> None:
    raise RuntimeError("steps are done by a worker")


def _patient(url: str) -> str:
    """The address of Redis with an end to every wait."""
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}socket_connect_timeout={REDIS_SECONDS}&socket_timeout={REDIS_SECONDS}"
