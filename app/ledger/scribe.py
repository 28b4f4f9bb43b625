"""Writing together what many want written at the same time.

A greenlet of its own writes, as long as there is something to write: so an idle process writes at
once, and a busy one as many items at a time as it takes to keep up. Nobody writes for another, so
whoever is killed while waiting takes nothing away from others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import gevent
from gevent.event import Event

from app.storage.database import DatabaseTrouble

T = TypeVar("T")
MOST = 1000  # written at a time: nobody else can write while that lasts


class _Batch(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self.done = Event()
        self.error: Exception | None = DatabaseTrouble(
            "the gateway's database cannot be used just now"
        )


class Scribe(Generic[T]):
    """One per process. `write` writes all it is given or raises."""

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._batches: deque[_Batch[T]] = deque()
        self._is_writing = False

    def put(self, item: T) -> None:
        """Comes back when it is written. Raises what writing it raised."""
        if not self._batches or len(self._batches[-1].items) >= MOST:
            self._batches.append(_Batch())
        batch = self._batches[-1]
        batch.items.append(item)
        self._see_to_it()
        batch.done.wait()
        if batch.error is not None:
            raise batch.error

    def _see_to_it(self) -> None:
        if self._batches and not self._is_writing:
            self._is_writing = True
            gevent.spawn(self._write_all)

    def _write_all(self) -> None:
        try:
            while self._batches:
                self._write_one(self._batches.popleft())
        finally:
            self._is_writing = False
            self._see_to_it()

    def _write_one(self, batch: _Batch[T]) -> None:
        try:
            self._write(batch.items)
            batch.error = None
        except Exception as error:  # noqa: B902  # not swallowed: `put` raises it
            batch.error = error
        finally:
            batch.done.set()
