"""Work of an upstream that takes its time, and the clock it goes by, which tests may put forward.

A prompt may order `takes=SECONDS`; nobody waits who does not ask for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.simulators.directives import setting

USUAL_SECONDS = 0.0


class Clock:
    """The machine's own, and what it was put forward."""

    def __init__(self) -> None:
        self._moved = 0.0

    def now(self) -> float:
        return time.time() + self._moved

    def move(self, seconds: float) -> None:
        self._moved += seconds


@dataclass(frozen=True, slots=True)
class Job:
    """Begun at one moment, done after so many seconds."""

    started: float
    takes: float

    def progress(self, now: float) -> int:
        """In percent, evenly; a hundred only when it is done."""
        if self.takes <= 0 or now >= self.started + self.takes:
            return 100
        return max(0, min(99, int(100 * (now - self.started) / self.takes)))


def takes(text: str) -> float:
    """How long the prompt says that it takes."""
    return setting(text, "takes", USUAL_SECONDS)
