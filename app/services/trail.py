"""When the attempts of a request began and ended, for whoever traces requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.clock import Clock


@dataclass(slots=True)
class Tried:
    """An attempt, in Unix seconds; it has no end as long as it has not failed."""

    began: float
    ended: float | None = None
    outcome: str = ""


@dataclass(slots=True)
class Trail:
    """What a trace is made of beside the access line. `parent` are the headers that say which trace of
    the caller's the request belongs to, `route` is the path with its placeholders.
    """

    clock: Clock
    route: str
    parent: Mapping[str, str]
    tried: list[Tried] = field(default_factory=list)

    def begin(self) -> None:
        """Another attempt."""
        self.tried.append(Tried(self.clock.now()))

    def failed(self, outcome: str) -> None:
        """The last one has."""
        if self.tried:
            self.tried[-1].ended, self.tried[-1].outcome = self.clock.now(), outcome


class Traces(Protocol):
    """Where traces go."""

    def start(self) -> None: ...

    def over(self, trail: Trail, record: Mapping[str, Any], seconds: float) -> None:
        """A request is over, so many seconds after it came."""
