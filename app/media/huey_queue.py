"""The queue as huey keeps it: in a SQLite file, or in Redis where several hosts share the work."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huey import RedisHuey, SqliteHuey
from huey.consumer import Consumer
from huey.exceptions import HueyException
from huey.registry import Message
from huey.serializer import Serializer
from redis import RedisError

NAME = "tokens"
STEP = "step"
REDIS_SECONDS = 5.0
LONGEST_PAUSE = 2.0  # seconds between two looks of one of many who wait for work
TROUBLES = (sqlite3.Error, RedisError, HueyException, OSError)


class Names(Serializer):  # type: ignore[misc]  # huey has no types
    """Writes what huey wants to remember as JSON: its own way would run whatever the queue holds."""

    def _serialize(self, data: Any) -> bytes:
        if not isinstance(data, Message):
            raise TypeError("only tasks are put on the queue")
        return json.dumps([data.id, data.name, list(data.args)]).encode()

    def _deserialize(self, data: bytes) -> Message:
        one, name, args = json.loads(bytes(data))
        return Message(one, name, None, 0, 0, None, tuple(args), {}, None, None, None, None)


def writer(file: Path, redis_url: str) -> Callable[[str], object]:
    """Puts a name on the queue."""
    wrapped: Callable[[str], object] = registered(connected(file, redis_url), _elsewhere)
    return wrapped


def consumer(file: Path, redis_url: str, step: Callable[[str], object], hands: int) -> Consumer:
    """Takes names off the queue; its steps run in greenlets, so many at a time."""
    logging.getLogger("huey").setLevel(logging.WARNING)
    huey = connected(file, redis_url)
    registered(huey, step)
    return Consumer(
        huey,
        workers=hands,
        periodic=False,
        max_delay=LONGEST_PAUSE,
        scheduler_interval=60,
        worker_type="greenlet",
        graceful_signal="TERM",
    )


def connected(file: Path, redis_url: str) -> Any:
    shared: dict[str, Any] = {"results": False, "serializer": Names()}
    if redis_url:
        return RedisHuey(NAME, url=_patient(redis_url), **shared)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SqliteHuey(NAME, filename=str(file), fsync=False, **shared)


def registered(huey: Any, step: Callable[[str], object]) -> Any:
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
