"""What can go wrong at an upstream, on request.

A mishap is either queued (by a test, for the next request) or named in the prompt (by anybody,
see `directives`). `after` counts the content events of a stream that are still sent first; a
mishap that was to come after more events than there are strikes just before the ending.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from app.simulators.directives import directives

KINDS: dict[str, str] = {
    "throttle": "429 with retry-after",
    "refuse": "401, as for a wrong key",
    "forbid": "403",
    "overload": "the vendor's status for being overloaded",
    "fail": "500",
    "html": "502 with a page of HTML, as an edge sends it",
    "empty": "200 with nothing in it",
    "cut": "the connection drops in the middle, with no ending",
    "stall": "goes silent for `seconds` in the middle, then continues",
    "garble": "one event is not JSON",
    "slow": "the first byte comes after `seconds`",
    "silence": "headers, then nothing for `seconds`, then the connection drops",
    "error": "the vendor's error event in the stream; 500 without a stream",
    "truncate": "ends cleanly, but without a terminal event or finish reason",
}


@dataclass(frozen=True, slots=True)
class Mishap:
    """One thing going wrong; `status`, when not zero, replaces the status of a refusal."""

    kind: str
    seconds: float = 0.0
    after: int = 0
    status: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no mishap is called {self.kind!r}; there are {', '.join(KINDS)}")


class Mishaps:
    """Queued mishaps, each of which meets one following request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queued: deque[Mishap] = deque()

    def queue(self, *mishaps: Mishap) -> None:
        with self._lock:
            self._queued.extend(mishaps)

    def clear(self) -> None:
        with self._lock:
            self._queued.clear()

    def take(self, prompt: str, kinds: Collection[str] = KINDS) -> Mishap | None:
        """The next queued mishap, else the one the prompt asks for, else none. One that is of none
        of these kinds is left for another request.
        """
        with self._lock:
            if self._queued:
                return self._queued.popleft() if self._queued[0].kind in kinds else None
        found = named(prompt)
        return found if found is not None and found.kind in kinds else None


def named(prompt: str) -> Mishap | None:
    """The first mishap that a directive of this text names."""
    for directive in directives(prompt):
        for word in directive.words:
            if word in KINDS:
                status = int(directive.number("status"))
                return Mishap(
                    word,
                    seconds=directive.number("seconds"),
                    after=int(directive.number("after")),
                    status=status if 400 <= status <= 599 else 0,
                )
    return None
