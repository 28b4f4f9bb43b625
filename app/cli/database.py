"""The database as commands use it: made where there is none, and never changed in its form."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from app.cli.words import Complaint
from app.config import Settings
from app.storage.compatibility import oldest, outgrown
from app.storage.database import HEAD, Database, DatabaseTrouble


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database these settings name, in a form that this program can use. Its troubles become complaints."""
    with used(named(settings)) as database:
        _make(database)
        check_usable(database)
        yield database


@contextmanager
def looked_at(settings: Settings) -> Iterator[Database | None]:
    """The database as it is, of which nothing is changed; None where there is none yet."""
    with used(named(settings, read_only=True)) as database:
        there = database.file is None or database.file.exists()
        yield database if there and check_usable(database) else None


@contextmanager
def used(database: Database) -> Iterator[Database]:
    """Closes it in the end. Its troubles become complaints."""
    try:
        yield database
    except DatabaseTrouble as trouble:
        raise _complaint(database, trouble) from trouble
    finally:
        database.close()


def named(settings: Settings, *, read_only: bool = False) -> Database:
    """The database these settings name, as it is."""
    try:
        return Database(settings.database_url, read_only=read_only)
    except ValueError as error:
        raise Complaint(f"TOKENS_DATABASE_URL {error}") from error


def is_there(settings: Settings) -> bool:
    """Whether there is a database to look into; what is no file of ours counts as there."""
    database = named(settings, read_only=True)
    try:
        return database.file is None or database.file.exists()
    finally:
        database.close()


def why(error: BaseException) -> str:
    """What the database or the system said, in one line."""
    cause = error.__cause__ or error
    words = str(getattr(cause, "orig", None) or getattr(cause, "strerror", None) or cause)
    return words.strip().splitlines()[0]


def _make(database: Database) -> None:
    try:
        database.make_place()
    except OSError as error:
        raise _complaint(database, error) from error
    if database.version() is None:
        importlib.import_module("app.storage.schema").prepare(database)


def check_usable(database: Database) -> str | None:
    """The migration it is at, None if at none. Complains where it is too old or too new for this program."""
    version = database.version()
    check_known(database, version)
    if version is None or version >= HEAD:
        return version
    raise Complaint(
        f"the database is at migration {version} and this program needs {HEAD}; "
        "`tokens upgrade --check` says what that takes, `tokens upgrade` does it"
    )


def check_known(database: Database, version: str | None) -> None:
    """Complains of a database that a newer program has made something of that this one cannot use."""
    if version is not None and version > HEAD:
        check_version(version, oldest(database))


def check_version(version: str, needs: str) -> None:
    """Complains of a version that programs have to know more than this one for."""
    if outgrown(version, needs):
        raise Complaint(
            f"the database is at version {version}, which only a newer program than this one can use; "
            "install that one, or set TOKENS_DATABASE_URL to another database"
        )


def _complaint(database: Database, error: Exception) -> Complaint:
    can = f"{database.file} can be written" if database.file else "TOKENS_DATABASE_URL is right"
    return Complaint(f"the database cannot be used ({why(error)}); check that {can}")
