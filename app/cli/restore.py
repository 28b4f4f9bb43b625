"""`tokens restore`: puts a backup into the place of the database."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

import sqlalchemy as sa

from app.cli import restore_dump
from app.cli.database import check_known, named, why
from app.cli.restore_dump import came_to
from app.cli.words import Complaint, file_said, settings
from app.storage import copies
from app.storage.database import Database, DatabaseTrouble
from app.storage.schema import prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="what `tokens backup` has written")
    parser.epilog = (
        "End the gateway and its workers before. The database that is there now is kept: a file of "
        "SQLite beside itself, and PostgreSQL's as a dump beside FILE, with .before behind the name."
    )


def run(options: argparse.Namespace) -> int:
    file = Path(options.file)
    with closing(named(settings())) as database:
        if database.file is None:
            return restore_dump.run(database, file)
        place = database.file.resolve()
        with _made(file, place) as copy:
            rows, version = _checked(file, copy)
            before = _put(copy, place)
    print(f"{place}: {rows} rows, {came_to(version)}")
    if before:
        print(f"the former database is {before}")
    return 0


@contextmanager
def _made(file: Path, place: Path) -> Iterator[Path]:
    """A copy of the backup beside the database."""
    copy = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        if not file.is_file():
            raise Complaint(f"there is no file {file_said(str(file))}")
        if file.samefile(place) if place.exists() else False:
            raise Complaint(f"{file_said(str(file))} is the database itself")
        with file.open("rb"):
            pass  # only to hear of it if it may not be read
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        copies.take_apart(file, copy)
        yield copy
    except copies.NoCopy as error:
        raise Complaint(
            f"{file_said(str(file))} is no backup that can be used ({error}); nothing was changed"
        ) from error
    except OSError as error:
        words = f"cannot restore {file_said(str(file))}: {error.strerror}; nothing was changed"
        raise Complaint(words) from error
    finally:
        copies.discard(copy)


def _checked(file: Path, copy: Path) -> tuple[int, str]:
    """How many rows the copy has and the migration it was at; it is at ours now, if that was older."""
    rows = copies.checked(copy)
    url = sa.URL.create("sqlite", database=str(copy)).render_as_string()
    with closing(Database(url)) as database:
        try:
            version = database.version()
            if version is None:
                raise copies.NoCopy("there is nothing in it")
            check_known(database, version)
            prepare(database)
        except DatabaseTrouble as trouble:
            raise copies.NoCopy(why(trouble)) from trouble
    copies.settle(copy)
    return rows, version


def _put(copy: Path, place: Path) -> Path | None:
    try:
        with copies.alone(place) if place.exists() else nullcontext():
            return copies.put(copy, place)
    except copies.InUse as error:
        who = f"process {error.pid}" if error.pid else "another process"
        raise Complaint(
            f"{who} is using the database; end the gateway and its workers, then restore"
        ) from error
