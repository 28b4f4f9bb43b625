"""Rows of the ledger as they are closed, each once.

Rows are closed in another order than they were opened in, and appear in another than their names say:
a caller may take its time with the body. So the names of the last minute are looked through each time,
those that were seen open are asked for until they are closed, and now and then all is looked through
that may still be open.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.storage.ledger_reading import LOOK_BACK_MS, LedgerReading

LATE_MS = 60_000  # clocks of hosts differ, and so does how long a body takes
THOROUGH_MS = 60_000  # between two looks at all that may be open
KNOWN_MS = 4 * LATE_MS


class Closings:
    """Rows that fit `only`, from the first look on."""

    def __init__(self, reading: LedgerReading, only: Mapping[str, str]) -> None:
        self._reading = reading
        self._only = only
        self._open: set[str] = set()
        self._known: dict[str, int] = {}  # when they were seen closed
        self._thorough_at = 0

    def look(self, now: int) -> list[dict[str, Any]]:
        """What has been closed since the last look. The first one gives what need not be shown: what was
        closed shortly before it.
        """
        since = now - LATE_MS
        if now >= self._thorough_at:
            since, self._thorough_at = now - LOOK_BACK_MS, now + THOROUGH_MS
        names = self._reading.names(since, now - THOROUGH_MS - LATE_MS, self._only)
        wanted = self._open.union(names).difference(self._known)
        rows = self._reading.closed(sorted(wanted))
        self._open = wanted.difference(row["id"] for row in rows)
        self.know(rows, now)
        for name in [name for name, at in self._known.items() if at < now - KNOWN_MS]:
            del self._known[name]
        return rows

    def know(self, rows: list[dict[str, Any]], now: int) -> None:
        """These have been shown; those of them that are open will be again."""
        for row in rows:
            if row["closed_at"] is not None:
                self._known[row["id"]] = now
                self._open.discard(row["id"])
