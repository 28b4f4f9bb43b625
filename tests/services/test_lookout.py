"""How things stand, looked up in time or not at all."""

from __future__ import annotations

import time
from contextlib import closing
from types import SimpleNamespace

import pytest
from gevent.event import Event

from app.access.caller import Caller
from app.clock import SystemClock
from app.ledger.journal import Journal
from app.ledger.ledger import Ledger, Purchase
from app.ledger.price_book import PriceBook
from app.metrics.family import (
    CREDENTIALS,
    DATABASE,
    JOB_LAG,
    JOBS,
    LEDGER_JOURNAL,
    LEDGER_OLDEST,
    LEDGER_OPEN,
    LOOKED_UP,
)
from app.pool.pool import Pool
from app.services.lookout import Lookout
from app.storage.database import Database
from app.storage.ledger import LedgerTable
from app.storage.schema import prepare
from app.storage.tasks import Task, Tasks
from tests.pool.conftest import key


@pytest.fixture
def place(tmp_path):
    with closing(Database(f"sqlite:///{tmp_path}/tokens.db")) as database:
        yield SimpleNamespace(database=database, journal=tmp_path / "journal")


def lookout(place, pool=None, seconds=2.0) -> Lookout:
    clock = SystemClock()
    book = PriceBook.load({}, None)
    ledger = Ledger(LedgerTable(place.database), book, Journal(place.journal), clock)
    place.ledger, place.tasks = ledger, Tasks(place.database)
    return Lookout(pool or Pool({}, clock), place.tasks, ledger, place.database, clock, seconds)


def test_everything_is_looked_up(place):
    prepare(place.database)
    pool = Pool({"p": [key("a"), key("b", enabled=False)]}, SystemClock())
    out, now = lookout(place, pool), time.time()
    place.ledger.open(
        Purchase(
            id="r", caller=Caller(None), platform="p", kind="chat", model="m", asked="m", spoken="s"
        )
    )
    facts = {"platform": "p", "engine": "p", "owner": "o", "model": "m"}
    task = Task(id="t", kind="video", created_at=now - 5, deadline=now + 900, **facts)
    place.tasks.add(task)
    place.journal.write_text("{}\n{}\n")
    found = out.look()

    assert set(found[LOOKED_UP].values()) == {1.0} and found[DATABASE] == {(): 1.0}
    assert found[CREDENTIALS] == {("p", "ready"): 1, ("p", "off"): 1}
    assert found[JOBS][("queued",)] == 1 and sum(found[JOBS].values()) == 1
    assert 5 <= found[JOB_LAG][()] < 60
    assert found[LEDGER_OPEN] == {(): 1} and 0 <= found[LEDGER_OLDEST][()] < 60
    assert found[LEDGER_JOURNAL] == {(): 2}


def test_without_a_database_the_rest_is_told(place):
    found = lookout(place).look()

    assert found[DATABASE] == {(): 0.0}
    assert found[LOOKED_UP] == {
        ("credentials",): 1,
        ("database",): 1,
        ("jobs",): 0,
        ("journal",): 1,
        ("ledger",): 0,
    }
    assert found[LEDGER_JOURNAL] == {(): 0} and LEDGER_OPEN not in found


def test_nobody_waits_for_what_takes_long_and_nothing_is_looked_up_twice(place):
    prepare(place.database)
    answer, asked = Event(), []

    def conditions():
        asked.append(1)
        answer.wait()
        return {("p", "partly resting"): 1, ("p", "partly retired"): 2, ("p", "at its limit"): 3}

    out = lookout(place, SimpleNamespace(conditions=conditions), seconds=0.01)
    for _ in range(3):
        found = out.look()
        assert found[LOOKED_UP][("credentials",)] == 0 and CREDENTIALS not in found
    assert asked == [1]

    answer.set()
    assert out.look()[CREDENTIALS] == {("p", "partly"): 3, ("p", "at_its_limit"): 3}
