"""The database as commands use it: made and brought up to date where that is still to do."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from app.cli.words import Complaint
from app.config import Settings
from app.storage.database import HEAD, Database, DatabaseTrouble


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database these settings name, at the newest migration. Its troubles become complaints."""
    database = named(settings)
    try:
        _prepare(database)
        yield database
    except DatabaseTrouble as trouble:
        raise _complaint(database, trouble) from trouble
    finally:
        database.close()


@contextmanager
def looked_at(settings: Settings) -> Iterator[Database | None]:
    """The database as it is, of which nothing is changed; None where there is none yet."""
    database = named(settings, read_only=True)
    try:
        there = database.file is None or database.file.exists()
        version = database.version() if there else None
        check_version(version)
        if version not in (None, HEAD):
            raise Complaint("the database is older than this program; `tokens serve` updates it")
        yield database if version else None
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


def _prepare(database: Database) -> None:
    try:
        database.make_place()
    except OSError as error:
        raise _complaint(database, error) from error
    version = database.version()
    if version == HEAD:
        return
    check_version(version)
    importlib.import_module("app.storage.schema").prepare(database)


def check_version(version: str | None) -> None:
    """Complains of a database that a newer program has been at."""
    if version is None or importlib.import_module("app.storage.schema").knows(version):
        return
    raise Complaint(
        f"the database is at version {version}, which only a newer program than this one knows; "
        "install that one, or set TOKENS_DATABASE_URL to another database"
    )


def _complaint(database: Database, error: Exception) -> Complaint:
    can = f"{database.file} can be written" if database.file else "TOKENS_DATABASE_URL is right"
    return Complaint(f"the database cannot be used ({why(error)}); check that {can}")
