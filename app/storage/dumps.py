"""A PostgreSQL database as a file, which PostgreSQL's own programs write and read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import sqlalchemy as sa

from app.storage.database import Database, metadata

VERSIONS = "alembic_version"


class NoDump(Exception):
    """`pg_dump` is not here or could not do it; says why."""


def dump(database: Database, file: Path) -> int:
    """Writes what the tables hold at this moment, has it read, and how many rows that is."""
    program = shutil.which("pg_dump")
    if program is None:
        raise NoDump("pg_dump is not installed here")

    def work(connection: sa.Connection) -> int:
        # Counted and written is the same moment: who comes in between is in neither.
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        snapshot = connection.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
        tables = _tables(connection)
        rows: int = sum(
            connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in tables
        )
        chosen = [f"--table={name}" for name in tables]
        words = [program, *_OPTIONS, f"--snapshot={snapshot}", *chosen, f"--file={file}"]
        _run([*words, f"--dbname={address(database)}"], database)
        return rows

    rows = database.write(work)
    _run([shutil.which("pg_restore") or "pg_restore", "--list", str(file)], database)
    return rows


def address(database: Database) -> str:
    """Where it is, as PostgreSQL's own programs want it, without the password."""
    return database.url.set(drivername="postgresql", password=None).render_as_string()


_OPTIONS = ("--format=custom", "--no-owner", "--no-privileges", "--no-password")


def _tables(connection: sa.Connection) -> list[str]:
    found = sa.inspect(connection)
    schema = connection.execute(sa.text("SELECT current_schema()")).scalar_one()
    ours = sorted({*metadata.tables, VERSIONS} & set(found.get_table_names()))
    return [f'"{schema}"."{name}"' for name in ours]


def _run(words: list[str], database: Database) -> None:
    """With the password where no list of processes shows it (S-008)."""
    password = database.url.password
    environ = {**os.environ, "PGPASSWORD": str(password)} if password else dict(os.environ)
    done = subprocess.run(
        words, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise NoDump((done.stderr.strip().splitlines() or ["it does not say why"])[-1])
