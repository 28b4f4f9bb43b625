"""The pool as commands look at it: everything that is known of the credentials, and no token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.database import is_there, opened
from app.cli.words import Complaint
from app.clock import SystemClock
from app.config import Settings, day_starts
from app.days import Days
from app.errors import GatewayError
from app.pool.board import make_boards
from app.pool.host_tally import HostTally
from app.pool.pool import Pool
from app.pool.rest import Rules
from app.pool.slate import Slate
from app.pool.spending import Spending
from app.pool.vault import Closed
from app.pool.window import WINDOWS
from app.storage.ledger_reading import LedgerReading


@contextmanager
def looking(chosen: Settings) -> Iterator[Pool]:
    """A pool that knows what the workers have told each other. How busy they are it cannot know."""
    keys = {name: one.keys for name, one in chosen.platforms.items()}
    counters, window = Path(chosen.counters_file), WINDOWS[chosen.minute_window]
    days = Days(day_starts(chosen.day_starts))
    pool = Pool(
        keys,
        SystemClock(),
        vault=Closed(),
        tally=HostTally(lambda: Slate(counters), window) if counters.exists() else None,
        rules=Rules(chosen.rest_seconds, chosen.retire_after),
        days=days,
    )
    if not is_there(chosen):
        yield pool  # looking makes nothing
        return
    with opened(chosen) as database:
        for board in make_boards(database, chosen.redis_url):
            try:
                pool.take(board.news())
            except GatewayError as error:
                raise Complaint(f"{error}; check TOKENS_REDIS_URL") from error
        if pool.purses:
            Spending(pool, LedgerReading(database), days).look(pool.clock.ticks())
        yield pool
