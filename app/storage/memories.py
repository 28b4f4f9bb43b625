"""Short texts that platforms keep for a licence, for a while.

What is out of date is not found any more, and swept out when something new is kept.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.clock import Clock
from app.storage.database import Database, metadata

memories = sa.Table(
    "memories",
    metadata,
    sa.Column("platform", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(16), primary_key=True),
    sa.Column("key", sa.String(120), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("until", sa.BigInteger, nullable=False),
    sa.Index("memories_until", "until"),
)


class Memories:
    """What one platform keeps."""

    def __init__(self, database: Database, platform: str, clock: Clock) -> None:
        self._database = database
        self._platform = platform
        self._clock = clock

    def keep(
        self, owner: str, key: str, value: str, seconds: float, *, durable: bool = True
    ) -> None:
        now = int(self._clock.now())
        row = {
            "platform": self._platform,
            "owner": owner,
            "key": key,
            "value": value,
            "until": now + int(seconds),
        }

        def work(connection: sa.Connection) -> None:
            connection.execute(memories.delete().where(memories.c.until <= now))
            connection.execute(memories.delete().where(self._at(owner, key)))
            connection.execute(memories.insert().values(row))

        self._database.write(work, durable=durable)

    def find(self, owner: str, key: str) -> str | None:
        query = sa.select(memories.c.value).where(self._live(owner, key))
        return self._database.read(lambda connection: connection.execute(query).scalar())

    def take(self, owner: str, key: str) -> str | None:
        """Finds and forgets it; of several who take at once, one finds it."""
        taking = memories.delete().where(self._live(owner, key)).returning(memories.c.value)
        return self._database.write(lambda connection: connection.execute(taking).scalar())

    def _at(self, owner: str, key: str) -> sa.ColumnElement[bool]:
        table = memories.c
        return sa.and_(table.platform == self._platform, table.owner == owner, table.key == key)

    def _live(self, owner: str, key: str) -> sa.ColumnElement[bool]:
        return sa.and_(self._at(owner, key), memories.c.until > int(self._clock.now()))
