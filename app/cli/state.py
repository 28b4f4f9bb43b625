"""What a gateway keeps beside its database, looked at before it starts: it begins whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from app.cli.database import named
from app.cli.words import Complaint
from app.clock import SystemClock
from app.config import Settings
from app.key_file import BadKeyFile
from app.media.links import Links
from app.seal import Seal
from app.storage.copies import SIDE_FILES
from app.storage.database import Database


def check_state(chosen: Settings) -> None:
    """Complains of a file with keys that cannot be used, and of what cannot be written."""
    for setting, file in _key_files(chosen):
        if os.path.lexists(file):
            _check_keys(setting, file, chosen)
    for setting, folder in _folders(chosen):
        _check_folder(setting, folder)
    for setting, file in _files(chosen):
        _check_file(setting, file)


def check_database(database: Database) -> None:
    """Complains of a file of SQLite's, or of its folder, that cannot be written."""
    for file in _database_files(database):
        _check_file("TOKENS_DATABASE_URL", file)


def _key_files(chosen: Settings) -> Iterator[tuple[str, Path]]:
    yield "TOKENS_SEAL_FILE", Path(chosen.seal_file)
    yield "TOKENS_LINK_FILE", Path(chosen.link_file)
    yield "TOKENS_WEBHOOK_FILE", Path(chosen.webhook_file)


def _folders(chosen: Settings) -> Iterator[tuple[str, Path]]:
    yield "TOKENS_SPOOL_FOLDER", Path(chosen.spool_folder)
    if not chosen.media_s3_bucket:
        yield "TOKENS_MEDIA_FOLDER", Path(chosen.media_folder)


def _files(chosen: Settings) -> Iterator[tuple[str, Path]]:
    """Not that of the metrics: nothing is refused for want of one."""
    with closing(named(chosen)) as database:
        for file in _database_files(database):
            yield "TOKENS_DATABASE_URL", file
    yield "TOKENS_JOURNAL_FILE", Path(chosen.journal_file)
    yield "TOKENS_COUNTERS_FILE", Path(chosen.counters_file)
    if not chosen.redis_url:
        yield "TOKENS_QUEUE_FILE", Path(chosen.queue_file)


def _database_files(database: Database) -> list[Path]:
    """Empty for a PostgreSQL."""
    return [Path(f"{database.file}{side}") for side in ("", *SIDE_FILES) if database.file]


def _check_keys(setting: str, file: Path, chosen: Settings) -> None:
    try:
        if setting == "TOKENS_LINK_FILE":
            Links(file, SystemClock(), seconds=chosen.link_seconds).check()
        else:
            Seal.load(file)
    except BadKeyFile as error:
        raise Complaint(f"{error}; put the right file there, or correct {setting}") from error


def _check_file(setting: str, file: Path) -> None:
    """It can be written, or could be made."""
    _check_folder(setting, file.parent)
    if os.path.exists(file) and not os.access(file, os.R_OK | os.W_OK):
        raise Complaint(_unwritable(setting, file))


def _check_folder(setting: str, folder: Path) -> None:
    """It is there and can be written, or could be made."""
    folder = folder.absolute()
    there = next(one for one in (folder, *folder.parents) if os.path.exists(one))
    if not there.is_dir():
        raise Complaint(f"{there} is not a folder; correct {setting}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise Complaint(_unwritable(setting, there))


def _unwritable(setting: str, place: Path) -> str:
    user = os.environ.get("USER", str(os.getuid()))
    return f"{place} cannot be written by {user}; chown it, or correct {setting}"
