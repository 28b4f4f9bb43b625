"""The backup that `tokens upgrade` takes: where it goes, and whether it can be made."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.cli.new_file import check
from app.cli.words import Complaint, file_said
from app.storage import copies, dumps
from app.storage.database import Database

MEGABYTE = 1 << 20
MEGABYTES_A_SECOND = {True: 100, False: 50}  # of SQLite's file, of PostgreSQL's tables


@dataclass(frozen=True, slots=True)
class Backup:
    """`bytes` and `seconds` are a rough guess; `trouble` says why there can be none."""

    file: Path
    bytes: int
    free: int
    seconds: int
    trouble: str

    @property
    def said(self) -> str:
        most, free = self.bytes // MEGABYTE + 1, self.free // MEGABYTE
        return (
            f"the backup goes to {self.file}: at most {most} MB, where {free} MB are free; "
            f"about {self.seconds} s"
        )


def planned(database: Database, named: str | None, version: str) -> Backup:
    """The backup of a database that is at this version; `named` by whoever asks for it."""
    file = Path(named) if named else copies.free(_usual(database, version))
    size = copies.size(database.file) if database.file else dumps.size(database)
    place = file.absolute().parent
    free = shutil.disk_usage(place).free if place.is_dir() else 0
    seconds = size // (MEGABYTES_A_SECOND[database.is_sqlite] * MEGABYTE) + 1
    return Backup(file, size, free, seconds, _trouble(database, file, size, free))


def _usual(database: Database, version: str) -> Path:
    if database.file:
        return database.file.with_name(f"{database.file.name}.at-{version}")
    return Path(f"tokens.at-{version}.dump")


def _trouble(database: Database, file: Path, size: int, free: int) -> str:
    place = file.absolute().parent
    if not place.is_dir():
        return f"there is no folder {file_said(str(place))}"
    if not os.access(place, os.W_OK):
        return f"{place} cannot be written"
    if free < size:
        return f"it may need {size // MEGABYTE + 1} MB, and {free // MEGABYTE} MB are free"
    try:
        check(file, force=False)
        if database.file is None:
            dumps.check(database)
    except (Complaint, dumps.NoDump) as error:
        return str(error)
    return ""
