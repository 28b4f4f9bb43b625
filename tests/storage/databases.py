"""Databases of each kind, empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from app.storage.database import Database
from app.storage.schema import prepare
from tests.stack import missing

POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
KINDS = ("sqlite", "postgresql")


@contextmanager
def made(kind: str, folder: Path, name: str) -> Iterator[Database]:
    """A database at the newest migration; `name` keeps it apart from those of other tests."""
    if kind == "sqlite":
        database = Database(f"sqlite:///{folder}/state/tokens.db")
        prepare(database)
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
