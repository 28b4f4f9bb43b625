"""Time as an object, so that tests own it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """`now` is wall time for records, `ticks` is monotonic time for durations."""

    def now(self) -> float: ...

    def ticks(self) -> float: ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def ticks(self) -> float:
        return time.monotonic()
