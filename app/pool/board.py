"""Where workers tell each other what they know: the database always, Redis too where several hosts
share the work.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from app.pool.rest import Rest, merged
from app.storage.bindings import Bindings, Bound
from app.storage.credentials import Credentials, Kept
from app.storage.database import Database
from app.storage.health import Health, Row
from app.storage.versions import Versions

MOST_BINDINGS = 100_000
SWEPT_AFTER = 86400.0  # seconds that a rest stays in the database when it is over


@dataclass(slots=True)
class News:
    """What others have told since one looked last. `credentials` are all of them, if any changed."""

    credentials: Sequence[Kept] | None = None
    rests: Sequence[Rest] = ()
    bindings: Mapping[str, Bound] = field(default_factory=dict)


class Board(Protocol):
    def news(self) -> News: ...

    def tell(self, rests: Sequence[Rest], bindings: Mapping[str, Bound], now: float) -> None: ...

    def claim(self, rest: Rest, now: float) -> bool:
        """Takes the one probe that the rest allows when it is over."""

    def sweep(self, now: float) -> None:
        """Forgets what has been over for long."""


class DatabaseBoard:
    """Seen by all who share the database, and after a restart."""

    def __init__(self, database: Database) -> None:
        self._versions = Versions(database)
        self._credentials = Credentials(database)
        self._health = Health(database)
        self._bindings = Bindings(database)
        self._seen: dict[str, int] = {}

    def news(self) -> News:
        versions = self._versions.current()
        news, seen = News(), self._seen
        if versions["credentials"] != seen.get("credentials"):
            news.credentials = self._credentials.all()
        if versions["health"] != seen.get("health"):
            rows = self._health.since(seen.get("health", -1))
            news.rests = [Rest(**row) for row in rows]
        if versions["bindings"] != seen.get("bindings"):
            news.bindings = self._bindings.since(seen.get("bindings", -1), MOST_BINDINGS)
        self._seen = versions
        return news

    def tell(self, rests: Sequence[Rest], bindings: Mapping[str, Bound], now: float) -> None:
        if rests:
            self._health.put([asdict(rest) for rest in rests], _merged)
        if bindings:
            self._bindings.put(bindings, now)

    def claim(self, rest: Rest, now: float) -> bool:
        return self._health.claim(asdict(rest), now)

    def sweep(self, now: float) -> None:
        self._health.sweep(now - SWEPT_AFTER)


def make_boards(database: Database, redis_url: str) -> list[Board]:
    """All the boards there are."""
    boards: list[Board] = [DatabaseBoard(database)]
    if redis_url:
        redis = importlib.import_module("app.pool.redis_board")  # slow, and seldom needed
        boards.append(redis.RedisBoard(redis_url))
    return boards


def _merged(one: Row, other: Row) -> Row:
    return asdict(merged(Rest(**one), Rest(**other)))
