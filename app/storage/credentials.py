"""The operator's credentials: sealed tokens, and how each is to be used."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.limits import AMOUNTS, RATES, Allowance
from app.storage.allowances import allowance_columns, read_allowance
from app.storage.database import Database, metadata
from app.storage.versions import grown

FAMILY = "credentials"
_NUMBER = re.compile(r"[0-9]{1,9}$")  # what fits a column of ours

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(16), nullable=False, unique=True),
    sa.Column("platform", sa.String(32), nullable=False),
    sa.Column("label", sa.String(200), nullable=False, server_default=""),
    sa.Column("sealed", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(32), nullable=False),
    sa.Column("groups", sa.Text, nullable=False, server_default=""),
    sa.Column("weight", sa.Integer, nullable=False, server_default="1"),
    sa.Column("priority", sa.Integer, nullable=False, server_default="0"),
    sa.Column("base_url", sa.Text, nullable=False, server_default=""),
    *(sa.Column(name, sa.BigInteger) for name in (*RATES, *AMOUNTS)),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("platform", "fingerprint", name="credentials_once"),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A credential as it is kept: the token, and the address of a proxy, only as a seal. `name` is
    what the seal names as its owner, and what everything else knows the credential by.
    """

    id: int
    name: str
    platform: str
    label: str
    sealed: str
    fingerprint: str
    groups: tuple[str, ...]
    weight: int
    priority: int
    base_url: str
    allowance: Allowance
    enabled: bool
    note: str
    created_at: int


class AlreadyKept(Exception):
    """The same token is there for the same platform, under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def new_name() -> str:
    return "cr_" + secrets.token_hex(4)


class Credentials:
    """The table of credentials. Every change is seen by all workers within a second."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, values: Mapping[str, Any]) -> Kept:
        """Keeps a new one. `values` are columns: `name` (of `new_name`), `platform`, `sealed`,
        `fingerprint`, `created_at`, and whichever others are known. Raises `AlreadyKept`.

        A `sealed` may be a function, here and in every change: it seals when nobody else can change
        credentials, so that a rotation is either over or yet to come.
        """

        def work(connection: sa.Connection) -> int:
            grown(connection, FAMILY)
            self._refuse_twin(connection, values["platform"], values["fingerprint"])
            done = connection.execute(credentials.insert().values(_columns(values)))
            assert done.inserted_primary_key is not None
            return int(done.inserted_primary_key[0])

        made = self._database.write(work)
        return self._select(credentials.c.id == made)[0]

    def add_many(self, rows: Sequence[Mapping[str, Any]]) -> list[AlreadyKept | None]:
        """Keeps new ones in one transaction; what is there already is told for each."""

        def work(connection: sa.Connection) -> list[AlreadyKept | None]:
            found: list[AlreadyKept | None] = []
            if rows:
                grown(connection, FAMILY)
            for row in rows:
                twin = self._twin(connection, row["platform"], row["fingerprint"])
                found.append(AlreadyKept(twin) if twin else None)
                if twin is None:
                    connection.execute(credentials.insert().values(_columns(row)))
            return found

        return self._database.write(work)

    def change(self, kept: Kept, values: Mapping[str, Any]) -> Kept:
        """Changes columns. Raises `AlreadyKept` where another has the token already."""

        def work(connection: sa.Connection) -> None:
            grown(connection, FAMILY)
            if "fingerprint" in values:
                platform = values.get("platform", kept.platform)
                self._refuse_twin(connection, platform, values["fingerprint"], but=kept.id)
            here = credentials.c.id == kept.id
            connection.execute(credentials.update().where(here).values(_columns(values)))

        self._database.write(work)
        return self._select(credentials.c.id == kept.id)[0]

    def reseal(self, sealing: Callable[[list[Kept]], Mapping[int, str]]) -> None:
        """Puts other seals in rows, all or none. `sealing` is given all that are kept and gives seals
        by number; until they are kept, nobody else changes anything.
        """

        def work(connection: sa.Connection) -> None:
            grown(connection, FAMILY)
            rows = connection.execute(credentials.select().order_by(credentials.c.id))
            for number, seal in sealing([read_row(row) for row in rows]).items():
                here = credentials.c.id == number
                connection.execute(credentials.update().where(here).values(sealed=seal))

        self._database.write(work)

    def remove(self, kept: Kept) -> None:
        def work(connection: sa.Connection) -> None:
            grown(connection, FAMILY)
            connection.execute(credentials.delete().where(credentials.c.id == kept.id))

        self._database.write(work)

    def all(self) -> list[Kept]:
        return self._select(sa.true())

    def find(self, name: str) -> Kept | None:
        """The credential of that name, or of that number."""
        by_number = credentials.c.id == int(name) if _NUMBER.match(name) else sa.false()
        found = self._select((credentials.c.name == name) | by_number)
        return found[0] if found else None

    def _refuse_twin(
        self, connection: sa.Connection, platform: str, fingerprint: str, *, but: int = 0
    ) -> None:
        if (twin := self._twin(connection, platform, fingerprint, but)) is not None:
            raise AlreadyKept(twin)

    def _twin(
        self, connection: sa.Connection, platform: str, fingerprint: str, but: int = 0
    ) -> str | None:
        """The name of another credential with the same token."""
        query = sa.select(credentials.c.name).where(
            credentials.c.platform == platform,
            credentials.c.fingerprint == fingerprint,
            credentials.c.id != but,
        )
        name: str | None = connection.execute(query).scalar()
        return name

    def _select(self, condition: sa.ColumnElement[bool]) -> list[Kept]:
        query = credentials.select().where(condition).order_by(credentials.c.id)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [read_row(row) for row in rows]


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table has them."""
    columns = dict(values)
    if callable(sealed := columns.get("sealed")):
        columns["sealed"] = sealed()
    if "groups" in columns:
        columns["groups"] = ",".join(columns["groups"])
    if (allowance := columns.pop("allowance", None)) is not None:
        columns |= allowance_columns(allowance)
    return columns


def read_row(row: sa.Row[Any]) -> Kept:
    found: dict[str, Any] = dict(row._mapping)
    allowance = read_allowance({name: found.pop(name) for name in (*RATES, *AMOUNTS)})
    found["groups"] = tuple(one for one in found["groups"].split(",") if one)
    found["enabled"] = bool(found["enabled"])
    return Kept(**found, allowance=allowance)
