"""Which processes work on jobs, as far as they say so."""

from __future__ import annotations

import sqlalchemy as sa

from app.storage.database import Database, metadata

FORGOTTEN_SECONDS = 86400.0

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("name", sa.String(300), primary_key=True),
    sa.Column("seen_at", sa.Float, nullable=False),
)


class Workers:
    """The table of them: a name for each process, and when it was last heard of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, name: str, now: float) -> None:
        """It is at work. Those who have not been for a day are forgotten."""

        def work(connection: sa.Connection) -> None:
            stale = (workers.c.name == name) | (workers.c.seen_at < now - FORGOTTEN_SECONDS)
            connection.execute(workers.delete().where(stale))
            connection.execute(workers.insert().values(name=name, seen_at=now))

        self._database.write(work)

    def leave(self, name: str) -> None:
        """It has ended as it should."""
        gone = workers.delete().where(workers.c.name == name)
        self._database.write(lambda connection: connection.execute(gone))

    def seen(self) -> dict[str, float]:
        """When each was last heard of."""
        query = sa.select(workers.c.name, workers.c.seen_at).order_by(workers.c.seen_at.desc())
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row[0]: row[1] for row in rows}
