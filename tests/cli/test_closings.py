"""Rows as they are closed, each once and none left out."""

from __future__ import annotations

import pytest

from app.cli.closings import THOROUGH_MS, Closings
from app.storage.ledger import LedgerTable
from app.storage.ledger_reading import LedgerReading
from tests.cli.books import NOON, Books
from tests.storage.databases import KINDS, made
from tests.storage.test_ledger import closing, opening

MINUTE = 60_000


class Asked(LedgerReading):
    """Notes how far back is looked."""

    def names(self, since_ms, closed_ms, only):
        self.since = since_ms
        return super().names(since_ms, closed_ms, only)


@pytest.fixture(params=KINDS)
def database(request, tmp_path):
    with made(request.param, tmp_path, request.node.name) as database:
        yield database


@pytest.fixture
def books(database, called):
    return Books(database, called)


@pytest.fixture
def closings(database):
    return Closings(Asked(database), {"licence": "a1b2c3d4"})


def ids(rows):
    return [row["id"] for row in rows]


def test_each_row_is_given_once_in_the_order_of_their_ends(books, closings):
    closings.look(NOON)
    second, first = books.add(at=NOON + 200), books.add(at=NOON + 100)
    books.add("b1b2c3d4", at=NOON + 300)

    assert ids(closings.look(NOON + 1000)) == [first, second]
    assert closings.look(NOON + 2000) == [] == closings.look(NOON + THOROUGH_MS + 1)


def test_a_call_that_takes_long_is_given_when_it_is_closed(books, closings, database):
    """Nobody looks that far back for it."""
    name = books.add(state="open", at=NOON - 30 * MINUTE)
    closings.look(NOON)
    assert closings.look(NOON + 1000) == []
    closed = closing(opening(name, "a1b2c3d4"), "charged")
    closed.row["closed_at"] = NOON + 1500
    LedgerTable(database).write([], [closed])

    assert ids(closings.look(NOON + 2000)) == [name]
    assert closings._reading.since == NOON + 2000 - MINUTE


def test_a_row_that_appears_late_is_not_missed(books, closings):
    """As where a body took minutes to arrive: the name is as old as the request."""
    closings.look(NOON)
    closings.look(NOON + 1000)
    late = books.add(at=NOON - MINUTE + 500)
    assert closings.look(NOON + 2000) == []
    assert ids(closings.look(NOON + THOROUGH_MS)) == [late]
    assert closings.look(NOON + 2 * THOROUGH_MS + 1) == []


def test_what_was_shown_before_is_not_given_again(books, closings, database):
    closings.look(NOON)
    name, still = books.add(at=NOON + 100), books.add(state="open", at=NOON + 100)
    closings.know(LedgerReading(database).newest(5, {}), NOON + 500)

    assert closings.look(NOON + 1000) == []
    assert {name, still} == set(ids(LedgerReading(database).newest(5, {})))
