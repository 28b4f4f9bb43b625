"""R-047: the power is cut, and no row that was told to be closed is missing."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from app.ledger.journal import Journal
from app.storage.database import Database
from app.storage.ledger import Closing
from tests.soak.disk import Disk
from tests.soak.writers import PROCESSES, TOLD, WRITERS, write_at_once
from tests.stack import ROOT, clean_environ
from tests.storage.databases import fill

pytestmark = pytest.mark.slow
TURNS = 25
ROWS = PROCESSES * WRITERS * TURNS
ADDING = """
import sys
from pathlib import Path
from app.ledger.journal import Journal
from app.storage.ledger import Closing

for number in range(2):
    Journal(Path(sys.argv[1])).add(Closing({"id": number}, {}))
"""
CUTS = int(os.environ.get("SOAK_CUTS", "20"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A database, where it always was."""
    with closing(Database(f"sqlite:///{tmp_path}/state/tokens.db")) as database:
        fill(database)
    return tmp_path / "state"


@pytest.fixture
def disk(folder: Path, tmp_path: Path) -> Disk:
    return Disk(folder, tmp_path)


def charged(folder: Path) -> set[str]:
    """Of a database that is whole."""
    with closing(sqlite3.connect(folder / "tokens.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        query = "SELECT id FROM ledger WHERE state = 'charged'"
        return {row[0] for row in connection.execute(query)}


def test_what_was_told_to_be_closed_outlives_a_power_cut(
    folder: Path, disk: Disk, tmp_path: Path
) -> None:
    url = f"sqlite:///{folder}/tokens.db"
    assert len(write_at_once(url, folder, TURNS, environ=disk.environ)) == 2 * ROWS

    notes, chance = list(disk.notes()), random.Random(47)
    moments = {len(notes), *(chance.randrange(len(notes)) for _ in range(CUTS))}
    told: set[str] = set()
    lost = 0
    for number, note in enumerate(notes, 1):
        disk.take(note)
        if number not in moments:
            continue
        written = disk.seen(TOLD).replace(
            b"\0", b"\n"
        )  # where another process has yet to note its line
        told = set(written.decode().split())
        for some in (None, chance):  # of what nobody had made sure of
            found = tmp_path / f"cut {number} {some is None}"
            lost += disk.rebuild(found, some)
            assert told - charged(found) == set()
    assert len(told) == ROWS == 5000 and lost > 0


def test_what_is_in_the_journal_outlives_a_power_cut(tmp_path: Path) -> None:
    """R-067: from the first line on, which makes the file."""
    folder = tmp_path / "journal"
    folder.mkdir()
    disk = Disk(folder, tmp_path)
    command = [sys.executable, "-c", ADDING, str(folder / "lines")]
    subprocess.run(command, env=clean_environ() | disk.environ, cwd=ROOT, check=True)
    for note in disk.notes():
        disk.take(note)
    disk.rebuild(tmp_path / "cut")

    found: list[Closing] = []
    Journal(tmp_path / "cut" / "lines").take_in(found.extend)

    assert [one.row["id"] for one in found] == [0, 1]
