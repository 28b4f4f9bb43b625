"""The queue as huey keeps it: in a SQLite file, or in Redis where several hosts share the work."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huey import Huey
from huey.consumer import Consumer
from huey.exceptions import HueyException
from huey.registry import Message
from huey.serializer import Serializer
from huey.storage import RedisStorage, SqliteStorage
from redis import RedisError

if TYPE_CHECKING:
    from app.media.queue import Contact

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


class Source(Huey):  # type: ignore[misc]  # huey has no types
    """Where a consumer takes names from. One that is out of reach looks empty, and who finds it so waits
    before he tries again.
    """

    def listen(self, contact: Contact, pause: Callable[[float], object]) -> None:
        """`pause` waits so many seconds, or until the consumer is told to stop."""
        self._contact, self._pause = contact, pause

    def dequeue(self) -> Any:
        begun = time.monotonic()
        try:
            data = self.storage.dequeue()
        except TROUBLES as error:
            self._contact.lost("reading", error)
            self._pause(LONGEST_PAUSE)
            return None
        self._contact.kept("reading", begun)
        return None if data is None else self.deserialize_task(data)

    def read_schedule(self, timestamp: Any = None) -> list[Any]:
        """Nothing is ever put off: a step that is due later is put on the queue later."""
        return []

    def is_revoked(self, *_: Any) -> bool:
        """Nothing is ever taken back: who does a step looks at its task first."""
        return False


def writer(file: Path, redis_url: str) -> Callable[[str], object]:
    """Puts a name on the queue."""
    wrapped: Callable[[str], object] = registered(connected(file, redis_url), _elsewhere)
    return wrapped


def consumer(
    file: Path, redis_url: str, step: Callable[[str], object], hands: int, contact: Contact
) -> Consumer:
    """Takes names off the queue; its steps run in greenlets, so many at a time."""
    source = connected(file, redis_url)
    registered(source, step)
    made = Consumer(
        source,
        workers=hands,
        periodic=False,
        max_delay=LONGEST_PAUSE,
        scheduler_interval=60,
        worker_type="greenlet",
        graceful_signal="TERM",
    )
    source.listen(contact, made.stop_flag.wait)
    return made


def connected(file: Path, redis_url: str) -> Source:
    shared: dict[str, Any] = {"results": False, "serializer": Names()}
    if redis_url:
        return Source(NAME, storage_class=RedisStorage, url=_patient(redis_url), **shared)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Source(NAME, storage_class=SqliteStorage, filename=str(file), fsync=False, **shared)


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
