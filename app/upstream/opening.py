"""Work that goes on while somebody else keeps the caller company."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import gevent

T = TypeVar("T")

LOOK_SECONDS = 0.6  # how often it is looked whether the caller is leaving


class Opening(Generic[T]):
    """Runs `work` in a greenlet of its own."""

    __slots__ = ("_greenlet",)

    def __init__(self, work: Callable[[], T]) -> None:
        def run() -> tuple[T | None, Exception | None]:
            try:
                return work(), None
            except (
                Exception
            ) as error:  # noqa: B902  # not swallowed: `result` raises it in the caller's greenlet
                return None, error

        self._greenlet = gevent.spawn(run)

    def wait(self, seconds: float) -> bool:
        """Whether the work is done, after waiting `seconds` at most."""
        self._greenlet.join(seconds)
        return bool(self._greenlet.dead)

    def is_over_within(self, seconds: float, is_leaving: Callable[[], bool]) -> bool:
        """The same, but whoever may be leaving is not kept waiting: only a write can tell."""
        left = seconds
        while left > 0 and not self.wait(min(LOOK_SECONDS, left)) and not is_leaving():
            left -= LOOK_SECONDS
        return self.wait(0)

    def result(self) -> T:
        """What the work returned or raised; waits for it."""
        value, error = self._greenlet.get()
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]

    def abandon(self) -> None:
        """Ends the work where it stands."""
        self._greenlet.kill(block=False)
