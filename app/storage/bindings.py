"""Which credential a session stays with."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from app.storage.database import Database, metadata
from app.storage.versions import grown

FAMILY = "bindings"
Bound = tuple[str, int]  # the credential, and until when

bindings = sa.Table(
    "bindings",
    metadata,
    sa.Column("session", sa.String(64), primary_key=True),
    sa.Column("credential", sa.String(64), nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False, index=True),
    sa.Column("version", sa.BigInteger, nullable=False, index=True),
)


class Bindings:
    """The table of sessions. What is out of date is swept out when something new is kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, bound: Mapping[str, Bound], now: float) -> None:
        def work(connection: sa.Connection) -> None:
            version = grown(connection, FAMILY)
            connection.execute(bindings.delete().where(bindings.c.until <= int(now)))
            connection.execute(bindings.delete().where(bindings.c.session.in_(list(bound))))
            rows = [
                {"session": session, "credential": one, "until": until, "version": version}
                for session, (one, until) in bound.items()
            ]
            connection.execute(bindings.insert(), rows)

        self._database.write(work)

    def since(self, version: int, most: int) -> dict[str, Bound]:
        """The newest of those that changed after this version."""
        query = (
            bindings.select()
            .where(bindings.c.version > version)
            .order_by(bindings.c.version.desc())
            .limit(most)
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row.session: (row.credential, row.until) for row in reversed(rows)}
