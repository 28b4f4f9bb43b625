"""The tables of the ledger, on both kinds of database."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from app.account import Account, Claim
from app.limits import Allowance, Limits
from app.storage.database import Database
from app.storage.ledger import (
    CHARGED,
    INTERRUPTED,
    RELEASED,
    Closing,
    LedgerTable,
    Opening,
    closed_row,
    days,
    ledger,
)
from app.storage.tasks import Task, Tasks

DAY, NOW = 20_786, 1_795_995_917.0
MS = int(NOW * 1000)


def opening(name: str, licence: str = "a1b2c3d4", *, day: int = DAY, **more: Any) -> Opening:
    row = {
        "id": name,
        "state": "open",
        "licence": licence,
        "mode": "licence",
        "platform": "chatgpt",
        "kind": "chat",
        "model": "gpt-4o",
        "asked": "gpt-4o",
        "spoken": "openai_chat",
        "stream": False,
        "opened_at": MS,
        "day": day,
        "price": "2026-11-01",
        "unit_prices": "{}",
        "held_tokens": 0,
        "held_money": 0,
        "worker": "here:1:1",
    }
    return Opening(row, now=NOW, **more)


def closing(of: Opening, state: str = CHARGED, **known: Any) -> Closing:
    return Closing(closed_row(of.row["id"], state, "ok", MS + 5, **known), of.row)


@pytest.fixture
def table(database: Database) -> LedgerTable:
    return LedgerTable(database)


def rows(database: Database, of: sa.Table = ledger) -> list[dict[str, Any]]:
    query = of.select().order_by(*of.primary_key)
    found = database.read(lambda connection: connection.execute(query).all())
    return [dict(row._mapping) for row in found]


def test_a_row_is_opened_closed_and_added_to_its_day(table, database):
    one, other = opening("req_1"), opening("req_2")
    table.write([one, other], [])
    assert [row["state"] for row in rows(database)] == ["open", "open"]

    known = {"credential": "cr_1", "input": 7, "output": 5, "charge": 40, "estimated": True}
    table.write([], [closing(one, **known), closing(other, RELEASED)])

    first, second = rows(database)
    assert (first["state"], first["input"], first["charge"], first["estimated"]) == (
        CHARGED,
        7,
        40,
        True,
    )
    assert (second["state"], second["charge"]) == (RELEASED, 0)
    of_key = {row["credential"]: row for row in rows(database, days)}
    assert of_key["cr_1"]["calls"] == 1 and of_key["cr_1"]["input"] == 7
    assert of_key["cr_1"]["estimated"] == 1 and of_key["cr_1"]["charge"] == 40
    assert of_key[""]["failed"] == 1 and of_key[""]["charge"] == 0


def test_closing_twice_counts_once(table, database):
    """R-068: also where others are closed in the same stroke, and twice within it."""
    one, other = opening("req_1"), opening("req_2")
    table.write([one, other], [])
    table.write([], [closing(one, charge=3)])

    table.write([], [closing(one, charge=3), closing(other, charge=4), closing(other, charge=4)])

    assert [row["charge"] for row in rows(database)] == [3, 4]
    assert [(row["calls"], row["charge"]) for row in rows(database, days)] == [(2, 7)]


def test_opening_the_same_row_twice_opens_neither(table, database):
    table.write([opening("req_1")], [])

    with pytest.raises(Exception, match="database"):
        table.write([opening("req_2"), opening("req_1")], [])

    assert [row["id"] for row in rows(database)] == ["req_1"]


def test_what_is_unknown_in_price_is_counted(table, database):
    one = opening("req_1")
    one.row["price"] = ""
    table.write([one], [])
    table.write([], [closing(one)])

    assert rows(database, days)[0]["unpriced"] == 1


def test_a_claim_holds_back_and_closing_gives_back(table):
    asked = opening("req_1", claim=Claim(10, 500), allowance=Allowance(Limits(tpd=100)))
    table.write([asked], [])

    assert asked.short is None and asked.hold.output == 90
    assert table.account("a1b2c3d4") == Account(
        day=DAY, day_calls=1, month=2026 * 12 + 10, held_tokens=100
    )
    table.write([], [closing(asked, input=10, output=20, charge=6)])
    account = table.account("a1b2c3d4")
    assert account is not None and (account.held_tokens, account.day_tokens) == (0, 30)
    assert account.total_money == 6


def test_a_claim_that_is_too_large_opens_nothing(table, database):
    allowance = Allowance(Limits(tpd=5))
    refused = opening("req_1", claim=Claim(10, 1), allowance=allowance)
    free = opening("req_2", "other")

    table.write([refused, free], [])

    assert refused.short is not None and refused.short.of == "tpd"
    assert [row["id"] for row in rows(database)] == ["req_2"]


def test_an_account_takes_up_what_was_used_before_there_was_a_limit(table):
    for number, (day, charge) in enumerate([(DAY - 40, 100), (DAY - 1, 20), (DAY, 3)]):
        one = opening(f"req_{number}", day=day)
        table.write([one], [])
        table.write([], [closing(one, input=1, charge=charge)])

    limited = opening("req_9", claim=Claim(), allowance=Allowance(total=10**6))
    table.write([limited], [])

    account = table.account("a1b2c3d4")
    assert account is not None and (account.day_calls, account.day_tokens) == (2, 1)
    assert (account.day_money, account.month_money, account.total_money) == (3, 23, 123)


def test_of_two_hundred_at_once_ten_get_through(database, table):
    """R-059, by four that write at the same time."""
    allowance = Allowance(Limits(tpd=100))
    for round_ in range(5):
        licence = f"lic{round_}"
        asked = [
            opening(f"req_{round_}_{n}", licence, claim=Claim(4, 6), allowance=allowance)
            for n in range(200)
        ]

        def write(share: list[Opening]) -> None:
            for at in range(0, len(share), 7):
                table.write(share[at : at + 7], [])

        threads = [threading.Thread(target=write, args=(asked[n::4],)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(one.short is None for one in asked) == 10
        account = table.account(licence)
        assert account is not None and account.held_tokens == 100


def test_what_a_dead_worker_left_open_is_released(table, database):
    """R-046: nobody was told that it was done, so nothing is charged, and what was held is free."""
    allowance = Allowance(Limits(tpd=100))
    left = opening("req_1", claim=Claim(50, 50), allowance=allowance)
    young, elsewhere = opening("req_2"), opening("req_3")
    young.row["opened_at"], elsewhere.row["worker"] = MS + 1000, "there:1:1"
    table.write([left, young, elsewhere], [])
    assert sorted(table.workers()) == ["here:1:1", "there:1:1"]

    assert table.interrupt("here:1:1", MS + 9, MS) == 1

    states = {row["id"]: row["state"] for row in rows(database)}
    assert states == {"req_1": INTERRUPTED, "req_2": "open", "req_3": "open"}
    account = table.account("a1b2c3d4")
    assert account is not None and (account.held_tokens, account.day_tokens) == (0, 0)


def test_what_goes_on_as_a_task_is_left_open(table, database):
    table.write([opening("req_1"), opening("req_2")], [])
    task = Task(
        id="video_1",
        kind="video",
        platform="flow",
        engine="flow",
        owner="a1b2c3d4",
        model="m",
        created_at=NOW,
        deadline=NOW + 900,
        ledger="req_1",
    )
    Tasks(database).add(task)

    assert table.interrupt("here:1:1", MS, MS) == 1
    assert rows(database)[0]["state"] == "open"


def test_a_task_that_ends_closes_its_row_in_the_same_stroke(table, database):
    def settle(connection: sa.Connection, task: Task) -> None:
        opened = table.opened(connection, task.ledger)
        assert opened is not None
        closed = closed_row(task.ledger, CHARGED, "ok", MS, charge=9)
        table.close_in(connection, Closing(closed, opened))
        if task.code == "broken":
            raise RuntimeError("the power is gone")

    tasks = Tasks(database, settle)
    for name in ("video_1", "video_2"):
        table.write([opening(f"req_{name}")], [])
        given = dict(kind="video", platform="flow", engine="flow", owner="a1b2c3d4", model="m")
        tasks.add(Task(id=name, created_at=NOW, deadline=NOW + 900, ledger=f"req_{name}", **given))
    one, other = (tasks.lease(name, NOW, 60) for name in ("video_1", "video_2"))

    assert tasks.move(one, "failed", NOW, code="x") is not None
    with pytest.raises(RuntimeError):
        tasks.move(other, "failed", NOW, code="broken")

    assert [row["state"] for row in rows(database)] == [CHARGED, "open"]
    assert tasks.find("video_2").state == "queued"
