"""How things stand, looked up for whoever asks: credentials, jobs, the ledger, the database.

Nobody waits longer than a moment. What has not been found by then is left out, and goes on in the
background: nothing that waits for a database is cut short, and nothing is looked up twice at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
from gevent import Greenlet, get_hub

from app.canonical.task import LIVE, STATES
from app.clock import Clock
from app.errors import GatewayError
from app.ledger.ledger import Ledger
from app.metrics.exposition import Found
from app.metrics.family import (
    CREDENTIALS,
    DATABASE,
    JOB_LAG,
    JOB_WORKERS,
    JOBS,
    LEDGER_JOURNAL,
    LEDGER_OLDEST,
    LEDGER_OPEN,
    LOOKED_UP,
)
from app.pool.pool import Pool
from app.storage.database import Database
from app.storage.ledger_reading import LedgerReading
from app.storage.tasks import Tasks
from app.storage.workers import Workers

SECONDS = 2.0
HEARD_OF = 60.0  # seconds in which a worker says at least once that it is there
PARTLY = "partly"


class Lookout:
    """One per worker."""

    def __init__(
        self,
        pool: Pool,
        tasks: Tasks,
        ledger: Ledger,
        database: Database,
        clock: Clock,
        seconds: float = SECONDS,
    ) -> None:
        self._pool = pool
        self._tasks = tasks
        self._workers = Workers(database)
        self._ledger = ledger
        self._reading = LedgerReading(database)
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._parts: dict[str, Callable[[], Found]] = {
            "credentials": self._credentials,
            "database": self._answers,
            "jobs": self._jobs,
            "journal": self._journal,
            "ledger": self._rows,
        }
        self._looking: dict[str, Greenlet] = {}

    def look(self) -> Found:
        for name, part in self._parts.items():
            if name not in self._looking:
                self._looking[name] = gevent.spawn(_tried, part)
        gevent.joinall(list(self._looking.values()), timeout=self._seconds)
        over = [name for name, one in self._looking.items() if one.ready()]
        parts = {name: self._looking.pop(name).value for name in over}
        found: dict[Any, Any] = {DATABASE: {(): 0.0}}
        found[LOOKED_UP] = {(name,): float(parts.get(name) is not None) for name in self._parts}
        for part in parts.values():
            found |= part or {}
        return found

    def _credentials(self) -> Found:
        counts: Counter[tuple[str, str]] = Counter()
        for (platform, word), number in self._pool.conditions().items():
            state = PARTLY if word.startswith(PARTLY) else word.replace(" ", "_")
            counts[platform, state] += number
        return {CREDENTIALS: {labels: float(number) for labels, number in counts.items()}}

    def _answers(self) -> Found:
        return {DATABASE: {(): float(self._database.version() is not None)}}

    def _jobs(self) -> Found:
        now = self._clock.now()
        counts, due = self._tasks.waiting(now)
        seen = [at for at in self._workers.seen().values() if now - at < HEARD_OF]
        return {
            JOBS: {(state,): float(counts.get(state, 0)) for state in STATES if state in LIVE},
            JOB_LAG: {(): max(now - due, 0.0) if due is not None else 0.0},
            JOB_WORKERS: {(): float(len(seen))},
        }

    def _rows(self) -> Found:
        rows, since = self._reading.open()
        age = max(self._clock.now() - since / 1000, 0.0) if since is not None else 0.0
        return {LEDGER_OPEN: {(): float(rows)}, LEDGER_OLDEST: {(): age}}

    def _journal(self) -> Found:
        rows = get_hub().threadpool.apply(self._ledger.waiting)
        return {LEDGER_JOURNAL: {(): float(rows)}}


def _tried(look: Callable[[], Found]) -> Found | None:
    try:
        return look()
    except (GatewayError, OSError):
        return None  # told as such
