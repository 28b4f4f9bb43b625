"""Calls under an idempotency key, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from app.services.idempotency import KEPT_SECONDS, Claim, Idempotency, Replay
from app.storage.database import Database
from app.storage.idempotency import PIECE, Answer, KeyedCall, KeyedCalls, calls
from tests.storage.conftest import Moving

NOW = 1_795_995_917.0
CALL = KeyedCall(
    owner="a1b2c3d4",
    key="k" * 64,
    asked="a" * 64,
    request="req_1",
    worker="here:1:1",
    created_at=NOW,
    until=NOW + KEPT_SECONDS,
)
SAID = Answer(200, {"Content-Type": "text/plain"}, b"said \x00\xff")


def alive(worker: str, since: float) -> bool:
    return False


def dead(worker: str, since: float) -> bool:
    return True


def rows(database: Database) -> list[dict[str, Any]]:
    found = database.read(lambda connection: connection.execute(calls.select()).all())
    return [dict(row._mapping) for row in found]


@pytest.fixture
def table(database: Database) -> KeyedCalls:
    return KeyedCalls(database)


def test_the_first_call_has_the_key_and_the_next_are_told_what_became_of_it(table):
    """R-061."""
    again = replace(CALL, request="req_2", asked="b" * 64)
    assert table.claim(CALL, alive) is None

    running = table.claim(again, alive)
    assert (running.asked, running.request, running.answer) == (CALL.asked, "req_1", None)

    table.keep(CALL, SAID, NOW + 5)
    over = table.claim(again, dead)
    assert (over.asked, over.request, over.answer) == (CALL.asked, "req_1", SAID)


def test_a_key_is_a_licences_own(table):
    """R-063."""
    assert table.claim(CALL, alive) is None
    assert table.claim(replace(CALL, owner="other"), alive) is None
    assert table.claim(replace(CALL, key="l" * 64), alive) is None
    assert table.claim(CALL, alive) is not None


def test_an_answer_that_was_too_large_is_remembered_without_it(table):
    table.claim(CALL, alive)
    table.keep(CALL, replace(SAID, body=None), NOW + 5)

    assert table.claim(CALL, alive).answer == replace(SAID, body=None)


def test_what_is_forgotten_runs_again(table, database):
    table.claim(CALL, alive)
    table.forget(CALL)

    assert rows(database) == []
    assert table.claim(replace(CALL, request="req_2"), alive) is None


def test_the_call_of_a_dead_worker_is_taken_over_with_all_that_it_asked(table, database):
    table.claim(CALL, alive)
    later = replace(CALL, request="req_2", asked="b" * 64, worker="here:2:2")

    assert table.claim(later, dead) is None
    (row,) = rows(database)
    assert (row["request"], row["asked"], row["worker"]) == ("req_2", "b" * 64, "here:2:2")

    # Whoever lost the key no longer changes what becomes of it.
    table.keep(CALL, SAID, NOW + 5)
    table.forget(CALL)
    assert rows(database) == [row]


def test_what_is_out_of_date_is_taken_over_and_swept_out(table, database):
    table.claim(CALL, alive)
    table.keep(CALL, SAID, NOW + 5)
    at = replace(CALL, request="req_2", created_at=NOW + 5)

    assert table.claim(replace(at, created_at=NOW + 4.9), alive) is not None
    assert table.claim(at, alive) is None
    assert rows(database)[0]["body"] is None

    for number in range(PIECE + 1):
        table.claim(replace(CALL, key=str(number), until=NOW + 1), alive)
    assert table.sweep(NOW + 1) == PIECE + 1
    assert [row["request"] for row in rows(database)] == ["req_2"]


def test_of_many_at_once_one_runs(table):
    """R-062, at the table: threads are as far apart as the database's own transactions."""
    for turn in range(5):
        ran: list[int] = []
        gate = threading.Barrier(10)

        def claim(number: int, key: str = str(turn)) -> None:
            gate.wait(10)
            if table.claim(replace(CALL, key=key, request=f"req_{number}"), alive) is None:
                ran.append(number)

        threads = [threading.Thread(target=claim, args=(number,)) for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ran) == 1


# ---------------------------------------------------------------- in one process


@pytest.fixture
def idempotency(table: KeyedCalls, clock: Moving) -> Idempotency:
    return Idempotency(table, clock, longest_call=100)


def begun(idempotency: Idempotency, request: str = "req_1") -> Claim | Replay:
    return idempotency.begin("a1b2c3d4", "key", b"asked", request)


def test_keys_are_nowhere_but_as_digests(idempotency, database):
    begun(idempotency)

    assert "key" not in {row["key"] for row in rows(database)}


def test_an_answer_is_kept_for_a_day_from_when_it_was_given(idempotency, clock):
    claim = begun(idempotency)
    clock.sleep(50)
    claim.keep(SAID)
    claim.forget()  # too late: a claim ends once

    clock.sleep(KEPT_SECONDS - 1)
    idempotency.tidy()
    assert begun(idempotency, "req_2") == Replay("req_1", SAID)
    clock.sleep(1)
    assert isinstance(begun(idempotency, "req_3"), Claim)


def test_a_call_that_is_longer_than_any_call_is_taken_over(idempotency, clock, database):
    """Its worker is on another host, of which nothing is known."""
    begun(idempotency)
    elsewhere = calls.update().values(worker="elsewhere/00000000-1:1:1")
    database.write(lambda connection: connection.execute(elsewhere))

    clock.sleep(100)
    with pytest.raises(Exception, match="not over yet"):
        begun(idempotency, "req_2")
    clock.sleep(1)
    assert isinstance(begun(idempotency, "req_2"), Claim)


@pytest.mark.parametrize("answer", [SAID, None], ids=["kept", "forgotten"])
def test_an_end_that_cannot_be_written_is_written_later(idempotency, database, answer):
    """The caller has had the answer by then; nothing runs twice for that."""
    claim = begun(idempotency)
    _rename(database, "idempotency", "away")
    claim.keep(answer) if answer else claim.forget()
    with pytest.raises(Exception, match="database cannot be used"):
        begun(idempotency, "req_2")

    _rename(database, "away", "idempotency")
    found = begun(idempotency, "req_2")
    assert isinstance(found, Claim) if answer is None else found == Replay("req_1", SAID)


def _rename(database: Database, before: str, after: str) -> None:
    words = sa.text(f"ALTER TABLE {before} RENAME TO {after}")
    database.write(lambda connection: connection.execute(words))
