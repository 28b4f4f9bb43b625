"""R-044, R-055: what callers saw and what the ledger has are the same, whoever is killed meanwhile."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.soak.books import address, check_sums, states
from tests.soak.crowd import crowd, killed
from tests.stack import Stack, until
from tests.storage.databases import KINDS, made

pytestmark = pytest.mark.slow
# The whole of what reliability asks for is 10,000 requests and a kill a second: set SOAK_REQUESTS.
REQUESTS = int(os.environ.get("SOAK_REQUESTS", "1200"))
KILL_SECONDS = 1.0 if REQUESTS >= 10_000 else 0.4


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path, simulators: Any) -> Any:
    with made(request.param, tmp_path, request.node.name, anew=True) as database:
        settings = {"TOKENS_WORKERS": "2", "TOKENS_DATABASE_URL": address(database)}
        stack = Stack(simulators, tmp_path / "stack", **settings)
        yield stack, database
        stack.stop()


def test_a_row_for_every_answer_and_an_answer_for_every_row(house: Any) -> None:
    """R-055."""
    stack, database = house
    told = crowd(int(stack.environ["TOKENS_PORT"]), stack.licence, REQUESTS)

    assert told.others == Counter() and len(told.whole) == REQUESTS
    found = states(database)
    assert found.keys() == set(told.whole) and set(found.values()) == {"charged"}
    check_sums(database)


def test_no_answer_without_a_row_however_many_workers_are_killed(house: Any) -> None:
    """R-044, R-056: nothing is lost, nothing stands twice, and nothing stays open."""
    stack, database = house
    port = int(stack.environ["TOKENS_PORT"])
    began = time.monotonic()
    with killed(stack.pid, KILL_SECONDS) as kills:
        told = crowd(port, stack.licence, REQUESTS)
        took = time.monotonic() - began
        assert until(lambda: kills() > 2)

    found = states(database)
    lost = [name for name in told.whole if found.get(name) != "charged"]
    double = len(told.whole) - len(set(told.whole))
    # `pytest -s` shows it
    print(f"{REQUESTS} asked, {len(told.whole)} told, {kills()} kills, {took:.0f} s;", end=" ")
    print(f"{len(lost)} lost, {double} double; others {dict(told.others)}")
    assert len(told.whole) > REQUESTS // 10 and double == 0 and lost == []
    assert until(lambda: "open" not in states(database).values(), 60.0)
    found = states(database)
    assert set(found.values()) <= {"charged", "released", "interrupted"}
    check_sums(database)
