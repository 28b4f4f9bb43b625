"""What was made and where it lies: a row for each file that is kept.

A row is there before its file and goes after it, so no file is ever without one. Until the file is
whole the row has no digest and is nobody's to find; one that stays so is swept out like any other
whose time is up.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import sqlalchemy as sa

from app.storage.database import Database, metadata

Where = Literal["local", "s3"]

media = sa.Table(
    "media",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(16), nullable=False, index=True),
    sa.Column("platform", sa.String(32), nullable=False),
    sa.Column("task", sa.String(80), nullable=False, server_default=""),
    sa.Column("media_type", sa.String(40), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, server_default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False, index=True),
    sa.Column("where", sa.String(8), nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that is kept. `owner` is the name of a licence, `digest` the SHA-256 of what is in it;
    times are Unix seconds.
    """

    id: str
    owner: str
    platform: str
    task: str
    media_type: str
    size: int
    digest: str
    created_at: int
    expires_at: int
    where: Where


class Media:
    """The table of files."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kept: Kept) -> None:
        self._database.write(
            lambda connection: connection.execute(media.insert().values(**asdict(kept)))
        )

    def finish(self, id: str, *, digest: str, expires_at: int) -> None:
        """From now on it can be found."""
        change = media.update().where(media.c.id == id)
        change = change.values(digest=digest, expires_at=expires_at)
        self._database.write(lambda connection: connection.execute(change))

    def find(self, id: str, now: float, owner: str | None = None) -> Kept | None:
        """The file, if its time is not up and, where an owner is named, it is the owner's."""
        condition = sa.and_(media.c.id == id, media.c.digest != "", media.c.expires_at > now)
        if owner is not None:
            condition = sa.and_(condition, media.c.owner == owner)
        found = self._select(media.select().where(condition))
        return found[0] if found else None

    def held(self) -> int:
        """Bytes of all files, those on their way in among them."""
        query = sa.select(sa.func.coalesce(sa.func.sum(media.c.size), 0))
        total = self._database.read(lambda connection: connection.execute(query).scalar_one())
        return int(total)

    def expired(self, now: float, most: int) -> list[Kept]:
        query = media.select().where(media.c.expires_at <= now).order_by(media.c.expires_at)
        return self._select(query.limit(most))

    def oldest(self, before: float, most: int) -> list[Kept]:
        """Files that were made before then, the oldest first."""
        query = media.select().where(media.c.created_at < before, media.c.digest != "")
        return self._select(query.order_by(media.c.created_at, media.c.id).limit(most))

    def remove(self, id: str) -> bool:
        """Whether it was there."""
        removal = media.delete().where(media.c.id == id)
        return bool(self._database.write(lambda connection: connection.execute(removal).rowcount))

    def _select(self, query: sa.Select[Any]) -> list[Kept]:
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [Kept(**row._mapping) for row in rows]
