"""Databases of each kind, empty."""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import sqlalchemy as sa

from app.storage.database import Database
from app.storage.schema import prepare
from tests.stack import missing

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
KINDS = ("sqlite", "postgresql")


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


@contextmanager
def made(kind: str, folder: Path, name: str) -> Iterator[Database]:
    """A database at the newest migration; `name` keeps it apart from those of other tests."""
    if kind == "sqlite":
        database = Database(f"sqlite:///{folder}/state/tokens.db")
        fill(database)
        yield database
        database.close()
        return
    schema = f"tokens_{os.getpid()}_{abs(hash(name)) % 10**8}"
    admin = sa.create_engine(POSTGRES.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with admin.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA {schema}"))
    except sa.exc.OperationalError:
        missing("PostgreSQL")
    database = Database(f"{POSTGRES}?options=-csearch_path%3D{schema}")
    prepare(database)
    yield database
    database.close()
    with admin.begin() as connection:
        connection.execute(sa.text(f"DROP SCHEMA {schema} CASCADE"))
    admin.dispose()
