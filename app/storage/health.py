"""What is held against credentials, as all workers know it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa

from app.storage.database import Database, metadata
from app.storage.versions import grown

FAMILY = "health"
Row = dict[str, Any]

health = sa.Table(
    "health",
    metadata,
    sa.Column("credential", sa.String(64), primary_key=True),
    sa.Column("model", sa.String(200), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("why", sa.String(200), nullable=False),
    sa.Column("probed_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("recovered_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("version", sa.BigInteger, nullable=False, index=True),
)


class Health:
    """The table of rests. Rows are mappings of its columns, without the version."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, rows: Iterable[Row], merge: Callable[[Row, Row], Row]) -> None:
        """Keeps the rows, each merged with what is there of it already."""

        def work(connection: sa.Connection) -> None:
            version = grown(connection, FAMILY)
            for row in rows:
                here = _at(row)
                found = connection.execute(health.select().where(here)).first()
                if found is None:
                    connection.execute(health.insert().values({**row, "version": version}))
                    continue
                both = merge(_read(found), row) | {"version": version}
                connection.execute(health.update().where(here).values(both))

        self._database.write(work)

    def claim(self, row: Row, now: float) -> bool:
        """Takes the one probe that a rest allows when it is over. Of several who try, one gets it."""

        def work(connection: sa.Connection) -> bool:
            free = sa.and_(_at(row), health.c.until <= now, health.c.probed_at < health.c.until)
            taking = health.update().where(free).values(probed_at=now)
            if connection.execute(taking).rowcount:
                version = grown(connection, FAMILY)
                connection.execute(health.update().where(_at(row)).values(version=version))
                return True
            # Not there at all: it is so new that it has not been written yet.
            there = sa.select(health.c.kind).where(_at(row))
            return connection.execute(there).first() is None

        return self._database.write(work)

    def since(self, version: int) -> list[Row]:
        """The rows that changed after this version."""
        query = health.select().where(health.c.version > version)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [_read(row) for row in rows]

    def of(self, credential: str) -> list[Row]:
        query = health.select().where(health.c.credential == credential)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [_read(row) for row in rows]

    def sweep(self, before: float) -> None:
        """Forgets what has been over since `before`."""
        old = sa.and_(health.c.until < before, health.c.since < before)
        self._database.write(lambda connection: connection.execute(health.delete().where(old)))


def _at(row: Row) -> sa.ColumnElement[bool]:
    return sa.and_(
        health.c.credential == row["credential"],
        health.c.model == row["model"],
        health.c.kind == row["kind"],
    )


def _read(row: sa.Row[Any]) -> Row:
    values = dict(row._mapping)
    del values["version"]
    return values
