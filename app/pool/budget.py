"""How often may be tried again: under an outage retries must not multiply the load."""

from __future__ import annotations

from collections import deque

WINDOW = 10  # seconds
ALWAYS = 10  # retries in a window, however few calls there are


class Budget:
    """For one platform in one worker: of the calls in a window, this many percent may be retries."""

    def __init__(self, percent: int) -> None:
        self._percent = percent
        self._seconds: deque[list[int]] = deque()  # [second, calls, retries]

    def called(self, now: float) -> None:
        """A call goes out that is not a retry."""
        self._second(now)[1] += 1

    def allows(self, now: float) -> bool:
        """Whether one more retry is within the budget; if so, it is spent."""
        last = self._second(now)
        calls = sum(second[1] for second in self._seconds)
        retries = sum(second[2] for second in self._seconds)
        if retries >= max(calls * self._percent // 100, ALWAYS):
            return False
        last[2] += 1
        return True

    def _second(self, now: float) -> list[int]:
        seconds, second = self._seconds, int(now)
        if not seconds or seconds[-1][0] != second:
            seconds.append([second, 0, 0])
            while seconds[0][0] <= second - WINDOW:
                seconds.popleft()
        return seconds[-1]
