"""R-054, R-056: platforms that fail in every way and callers who leave in every way cost nothing that
is not given back: no memory, no descriptor, no thread, no row that stays open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest

from app.storage.database import Database
from tests.memory import MEGABYTE
from tests.soak.books import check_sums, check_whole, states
from tests.soak.footprint import Footprint, Watch, slope
from tests.soak.mischief import Mischief
from tests.soak.observed import FILE, SECONDS, SETTING
from tests.soak.trouble import TroubledSimulators
from tests.stack import Stack, key_settings, until

pytestmark = pytest.mark.slow
# Reliability asks for half an hour of 200 callers: set SOAK_SECONDS=1800.
LONG = float(os.environ.get("SOAK_SECONDS", "4"))
IS_LONG = LONG >= 600
CALLERS, WORDS = (200, 60) if IS_LONG else (60, 20)
WARM = LONG / 3 if IS_LONG else 2.0  # what is there once stays, such as connections to the database
LOOK = 5.0 if IS_LONG else 0.5
PATIENCE = "5" if IS_LONG else "2"  # seconds, with platforms
FEW = 5
MUCH = 30 * MEGABYTE  # what large answers took may stay with the allocator
HOURLY = 10 * MEGABYTE  # of all workers
WORKERS = 2
IDLE = 60.0  # seconds after which a connection to a platform that nobody used is closed
LIMITS = "--rpm 1000000 --tpm 1000000000 --tpd 1000000000000 --concurrency 10000".split()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    simulators = TroubledSimulators(tmp_path)
    stack = Stack(
        simulators,
        tmp_path / "stack",
        TOKENS_WORKERS=str(WORKERS),
        TOKENS_REST_SECONDS="0.5",
        TOKENS_RETRY_SECONDS="10",
        TOKENS_HEARTBEAT_SECONDS="1",
        TOKENS_GRACE_SECONDS="1",
        TOKENS_SEND_SECONDS="3",
        TOKENS_SILENCE_SECONDS=PATIENCE,
        TOKENS_FIRST_BYTE_SECONDS=PATIENCE,
        TOKENS_ANSWER_SECONDS="8" if IS_LONG else "3",
        **key_settings("one,two,three-throttled,four-revoked,five"),
        **SETTING,
        **{FILE: str(tmp_path / "observed"), SECONDS: str(LOOK)},
    )
    stack.licence = stack.new_licence(*LIMITS)
    yield stack
    stack.stop()
    simulators.stop()


def test_nothing_is_left_of_mixed_faults(stack: Stack, tmp_path: Path) -> None:
    watch, mischief = Watch(stack, tmp_path / "observed"), Mischief(stack, WORDS)
    assert until(lambda: len(watch.pids) == WORKERS)
    pids = watch.pids
    mischief.work(CALLERS, WARM)
    before = _at_rest(watch)
    with watch.watching(LOOK):
        mischief.work(CALLERS, LONG - WARM)
    after = _at_rest(watch)

    _report(watch, mischief, before, after)
    assert watch.pids == pids, "a worker died"
    for name in ("files", "threads", "greenlets"):
        assert getattr(after, name) - getattr(before, name) <= FEW, name
    assert after.pss - before.pss <= MUCH
    if IS_LONG:
        rise = slope([(one.at, one.pss) for one in watch.seen])
        assert rise.hourly - rise.doubt <= HOURLY, rise
        assert after.blocks <= 1.02 * before.blocks
    assert "Traceback" not in stack.noise
    _check_books(stack, mischief)


def _at_rest(watch: Watch) -> Footprint:
    """When every caller is gone, and in earnest every connection to a platform is closed too."""
    assert until(lambda: not watch.look().callers)
    if IS_LONG:
        assert until(lambda: not watch.look().upstream, IDLE)
    rested = time.monotonic()
    assert until(lambda: watch.look().told_at > rested)
    return watch.look()


def _check_books(stack: Stack, mischief: Mischief) -> None:
    """A row for every call that a platform was asked for, closed, and no other."""
    lines = {line["request"]: line for line in stack.log}
    with closing(Database(stack.environ["TOKENS_DATABASE_URL"])) as database:
        rows = states(database)
        assert {name for name, line in lines.items() if line.get("attempts")} <= rows.keys()
        assert rows.keys() <= lines.keys()
        assert set(rows.values()) <= {"charged", "released"}
        assert [name for name in mischief.told if rows[name] != "charged"] == []
        check_sums(database)
        check_whole(database)


def _report(watch: Watch, mischief: Mischief, before: Footprint, after: Footprint) -> None:
    """`pytest -s` shows it."""
    print(f"\n{sum(mischief.ends.values())} calls, {len(mischief.told)} told whole")
    for name, times in sorted(mischief.ends.items()):
        print(f"  {times:6} {name}")
    for name in (field.name for field in fields(Footprint)):
        seen = [getattr(one, name) for one in watch.seen] or [0]
        print(f"{name:9} {getattr(before, name)} before, {getattr(after, name)} after", end="; ")
        print(f"meanwhile {min(seen)} to {max(seen)}")
    for name in ("pss", "rss"):
        points = [(one.at, getattr(one, name)) for one in watch.seen]
        some = [f"{point / MEGABYTE:.1f}" for _, point in points[:: max(1, len(points) // 20)]]
        print(f"{name}: {slope(points)}; MiB now and then: {' '.join(some)}")
