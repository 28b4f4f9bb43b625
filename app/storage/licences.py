"""Licences: what we are called with, kept as digests.

A licence is 32 random bytes, so nobody can guess one from its digest and a fast hash is the right
one: a slow hash would only let a flood of wrong licences stall the streams. The first characters of
the digest are the licence's name in lists and logs.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import sqlalchemy as sa

from app.limits import AMOUNTS, BOUNDLESS, RATES, Allowance
from app.storage.allowances import allowance_columns, read_allowance
from app.storage.database import Database, metadata

PREFIX = "tok-"
NAME_LENGTH = 8
_NUMBER = re.compile(r"[0-9]{1,9}$")  # what fits a column of ours

licences = sa.Table(
    "licences",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(16), nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("label", sa.String(200), nullable=False, server_default=""),
    sa.Column("platforms", sa.Text, nullable=False, server_default=""),
    sa.Column("models", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("strict", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("groups", sa.Text, nullable=False, server_default=""),
    *(sa.Column(name, sa.BigInteger) for name in (*RATES, *AMOUNTS)),
    sa.Column("refuses", sa.Boolean, nullable=False, server_default=sa.false()),
)


@dataclass(frozen=True, slots=True)
class Licence:
    """Empty `platforms` or `models` allow all; models may be patterns such as `gpt-*`. Times are
    Unix seconds. `strict` refuses every call that would lose a field on its way. `groups` are those
    whose credentials it may use; empty allows all, also credentials without a group.
    """

    id: int
    name: str
    label: str
    platforms: tuple[str, ...]
    models: tuple[str, ...]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    strict: bool = False
    groups: tuple[str, ...] = ()
    allowance: Allowance = BOUNDLESS

    def is_live(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def digest(licence: str) -> str:
    """What is stored in place of a licence."""
    return hashlib.sha256(licence.encode()).hexdigest()


class Licences:
    """The table of licences."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        now: float,
        *,
        label: str = "",
        platforms: tuple[str, ...] = (),
        models: tuple[str, ...] = (),
        expires_at: int | None = None,
        strict: bool = False,
        groups: tuple[str, ...] = (),
        allowance: Allowance = BOUNDLESS,
    ) -> tuple[str, Licence]:
        """A new licence in words, which are never to be had again, and its row."""
        words = PREFIX + secrets.token_urlsafe(32)
        row = {
            "name": digest(words)[:NAME_LENGTH],
            "digest": digest(words),
            "label": label,
            "platforms": ",".join(platforms),
            "models": ",".join(models),
            "created_at": int(now),
            "expires_at": expires_at,
            "strict": strict,
            "groups": ",".join(groups),
            **_columns(allowance),
        }
        self._database.write(lambda connection: connection.execute(licences.insert().values(row)))
        return words, self._one(licences.c.digest == row["digest"])

    def by_digest(self, wanted: str) -> Licence | None:
        found = self._select(licences.c.digest == wanted)
        return found[0] if found else None

    def find(self, name: str) -> Licence | None:
        """The licence of that name, or of that number."""
        by_number = licences.c.id == int(name) if _NUMBER.match(name) else sa.false()
        found = self._select((licences.c.name == name) | by_number)
        return found[0] if found else None

    def all(self) -> list[Licence]:
        return self._select(sa.true())

    def revoke(self, licence: Licence, now: float) -> Licence:
        """Ends a licence for good. Revoking twice keeps the first time."""
        change = licences.update().where(
            licences.c.id == licence.id, licences.c.revoked_at.is_(None)
        )
        self._database.write(
            lambda connection: connection.execute(change.values(revoked_at=int(now)))
        )
        return self._one(licences.c.id == licence.id)

    def extend(self, licence: Licence, expires_at: int | None) -> Licence:
        """Gives a licence another end, or none. A revoked one stays revoked."""
        change = licences.update().where(licences.c.id == licence.id).values(expires_at=expires_at)
        self._database.write(lambda connection: connection.execute(change))
        return self._one(licences.c.id == licence.id)

    def allow(self, licence: Licence, change: Callable[[Allowance], Allowance]) -> Licence:
        """Gives a licence other limits: those that `change` makes of what they are by then (C-246).
        What it has used stays counted.
        """
        this = licences.c.id == licence.id

        def work(connection: sa.Connection) -> None:
            row = connection.execute(licences.select().where(this).with_for_update()).one()
            after = change(_read(row).allowance)
            connection.execute(licences.update().where(this).values(_columns(after)))

        self._database.write(work)
        return self._one(this)

    def _one(self, condition: sa.ColumnElement[bool]) -> Licence:
        return self._select(condition)[0]

    def _select(self, condition: sa.ColumnElement[bool]) -> list[Licence]:
        query = licences.select().where(condition).order_by(licences.c.id)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [_read(row) for row in rows]


def _columns(allowance: Allowance) -> dict[str, int | bool | None]:
    return allowance_columns(allowance) | {"refuses": allowance.refuses}


def _read(row: sa.Row[tuple[object, ...]]) -> Licence:
    values = row._mapping
    return Licence(
        id=values["id"],
        name=values["name"],
        label=values["label"],
        platforms=tuple(one for one in values["platforms"].split(",") if one),
        models=tuple(one for one in values["models"].split(",") if one),
        created_at=values["created_at"],
        expires_at=values["expires_at"],
        revoked_at=values["revoked_at"],
        strict=bool(values["strict"]),
        groups=tuple(one for one in values["groups"].split(",") if one),
        allowance=replace(read_allowance(values), refuses=bool(values["refuses"])),
    )
