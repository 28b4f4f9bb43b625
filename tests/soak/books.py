"""What a ledger says of itself, as another process sees it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.storage.database import Database
from app.storage.ledger import accounts, days, ledger

COUNTED = ("input", "output", "charge")


def address(database: Database) -> str:
    """What a gateway is told to find the same database."""
    return database.url.render_as_string(hide_password=False).replace("+psycopg", "")


def states(database: Database) -> dict[str, str]:
    """Of every row, by its request."""
    query = sa.select(ledger.c.id, ledger.c.state)
    return dict(database.read(lambda connection: [tuple(row) for row in connection.execute(query)]))


def check_sums(database: Database) -> None:
    """Each row stands once in its day, and nothing is held back for calls that are no more."""

    def work(connection: sa.Connection) -> Any:
        sums = [sa.func.sum(days.c[name]) for name in ("calls", *COUNTED)]
        rows = [sa.func.count(), *(sa.func.sum(ledger.c[name]) for name in COUNTED)]
        held = sa.select(accounts.c.held_tokens, accounts.c.held_money)
        return (
            connection.execute(sa.select(*sums)).one(),
            connection.execute(sa.select(*rows)).one(),
            connection.execute(held).all(),
        )

    of_days, of_rows, held = database.read(work)
    assert [int(one) for one in of_days] == [int(one) for one in of_rows]
    assert {tuple(row) for row in held} <= {(0, 0)}


def check_whole(database: Database) -> None:
    """What SQLite says of its file."""
    check = sa.text("PRAGMA integrity_check")
    assert database.read(lambda connection: connection.execute(check).scalar()) == "ok"
