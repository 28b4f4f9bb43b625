"""A ledger with rows of our choosing, and `tokens` to read it with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.storage.database import Database
from app.storage.ledger import CHARGED, LedgerTable
from app.storage.ledger_reading import first_id
from tests.storage.test_ledger import DAY, closing, opening

NOON = DAY * 86_400_000 + 43_200_000  # of 2026-11-29
OPENED = ("mode", "platform", "model", "asked", "opened_at", "price", "stream")


class Books:
    """`call` calls `tokens` on this database."""

    def __init__(self, database: Database, call: Callable[..., Any]) -> None:
        self.url = database.url.set(drivername=database.url.get_backend_name()).render_as_string(
            hide_password=False
        )
        self._table = LedgerTable(database)
        self._call = call
        self._number = 0

    def __call__(self, *words: str, **settings: str) -> Any:
        return self._call(*words, TOKENS_DATABASE_URL=self.url, **settings)

    def add(
        self,
        licence: str = "a1b2c3d4",
        *,
        state: str = CHARGED,
        outcome: str = "ok",
        credential: str = "key-1",
        at: int = NOON,
        day: int | None = None,
        **known: Any,
    ) -> str:
        """A row that is closed, or one that stays open; its name."""
        self._number += 1
        row = opening(
            f"{first_id(at)}{self._number:012x}",
            licence,
            day=at // 86_400_000 if day is None else day,
        )
        row.row |= {"opened_at": at} | {name: known.pop(name) for name in OPENED if name in known}
        self._table.write([row], [])
        if state != "open":
            closed = closing(row, state, credential=credential, **known)
            closed.row |= {"outcome": outcome, "closed_at": at + 1234}
            self._table.write([], [closed])
        name: str = row.row["id"]
        return name
