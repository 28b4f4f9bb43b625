"""Credentials with limits of length and of money: who is passed over, and until when."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from app.days import DAY, Days, month_of
from app.errors import GatewayError
from app.limits import Allowance
from app.pool.choice import Wanted, choose, verdict
from app.pool.hindrance import NEVER
from app.pool.keeper import Keeper
from app.pool.purse import Purse, Spent
from app.pool.spending import EVERY, OLD_EVERY, Spending
from app.storage.database import Database
from app.storage.ledger import LedgerTable
from app.storage.ledger_reading import LedgerReading
from tests.pool.conftest import NOON, key, picked, pool_of
from tests.storage.databases import KINDS, made
from tests.storage.test_ledger import closing, opening

DAYS = Days(3600.0)
TODAY = DAYS.day(NOON)
SMALL, LARGE = key("small", allowance=Allowance(context=100, output=50), priority=1), key("large")


@pytest.fixture(params=KINDS)
def database(request, tmp_path) -> Iterator[Database]:
    with made(request.param, tmp_path, request.node.name) as found:
        yield found


# ---------------------------------------------------------------- lengths


@pytest.mark.parametrize(
    "wanted, name",
    [
        ({}, "small"),
        ({"context": 100, "output": 50}, "small"),
        ({"context": 101, "output": 1}, "large"),
        ({"context": 1, "output": 51}, "large"),
    ],
)
def test_a_call_too_long_for_one_is_served_by_another(clock, wanted, name):
    pool = pool_of(clock, SMALL, LARGE)
    found = choose(pool.candidates("p", Wanted("m")), Wanted("m", **wanted), NOON)

    assert [picked(pool, **wanted) for _ in range(3)] == [name] * 3
    assert found is not None and found.credential.id == name
    assert picked(pool) == "small"  # it was passed over for those calls alone


def test_a_session_is_not_kept_with_a_key_that_is_too_small(clock):
    pool = pool_of(clock, SMALL, LARGE)
    lease = pool.pick("p", Wanted("m"), "s")
    lease.accepted()
    lease.give_back()

    assert picked(pool, session="s") == "small"
    assert picked(pool, session="s", context=101) == "large"


def test_where_all_are_too_small_there_is_nothing_to_wait_for(clock):
    pool, wanted = pool_of(clock, SMALL), Wanted("m", context=101, output=51)
    (only,) = pool.candidates("p", wanted)

    assert pool.pick("p", wanted) is None and pool.next_look("p", wanted) is None
    assert [one.kind for one in pool.excess("p", wanted)] == ["context"]
    found = verdict(only, wanted, NOON)
    assert (found.reason, found.until) == ("context, 101 of at most 100 tokens", None)
    assert pool.measures("p") and not pool_of(clock, LARGE).measures("p")


# ---------------------------------------------------------------- money


def hindered(allowance: Allowance, spent: Spent, now: float = NOON, own: int = 0):
    purse = Purse(allowance, DAYS)
    purse.hear(spent, 0)
    purse.own = own
    found = purse.hindrance(now)
    return found and (found.kind, found.until)


SPENT = Spent(TODAY, 10, 20, 30)
MORROW = DAYS.day_ends(TODAY)


@pytest.mark.parametrize(
    "allowance, found",
    [
        (Allowance(day=11, month=21, total=31, credit=31), None),
        (Allowance(day=10), ("budget_day", MORROW)),
        (Allowance(day=10, month=20), ("budget_month", DAYS.month_ends(TODAY))),
        (Allowance(day=10, total=30), ("budget_total", NEVER)),
        (Allowance(credit=30), ("credit", NEVER)),
        (Allowance(credit=99, credit_until=int(NOON) + 1), None),
        (Allowance(credit=99, credit_until=int(NOON)), ("credit", NEVER)),
        (Allowance(day=0), ("budget_day", MORROW)),
    ],
)
def test_a_budget_that_is_spent_hinders_until_it_begins_anew(allowance, found):
    assert hindered(allowance, SPENT) == found


def test_what_this_worker_has_charged_counts_at_once():
    assert hindered(Allowance(day=11), SPENT, own=1) == ("budget_day", MORROW)


def test_days_and_months_begin_anew_without_being_told():
    allowance = Allowance(day=10, month=20)
    month = DAYS.month_ends(TODAY)

    assert hindered(Allowance(day=10), SPENT, MORROW - 1) == ("budget_day", MORROW)
    assert hindered(Allowance(day=10), SPENT, MORROW) is None
    assert hindered(allowance, SPENT, month - 1) == ("budget_month", month)
    assert hindered(allowance, SPENT, month) is None
    assert (
        datetime.datetime.fromtimestamp(month, datetime.timezone.utc).strftime("%d %H") == "01 01"
    )


class Books:
    """A ledger, and pools that look into it."""

    def __init__(self, database: Database, clock) -> None:
        self.reading = LedgerReading(database)
        self._table = LedgerTable(database)
        self._clock = clock
        self._rows = 0

    def charge(self, credential: str, money: int, day: int = TODAY) -> None:
        self._rows += 1
        row = opening(f"r{self._rows}", day=day)
        self._table.write([row], [])
        self._table.write([], [closing(row, credential=credential, charge=money)])

    def pool(self, *keys):
        pool = pool_of(self._clock, *keys, days=DAYS)
        spending = Spending(pool, self.reading, DAYS)
        keeper = Keeper(pool, [], self._clock, spending)
        keeper.look()
        return pool, keeper


def test_sums_are_told_by_credential_and_day(database, clock):
    books = Books(database, clock)
    for name, money, day in (("a", 1, 5), ("a", 2, 5), ("a", 4, 6), ("b", 8, 5), ("c", 16, 5)):
        books.charge(name, money, day)

    assert sorted(books.reading.charged(["a", "b"], 5, 5)) == [("a", 5, 3), ("b", 5, 8)]
    assert sorted(books.reading.charged({"a"}, 0, 9)) == [("a", 5, 3), ("a", 6, 4)]
    assert books.reading.charged([], 0, 9) == []


def test_a_key_whose_budget_is_spent_is_passed_over_until_the_day_is_over(database, clock):
    books = Books(database, clock)
    books.charge("a", 60)
    books.charge("a", 1000, TODAY - 1)
    pool, keeper = books.pool(key("a", allowance=Allowance(day=100), priority=1), key("b"))
    assert picked(pool) == "a"

    books.charge("a", 40)  # another worker's
    clock.at += EVERY
    keeper.look()
    assert picked(pool) == "b"
    (poor,) = (one for one in pool.candidates("p", Wanted("m")) if one.credential.id == "a")
    reason = verdict(poor, Wanted("m"), NOON).reason
    assert reason == "budget_day, 0.0001 of 0.0001 dollars spent"

    clock.at = MORROW
    assert picked(pool) == "a"


def test_months_and_all_time_are_added_up(database, clock):
    books = Books(database, clock)
    first = next(day for day in range(TODAY, 0, -1) if month_of(day - 1) != month_of(TODAY))
    books.charge("a", 5, first)
    books.charge("a", 3, first - 1)
    books.charge("a", 2, TODAY)

    def serves(**most: int) -> bool:
        return picked(books.pool(key("a", allowance=Allowance(**most)))[0]) == "a"

    assert serves(day=3, month=8, total=11, credit=11)
    assert not serves(month=7) and not serves(total=10) and not serves(credit=10)


def test_what_was_charged_here_is_not_counted_twice(database, clock):
    books = Books(database, clock)
    pool, keeper = books.pool(key("a", allowance=Allowance(day=100)))
    pool.charged("a", 60)
    pool.charged("b", 60)  # nobody's purse
    books.charge("a", 60)
    clock.at += EVERY
    keeper.look()
    assert picked(pool) == "a" and pool.purses["a"].own == 0

    pool.charged("a", 40)
    assert picked(pool) is None
    pool.purses["a"].own = 0  # it was counted twice for a moment
    keeper.look()
    assert picked(pool) is None  # not looked up so soon
    clock.at += EVERY
    pool.purses["a"].own = 40
    keeper.look()
    assert picked(pool) == "a"


def test_old_days_are_looked_up_seldom(database, clock):
    books = Books(database, clock)
    pool, keeper = books.pool(key("a", allowance=Allowance(total=10)))
    books.charge("a", 10, TODAY - 30)
    clock.at += EVERY
    keeper.look()
    assert picked(pool) == "a"
    clock.at += OLD_EVERY
    keeper.look()
    assert picked(pool) is None


def test_without_budgets_nobody_asks_the_ledger(clock):
    class Untouched:
        def charged(self, *given):
            raise AssertionError("it was asked")

    pool = pool_of(clock, key("a"), SMALL)
    Spending(pool, Untouched(), DAYS).look_in_time(0.0)

    assert pool.purses == {}


def test_without_the_database_what_is_known_counts_and_the_log_says_so(clock, caplog):
    class Gone:
        def __init__(self):
            self.is_gone = False

        def charged(self, names, first, last):
            if self.is_gone:
                raise GatewayError("gone")
            return [("a", TODAY, 10)] if first <= TODAY <= last else []

    pool, ledger = pool_of(clock, key("a", allowance=Allowance(day=10)), days=DAYS), Gone()
    spending = Spending(pool, ledger, DAYS)
    spending.look_in_time(0.0)
    ledger.is_gone = True
    for ticks in (10.0, 20.0):
        spending.look_in_time(ticks)
    assert picked(pool) is None
    ledger.is_gone = False
    spending.look_in_time(30.0)

    assert [one.levelname for one in caplog.records] == ["ERROR", "WARNING"]
    assert DAYS.day_ends(TODAY) - NOON < DAY
