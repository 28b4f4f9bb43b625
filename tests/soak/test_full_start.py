"""R-052: a gateway with a long ledger and many open jobs is as soon ready as one with none, and as soon at
the next version.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.canonical.task import LIVE
from app.storage.database import HEAD, Database
from app.storage.ledger import LedgerTable, days, ledger
from app.storage.ledger_reading import first_id
from app.storage.tasks import Task, Tasks, tasks
from app.storage.workers import Workers
from tests.cli.test_backup import downgrade
from tests.platforms.callers import CALLERS
from tests.soak.books import address
from tests.stack import TOKENS, Simulators, Stack, clean_environ, program, until
from tests.storage.databases import KINDS, made
from tests.storage.test_ledger import closing, opening

pytestmark = pytest.mark.slow
# What reliability asks for is a million rows and 10,000 jobs: set SOAK_ROWS.
ROWS = int(os.environ.get("SOAK_ROWS", "20000"))
JOBS = ROWS // 100
IS_WHOLE = ROWS >= 1_000_000
READY_SECONDS = 5.0 if IS_WHOLE else 15.0  # other tests run beside this one
BEFORE = "0010"  # two migrations before the newest there was when this was first measured
UPGRADE_SECONDS = 30.0
KEPT_DAYS = 80  # over which the rows are spread: none is too old to be kept
DAY_MS = 86_400_000


@pytest.fixture(params=KINDS if IS_WHOLE else KINDS[:1])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with made(request.param, tmp_path, request.node.name, anew=True) as database:
        fill(database)
        yield database


def fill(database: Database) -> None:
    """A row and a job as the gateway itself writes them, and the others made of these in one statement
    each. The first rows are open, each for a job that was due some time ago.
    """
    now = time.time()
    prefix = first_id(int(now * 1000))  # rows are as old as their names say
    row = opening(f"{prefix}0", "one", day=int(now) // 86400)
    row.row["opened_at"] = int(now * 1000)
    table = LedgerTable(database)
    table.write([row], [])
    table.write([], [closing(row, input=10, output=5)])
    words = {"platform": "sora", "engine": "sora", "owner": "one", "model": "sora-2"}
    Tasks(database).add(
        Task(id="video_0", kind="video", created_at=now, deadline=now + 3600, **words)
    )
    is_open = sa.literal_column("i") <= JOBS
    spread = sa.cast(sa.literal_column("i") % KEPT_DAYS, sa.BigInteger)
    changes = {
        "id": sa.literal(prefix) + sa.cast(sa.literal_column("i"), sa.String(16)),
        "state": sa.case((is_open, "open"), else_=ledger.c.state),
        "closed_at": sa.case((is_open, None), else_=ledger.c.closed_at),
        "day": ledger.c.day - spread,
        "opened_at": ledger.c.opened_at - spread * DAY_MS,
    }
    multiply(database, ledger, ROWS, changes)
    changes = {
        "id": sa.literal("video_") + sa.cast(sa.literal_column("i"), sa.String(16)),
        "ledger": sa.literal(prefix) + sa.cast(sa.literal_column("i"), sa.String(16)),
    }
    multiply(database, tasks, JOBS, changes)
    multiply(database, days, KEPT_DAYS, {"day": days.c.day - sa.literal_column("i")})


def multiply(database: Database, table: sa.Table, number: int, changes: dict[str, Any]) -> None:
    """So many rows more like the one that is there."""
    counted = sa.select(sa.literal(1).label("i")).cte("counted", recursive=True)
    more = sa.select(counted.c.i + 1).where(counted.c.i < number)
    counted = counted.union_all(more)
    values = [changes.get(column.name, column).label(column.name) for column in table.c]
    rows = sa.select(*values).select_from(table.join(counted, sa.true()))
    adding = table.insert().from_select([column.name for column in table.c], rows)
    database.write(lambda connection: connection.execute(adding))


def rows_of(database: Database) -> int:
    query = sa.select(sa.func.count()).select_from(ledger).where(ledger.c.licence == "one")
    return int(database.read(lambda connection: connection.execute(query).scalar_one()))


def test_it_is_ready_at_once_with_all_that_is_kept(
    database: Database, simulators: Simulators, tmp_path: Path
) -> None:
    began = time.monotonic()
    stack = Stack(simulators, tmp_path / "stack", TOKENS_DATABASE_URL=address(database))
    ready = time.monotonic() - began
    try:
        stack.work()
        asked = CALLERS[0].ask("gpt-4o", "simulate: words=3", stream=True)
        heard = CALLERS[0].call(stack.url("chatgpt"), asked, stack.licence)
        answered = time.monotonic() - began
        assert CALLERS[0].is_whole(heard)
        assert until(lambda: Workers(database).seen())
        at_work = time.monotonic() - began
        counts = Tasks(database).counts()
    finally:
        stack.stop()

    assert rows_of(database) == ROWS + 1
    assert sum(counts.get(state, 0) for state in LIVE) > JOBS * 0.5  # nobody waits for all of them
    print(
        f"{database.url.drivername}: {ROWS} rows, {JOBS} jobs; ready after {ready:.1f} s, first answer "
        f"{answered:.1f} s, worker {at_work:.1f} s"
    )
    assert ready < READY_SECONDS


def test_an_upgrade_with_its_backup_takes_seconds(database: Database, tmp_path: Path) -> None:
    if database.file is None:
        program("pg_dump")
    downgrade(database, BEFORE)
    began = time.monotonic()
    done = subprocess.run(
        [TOKENS, "upgrade"],
        env=clean_environ() | {"TOKENS_DATABASE_URL": address(database)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    took = time.monotonic() - began

    assert done.returncode == 0, done.stderr
    assert (database.version(), rows_of(database)) == (HEAD, ROWS + 1)
    assert (tmp_path / done.stdout.split(":")[0]).exists()  # the backup
    print(f"{database.url.drivername}: {ROWS} rows; `tokens upgrade` took {took:.1f} s")
    assert took < UPGRADE_SECONDS
