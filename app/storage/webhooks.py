"""Whom a licence wants told when its work is over, and the sealed secret that what is told is signed
with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import sqlalchemy as sa

from app.storage.database import Database, metadata

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("owner", sa.String(16), primary_key=True),
    sa.Column("url", sa.Text, nullable=False, server_default=""),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """`owner` is the name of a licence. Without a `url` only requests that name one are told of."""

    owner: str
    url: str
    sealed: str
    created_at: int


class Hooks:
    """The table of webhooks, at most one a licence."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, owner: str) -> Hook | None:
        query = webhooks.select().where(webhooks.c.owner == owner)
        row = self._database.read(lambda connection: connection.execute(query).first())
        return Hook(**row._mapping) if row else None

    def all(self) -> list[Hook]:
        query = webhooks.select().order_by(webhooks.c.owner)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [Hook(**row._mapping) for row in rows]

    def put(self, hook: Hook) -> None:
        """In place of the one there was."""

        def work(connection: sa.Connection) -> None:
            connection.execute(webhooks.delete().where(webhooks.c.owner == hook.owner))
            connection.execute(webhooks.insert().values(**asdict(hook)))

        self._database.write(work)

    def remove(self, owner: str) -> bool:
        """Whether there was one."""
        removal = webhooks.delete().where(webhooks.c.owner == owner)
        return bool(self._database.write(lambda connection: connection.execute(removal).rowcount))
