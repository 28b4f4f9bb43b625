"""Databases of each kind, empty."""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import sqlalchemy as sa

from app.storage.compatibility import TABLES
from app.storage.database import Database
from app.storage.schema import prepare
from tests.stack import missing

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
KINDS = ("sqlite", "postgresql")
FIXED = {"alembic_version", "compatibility"}  # which say what form the others have


@cache
def _template() -> Path:
    """A SQLite file at the newest migration. Getting there takes longer than most tests, so it is done
    once, and tests begin with copies.
    """
    folder = Path(mkdtemp(prefix="tokens-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    database = Database(f"sqlite:///{folder}/tokens.db")
    prepare(database)
    database.close()
    assert [file.name for file in folder.iterdir()] == ["tokens.db"]  # no journal beside it
    return folder / "tokens.db"


def fill(database: Database) -> None:
    """Brings an empty SQLite database to the newest migration."""
    database.make_place()
    assert database.file is not None
    shutil.copyfile(_template(), database.file)


@cache
def _postgres() -> sa.Engine:
    return sa.create_engine(POSTGRES.replace("postgresql:", "postgresql+psycopg:"))


@dataclass(frozen=True, slots=True)
class _Schema:
    """A place in PostgreSQL at the newest migration. Getting there takes half a second, so tests begin with one that
    was emptied again. `form` is what it was like at first, `rows` what migrations put there.
    """

    name: str
    form: object
    rows: dict[str, list[dict[str, Any]]]

    @classmethod
    def new(cls, name: str) -> _Schema:
        try:
            with _postgres().begin() as admin:
                admin.execute(
                    sa.text(f"DROP SCHEMA IF EXISTS {name} CASCADE")
                )  # of a run that was killed
                admin.execute(sa.text(f"CREATE SCHEMA {name}"))
        except sa.exc.OperationalError:
            missing("PostgreSQL")
        database = Database(f"{POSTGRES}?options=-csearch_path%3D{name}")
        prepare(database)
        database.close()
        with _postgres().connect() as admin:
            rows = {one: _rows(admin, name, one) for one in sorted(TABLES - FIXED)}
            return cls(name, _form(admin, name), rows)

    def emptied(self) -> bool:
        """Whether it is as it was at first, once nothing is in it but what migrations put there."""
        with _postgres().begin() as admin:
            if _form(admin, self.name) != self.form:
                return False
            for table, rows in self.rows.items():
                admin.execute(sa.text(f"DELETE FROM {self.name}.{table}"))
                for row in rows:
                    words = f"({', '.join(row)}) VALUES (:{', :'.join(row)})"
                    admin.execute(sa.text(f"INSERT INTO {self.name}.{table} {words}"), row)
        return True

    def drop(self) -> None:
        with _postgres().begin() as admin:
            admin.execute(sa.text(f"DROP SCHEMA {self.name} CASCADE"))


def _form(admin: sa.Connection, schema: str) -> object:
    """Its tables and their columns, and the rows that say which migration it is at."""
    columns = sa.text(
        """SELECT relname, attname, attnum FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
        WHERE relnamespace = CAST(:schema AS regnamespace) ORDER BY 1, 3"""
    )
    form = admin.execute(columns, {"schema": schema}).all()
    return form, [_rows(admin, schema, one) for one in sorted(FIXED)]


def _rows(admin: sa.Connection, schema: str, table: str) -> list[dict[str, Any]]:
    return [dict(one._mapping) for one in admin.execute(sa.text(f"SELECT * FROM {schema}.{table}"))]


@cache
def _spare() -> list[_Schema]:
    """Those that nobody uses just now."""
    spare: list[_Schema] = []
    atexit.register(lambda: [one.drop() for one in spare])
    return spare


@contextmanager
def made(kind: str, folder: Path, name: str, *, anew: bool = False) -> Iterator[Database]:
    """A database at the newest migration; `name` keeps it apart from those of other tests. It is made `anew` for
    tests that kill processes, of which something may still be on its way when the test is over.
    """
    if kind == "sqlite":
        database = Database(f"sqlite:///{folder}/state/tokens.db")
        fill(database)
        yield database
        database.close()
        return
    spare = [] if anew else _spare()
    own = f"tokens_{os.getpid()}_{abs(hash(name)) % 10**8}"
    schema = spare.pop() if spare else _Schema.new(own)
    database = Database(f"{POSTGRES}?options=-csearch_path%3D{schema.name}")
    yield database
    database.close()
    if anew or not schema.emptied():
        schema.drop()
    else:
        spare.append(schema)
