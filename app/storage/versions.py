"""A number for each family of tables that grows with every change, so that whoever keeps a copy in
memory asks for one number to know whether it is still good.

It grows in the transaction of the change itself: who reads a version reads all that led to it.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.storage.database import Database, metadata

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("of", sa.String(16), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
)


def grown(connection: sa.Connection, name: str) -> int:
    """The next version; others who change the same family wait until this transaction is over."""
    change = versions.update().where(versions.c.of == name)
    change = change.values(version=versions.c.version + 1)
    version: int = connection.execute(change.returning(versions.c.version)).scalar_one()
    return version


def current(connection: sa.Connection) -> dict[str, int]:
    """The versions of all families."""
    rows = connection.execute(sa.select(versions.c.of, versions.c.version))
    return {row[0]: row[1] for row in rows}


class Versions:
    """Reads them all at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> dict[str, int]:
        return self._database.read(current)
