"""`tokens backup`: the whole database in one file, taken while the gateway runs."""

from __future__ import annotations

import argparse
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from app.cli.database import check_known, named, why
from app.cli.new_file import check, written
from app.cli.words import Complaint, settings
from app.config import Settings
from app.storage import copies, dumps
from app.storage.database import Database, DatabaseTrouble


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="where to")
    parser.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    parser.epilog = (
        "The gateway may go on. Tokens and webhook secrets in it are sealed, and what opens them is "
        "not in it: keep the key files somewhere else."
    )


def run(options: argparse.Namespace) -> int:
    if options.file == "-":
        raise Complaint("a backup goes to a file, not to standard output; name one")
    chosen = settings()
    with closing(named(chosen, read_only=True)) as database:
        print(back_up(database, Path(options.file), force=options.force))
    for line in _apart(chosen):
        print(line)
    return 0


def back_up(database: Database, file: Path, *, force: bool = False) -> str:
    """Takes a backup, and says what is in it. Complains where there is none after that."""
    _check(database, file, force)
    try:
        with written(file, force=force) as copy:
            rows = _taken(database, copy)
        version = database.version()
    except (DatabaseTrouble, sqlite3.Error) as trouble:
        raise Complaint(
            f"the database cannot be copied ({why(trouble)}); nothing was written"
        ) from trouble
    except copies.NoCopy as error:
        raise Complaint(
            f"the copy is not whole ({error}) and was thrown away; `tokens doctor` looks further"
        ) from error
    checked = "checked" if database.file else "not checked but for its table of contents"
    return f"{file}: {rows} rows, at migration {version}, {checked}"


def _check(database: Database, file: Path, force: bool) -> None:
    """Complains of what need not be tried."""
    try:
        if database.file and not database.file.exists():
            raise Complaint(f"there is no database yet: {database.file} is not there")
        version = database.version()
    except DatabaseTrouble as trouble:
        raise Complaint(f"the database cannot be used ({why(trouble)})") from trouble
    if version is None:
        raise Complaint("there is nothing in the database yet")
    check_known(database, version)
    if database.file and _is_of(database.file, file):
        raise Complaint("that file belongs to the database itself; name another one")
    check(file, force=force)


def _is_of(database: Path, file: Path) -> bool:
    ours = database.resolve()
    sides = {ours, *(ours.with_name(ours.name + side) for side in copies.SIDE_FILES)}
    return file.resolve() in sides or (file.exists() and file.samefile(ours))


def _taken(database: Database, copy: Path) -> int:
    if database.file:
        try:
            copies.take(database.file, copy)
            return copies.checked(copy)
        except BaseException:
            copies.discard(copy)
            raise
    try:
        return dumps.dump(database, copy)
    except dumps.NoDump as error:
        raise Complaint(
            f"{error}; where it is, `pg_dump --format=custom --file=FILE {dumps.address(database)}` "
            "does the same"
        ) from error


def _apart(chosen: Settings) -> Iterator[str]:
    """What belongs to a gateway and is not in its database."""
    keys = [file for file in (chosen.seal_file, chosen.link_file, chosen.webhook_file)]
    there = [file for file in keys if os.path.exists(file)]
    if there:
        yield f"not in it, and to be kept apart from it: the key files {', '.join(there)}"
    if chosen.media_s3_bucket == "" and os.path.isdir(chosen.media_folder):
        yield f"not in it either: pictures and films, in {chosen.media_folder}"
    journal = Path(chosen.journal_file)
    if journal.exists() and journal.stat().st_size:
        yield (
            f"not in it yet: what stands in {journal}, which the gateway writes to the database as "
            "soon as it can; back up once more then"
        )
