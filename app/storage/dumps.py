"""A PostgreSQL database as a file, which PostgreSQL's own programs write and read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import sqlalchemy as sa

from app.storage.compatibility import compatibility, tables
from app.storage.database import Database

VERSIONS = "alembic_version"
_FIRST_ROW = r'^COPY ("?\w+"?)\.{} .* FROM stdin;\n(\w+)\b'
_VERSION = re.compile(_FIRST_ROW.format(VERSIONS), re.MULTILINE)
_OLDEST = re.compile(_FIRST_ROW.format(compatibility.name), re.MULTILINE)


class NoDump(Exception):
    """PostgreSQL's programs could not do it; says why."""


class NoProgram(NoDump):
    """They are not even here."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a dump of ours says of itself; `oldest` as `app.storage.compatibility` has it."""

    schema: str
    version: str
    oldest: str


def dump(database: Database, file: Path) -> int:
    """Writes what the tables hold at this moment, has it read, and how many rows that is."""
    program = _program("pg_dump")

    def work(connection: sa.Connection) -> int:
        # Counted and written is the same moment: who comes in between is in neither.
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        snapshot = connection.execute(sa.text("SELECT pg_export_snapshot()")).scalar_one()
        tables = _tables(connection)
        rows = _count(connection, tables)
        chosen = [f"--table={name}" for name in tables]
        words = [program, *_OPTIONS, f"--snapshot={snapshot}", *chosen, f"--file={file}"]
        _run([*words, f"--dbname={address(database)}"], database)
        return rows

    rows = database.write(work)
    _run([_program("pg_restore"), "--list", str(file)], database)
    return rows


def check(database: Database) -> None:
    """Raises `NoDump` where pg_dump is missing, or too old for the server."""
    words = [_program("pg_dump"), "--version"]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    query = sa.text("SHOW server_version_num")
    server = int(database.read(lambda connection: connection.execute(query).scalar_one())) // 10000
    found = re.search(r"\) (\d+)", said)
    if found is not None and int(found[1]) < server:
        raise NoDump(f"pg_dump here is of version {found[1]}, the server of {server}")


def size(database: Database) -> int:
    """How many bytes the tables take, which is more than a dump of them."""

    def work(connection: sa.Connection) -> int:
        query = sa.text("SELECT pg_total_relation_size(CAST(:name AS regclass))")
        found = (connection.execute(query, {"name": one}) for one in _tables(connection))
        return sum(int(one.scalar_one()) for one in found)

    return database.read(work)


def content(file: Path) -> Content:
    """Raises `NoDump` where the file is none of ours."""
    with TemporaryFile() as script:
        wanted = [f"--table={name}" for name in (VERSIONS, compatibility.name)]
        _translate(file, script, "--data-only", *wanted)
        said = script.read().decode("utf-8", "replace")
    found, oldest = _VERSION.search(said), _OLDEST.search(said)
    if found is None:
        raise NoDump("it is not one of a gateway")
    return Content(found[1].strip('"'), found[2], oldest[2] if oldest else found[2])


def others(database: Database) -> int:
    """How many have the database open besides us."""
    query = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    return int(database.read(lambda connection: connection.execute(query).scalar_one()))


def schema(database: Database) -> str:
    """Where the tables are, or will be."""
    query = sa.text("SELECT current_schema()")
    return str(database.read(lambda connection: connection.execute(query).scalar_one()))


def put(file: Path, database: Database) -> None:
    """What is dumped, in the place of the tables that are there: all of it, or nothing is changed."""
    program = _program("psql")
    gone = ", ".join(database.read(_tables))
    first = f"SET lock_timeout = '5s'; DROP TABLE IF EXISTS {gone} CASCADE;" if gone else "SELECT 1"
    options = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1")
    words = [program, *options, "--single-transaction", f"--dbname={address(database)}"]
    # A file without a name: whatever happens, none is left, and half of one is never carried out.
    with TemporaryFile(dir=file.parent) as script:
        _translate(file, script, "--no-owner", "--no-privileges")
        _run([*words, f"--command={first}", "--file=-"], database, script)


def count(database: Database) -> int:
    """How many rows there are."""
    return database.read(lambda connection: _count(connection, _tables(connection)))


def address(database: Database) -> str:
    """Where it is, as PostgreSQL's own programs want it, without the password."""
    return database.url.set(drivername="postgresql", password=None).render_as_string()


_OPTIONS = ("--format=custom", "--no-owner", "--no-privileges", "--no-password")


def _tables(connection: sa.Connection) -> list[str]:
    """Ours and no others; also those that a newer program has made."""
    schema = connection.execute(sa.text("SELECT current_schema()")).scalar_one()
    ours = tables(connection)
    if sa.inspect(connection).has_table(VERSIONS):
        ours.add(VERSIONS)
    return [f'"{schema}"."{name}"' for name in sorted(ours)]


def _count(connection: sa.Connection, tables: list[str]) -> int:
    rows: int = sum(
        connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables
    )
    return rows


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NoProgram(f"{name} is not installed here")
    return found


def _translate(file: Path, script: IO[bytes], *options: str) -> None:
    """Writes into `script` what a dump would have PostgreSQL do."""
    words = [_program("pg_restore"), *options, "--file=-", str(file)]
    _done(words, dict(os.environ), into=script)
    script.seek(0)


def _run(words: list[str], database: Database, given: IO[bytes] | None = None) -> None:
    """With the password where no list of processes shows it (S-008)."""
    password = database.url.password
    _done(
        words, {**os.environ, "PGPASSWORD": str(password)} if password else dict(os.environ), given
    )


def _done(
    words: list[str],
    environ: dict[str, str],
    given: IO[bytes] | None = None,
    into: IO[bytes] | None = None,
) -> None:
    done = subprocess.run(
        words,
        env=environ,
        stdin=given or subprocess.DEVNULL,
        stdout=into or subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise NoDump((said or ["it does not say why"])[-1])
