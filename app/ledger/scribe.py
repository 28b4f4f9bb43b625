"""Writing together what many want written at the same time.

Whoever comes first waits for the write before, and then writes for all who have come since. So an
idle worker writes at once, and a busy one as many rows at a time as it takes to keep up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from gevent.event import Event
from gevent.lock import Semaphore

T = TypeVar("T")
MOST = 1000  # written at a time: nobody else can write while that lasts


class _Batch(Generic[T]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self.done = Event()
        self.error: BaseException | None = None


class Scribe(Generic[T]):
    """One per process. `write` writes all it is given or raises."""

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._turn = Semaphore()
        self._next: _Batch[T] = _Batch()

    def put(self, item: T) -> None:
        """Comes back when it is written. Raises what writing it raised."""
        batch = self._next
        batch.items.append(item)
        if len(batch.items) >= MOST:
            self._next = _Batch()
        if batch.items[0] is item:
            self._lead(batch)
        else:
            batch.done.wait()
        if batch.error is not None:
            raise batch.error

    def _lead(self, batch: _Batch[T]) -> None:
        try:
            with self._turn:
                if self._next is batch:
                    self._next = _Batch()
                self._write(batch.items)
        except BaseException as error:
            batch.error = error
            if self._next is batch:
                self._next = _Batch()
            raise
        finally:
            batch.done.set()
