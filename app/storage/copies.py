"""A SQLite database as a copy in one file: taken while others write, and put in its place again."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from app.key_file import sync

# Where SQLite's file format has every reader hold a lock (https://sqlite.org/src/file/src/os.h): in
# WAL mode for as long as it has the file open.
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
_FLOCK = "hhqqi4x"  # what Linux tells of a lock
SIDE_FILES = ("-wal", "-shm", "-journal")


class NoCopy(Exception):
    """The file is no whole database of ours."""


class InUse(Exception):
    """Another process has the database open; `pid` is 0 where the system does not say which."""

    def __init__(self, pid: int) -> None:
        super().__init__(pid)
        self.pid = pid


def size(database: Path) -> int:
    """How many bytes a copy has at most."""
    beside = Path(f"{database}-wal")
    return database.stat().st_size + (beside.stat().st_size if beside.exists() else 0)


def take(database: Path, copy: Path) -> None:
    """Copies a database that others may be writing to: all that was committed before, and nothing by
    halves. Nobody waits for it. `copy` is empty before, and one file that is on the disk after.
    """
    with closing(_live(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    settle(copy)


def take_apart(file: Path, copy: Path) -> None:
    """The same of a file that lies about; that one is not even touched."""
    try:
        with closing(_still(file)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.DatabaseError as error:
        raise NoCopy(str(error)) from error
    settle(copy)


def settle(copy: Path) -> None:
    """Leaves nothing beside the file, and has it on the disk."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.DatabaseError as error:
        raise NoCopy(str(error)) from error
    sync(copy)


def checked(copy: Path) -> int:
    """How many rows there are; `NoCopy` where it is not whole."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise NoCopy(found)
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = [name for (name,) in names if not name.startswith("sqlite_")]
            if "alembic_version" not in tables:
                raise NoCopy("it is a database, but not one of a gateway")
            return sum(_rows(connection, name) for name in tables)
    except sqlite3.DatabaseError as error:
        raise NoCopy(str(error)) from error


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """Nobody else opens the database until this is over; `InUse` where somebody has."""
    fd = os.open(database, os.O_RDWR)
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
        except (BlockingIOError, PermissionError) as error:  # POSIX leaves open which
            raise InUse(_holder(fd)) from error
        yield
    finally:
        os.close(fd)


def put(copy: Path, database: Path) -> Path | None:
    """Puts the copy into the place of a database that nobody has open, and gives back where the former
    one is: beside it, with what belongs to it. There is one or the other at any moment.
    """
    before = None
    if database.exists():
        _owned_alike(copy, database)
        before = free(database.with_name(f"{database.name}.before"))
        os.link(database, before)
        for side in SIDE_FILES:  # of the former one: the new one would take them for its own
            _move(Path(f"{database}{side}"), Path(f"{before}{side}"))
    os.replace(copy, database)
    sync(database.parent)
    return before


def discard(copy: Path) -> None:
    for file in (copy, *(Path(f"{copy}{side}") for side in SIDE_FILES)):
        file.unlink(missing_ok=True)


def _live(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True, timeout=30)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _still(file: Path) -> sqlite3.Connection:
    alone_ = "" if Path(f"{file}-wal").exists() else "&immutable=1"
    return sqlite3.connect(f"file:{quote(str(file))}?mode=ro{alone_}", uri=True)


def _rows(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])


def _holder(fd: int) -> int:
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_SIZE, 0)
    told = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    return int(told[4]) if told[0] != fcntl.F_UNLCK else 0


def _owned_alike(copy: Path, database: Path) -> None:
    """A service goes on under its own name, whoever restores."""
    former, now = database.stat(), copy.stat()
    if (former.st_uid, former.st_gid) != (now.st_uid, now.st_gid):
        os.chown(copy, former.st_uid, former.st_gid)


def free(wanted: Path) -> Path:
    """A name that no file has: this one, or with a number behind it."""
    file, number = wanted, 1
    while file.exists():
        number += 1
        file = wanted.with_name(f"{wanted.name}.{number}")
    return file


def _move(file: Path, to: Path) -> None:
    if file.exists():
        os.rename(file, to)
