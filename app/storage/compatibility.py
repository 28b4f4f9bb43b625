"""What the database says of itself to programs that do not know its newest migration.

A program finds there whether it is too old for what newer ones have made of the database, and which
tables are a gateway's, be they newer than itself.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.storage.database import HEAD, Database, metadata

# As this program knows them, whatever of it is imported; a test compares.
TABLES = frozenset(
    """accounts bindings compatibility credentials health idempotency ledger ledger_days licences media
    memories tasks versions webhooks workers""".split()
)

compatibility = sa.Table(
    "compatibility",
    metadata,
    sa.Column("oldest", sa.String(32), primary_key=True),
    sa.Column("tables", sa.Text, nullable=False),
)


def note(connection: sa.Connection, oldest: str) -> None:
    """From now on programs have to know this migration at least."""
    connection.execute(compatibility.delete())
    values = {"oldest": oldest, "tables": " ".join(sorted(TABLES))}
    connection.execute(compatibility.insert().values(values))


def oldest(database: Database) -> str:
    """The migration that a program has to know at least; the one it is at where it does not say."""
    row = database.read(_found)
    return row[0] if row else database.version() or ""


def tables(connection: sa.Connection) -> set[str]:
    """Those of a gateway that are there."""
    row = _found(connection)
    told = row[1].split() if row else []
    return {*TABLES, *told} & set(sa.inspect(connection).get_table_names())


def outgrown(version: str, oldest: str) -> bool:
    """Whether this program is too old for a database at this version."""
    return version > HEAD and oldest > HEAD


def _found(connection: sa.Connection) -> tuple[str, str] | None:
    if not sa.inspect(connection).has_table(compatibility.name):
        return None
    row = connection.execute(compatibility.select()).first()
    return (row.oldest, row.tables) if row else None
