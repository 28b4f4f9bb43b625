"""`tokens restore` where the database is PostgreSQL's: its own programs put a dump into its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.database import check_version, why
from app.cli.new_file import written
from app.cli.words import Complaint, file_said
from app.storage import copies, dumps
from app.storage.database import HEAD, Database, DatabaseTrouble
from app.storage.schema import prepare


def run(database: Database, file: Path) -> int:
    with _trouble(database, file):
        version = _checked(database, file)
        before = _kept(database, file)
    try:
        with _trouble(database, file):
            dumps.put(file, database)
    except Complaint:
        if before is not None:
            before.unlink()  # it is what is there
        raise
    try:
        prepare(database)
        rows = dumps.count(database)
    except DatabaseTrouble as trouble:
        raise Complaint(
            f"the backup is in place, but cannot be brought up to date ({why(trouble)})"
        ) from trouble
    print(f"{dumps.address(database)}: {rows} rows, {came_to(version)}")
    if before is not None:
        print(f"the former database is {before}")
    return 0


def came_to(version: str) -> str:
    """What to say of a backup that was at this version."""
    older = f", where the backup was at {version}" if version < HEAD else ""
    return f"at migration {max(version, HEAD)}{older}"


def _checked(database: Database, file: Path) -> str:
    """The version of the backup, if it can be put where the database is now."""
    if not file.is_file():
        raise Complaint(f"there is no file {file_said(str(file))}")
    with file.open("rb"):
        pass  # only to hear of it if it may not be read
    content = dumps.content(file)
    check_version(content.version, content.oldest)
    if content.schema != (schema := dumps.schema(database)):
        raise Complaint(
            f"the backup is of the schema {content.schema}, and the database uses {schema}; "
            "nothing was changed"
        )
    if others := dumps.others(database):
        raise Complaint(
            f"the database is in use, by {others} other connections; end the gateway and its workers, "
            "then restore"
        )
    return content.version


def _kept(database: Database, file: Path) -> Path | None:
    """Where the former database is from now on, if there is one."""
    if database.version() is None:
        return None
    before = copies.free(file.with_name(f"{file.name}.before"))
    with written(before, force=False) as copy:
        dumps.dump(database, copy)
    return before


@contextmanager
def _trouble(database: Database, file: Path) -> Iterator[None]:
    said = file_said(str(file))
    try:
        yield
    except dumps.NoProgram as error:
        raise Complaint(
            f"{error}; where it is, end the gateway and its workers, then `pg_restore --clean "
            "--if-exists --no-owner --single-transaction "
            f"--dbname={dumps.address(database)} {said}` does the same"
        ) from error
    except dumps.NoDump as error:
        raise Complaint(f"{said} cannot be restored ({error}); nothing was changed") from error
    except DatabaseTrouble as trouble:
        raise Complaint(f"the database cannot be used ({why(trouble)})") from trouble
    except OSError as error:
        raise Complaint(f"cannot restore {said}: {error.strerror}; nothing was changed") from error
