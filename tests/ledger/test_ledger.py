"""The ledger as the gateway keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import sqlalchemy as sa

from app.access.caller import Caller
from app.canonical.events import Usage
from app.days import Days
from app.errors import BudgetSpent, GatewayError, OverLimit, PriceUnknown, QuotaGone
from app.ledger.journal import Journal
from app.ledger.ledger import Ledger, Purchase
from app.ledger.ledger_watch import LedgerWatch
from app.ledger.price import Price, Rates
from app.ledger.units import Units
from app.limits import Allowance, Limits
from app.secret import Secret
from app.storage.database import Database, DatabaseTrouble
from app.storage.ledger import LedgerTable, days, ledger
from app.storage.ledger_reading import LedgerReading
from app.storage.licences import Licence
from tests.storage.databases import KINDS, made

MILLION = 10**6
PRICE = Price("test 1", "USD", (Rates(2 * MILLION, 10 * MILLION, MILLION, MILLION, 10 * MILLION),))
NOON = 1_795_953_600.0  # 2026-11-29 12:00 UTC
HOUR = 3600.0


class HandClock:
    """Stands still until it is moved; sleeping moves it."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> float:
        return self.at

    def ticks(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


class Book:
    """Prices of two models; of no other is anything known."""

    def __init__(self) -> None:
        self.prices = {"priced": PRICE, "free": Price("test 1", "USD", (Rates(0, 0, 0, 0, 0),))}

    def price(self, platform: str, model: str, at: float) -> Price | None:
        return self.prices.get(model)


@pytest.fixture(params=KINDS)
def database(request, tmp_path) -> Iterator[Database]:
    with made(request.param, tmp_path, request.node.name) as database:
        yield database


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def kept(database: Database, tmp_path: Path, clock: HandClock, book: Book) -> Ledger:
    journal = Journal(tmp_path / "journal" / "ledger")
    return Ledger(LedgerTable(database), book, journal, clock)  # type: ignore[arg-type]


def caller(allowance: Allowance = Allowance(), brought: str = "") -> Caller:
    licence = Licence(1, "a1b2c3d4", "", (), (), 0, None, None, allowance=allowance)
    return Caller(licence, Secret(brought) if brought else None)


def purchase(name: str = "req_1", by: Caller | None = None, **more: Any) -> Purchase:
    given = {"platform": "chatgpt", "kind": "chat", "model": "priced", "asked": "mine"}
    given |= {"spoken": "openai_chat"}
    return Purchase(id=name, caller=by or caller(), **given | more)


def rows(database: Database, of: sa.Table = ledger) -> list[dict[str, Any]]:
    query = of.select().order_by(*of.primary_key)
    found = database.read(lambda connection: connection.execute(query).all())
    return [dict(row._mapping) for row in found]


def died(database: Database) -> None:
    """Whoever opened rows is no more."""
    with database.engine.begin() as connection:
        place = connection.execute(sa.select(ledger.c.worker)).scalar().rsplit(":", 2)[0]
        connection.execute(ledger.update().values(worker=f"{place}:999999999:1"))


def test_who_keeps_purses_is_told_what_was_charged_to_whom(kept, database):
    told = []
    kept.on_charge = lambda credential, money: told.append((credential, money))
    kept.open(purchase()).charge({"credential": "cr_1"}, Usage(1000, 100))
    kept.open(purchase("req_2")).end({"credential": "cr_1"}, None, "failed")
    kept.open(purchase("req_3", model="free")).charge({"credential": "cr_1"}, Usage(1, 1))

    assert told == [("cr_1", rows(database)[0]["charge"])] and told[0][1] > 0


def test_what_arrived_is_charged_at_the_price_it_began_with(kept, database, book):
    """R-066."""
    entry = kept.open(purchase())
    book.prices["priced"] = Price("test 2", "USD", (Rates(0, 0, 0, 0, 0),))
    record = {"credential": "cr_1", "attempts": 2, "road": "raw", "first_ms": 12}
    entry.charge(record, Usage(100, 20, cached=40))

    (row,) = rows(database)
    assert row["charge"] == 60 * 2 + 40 * 1 + 20 * 10
    assert (row["state"], row["outcome"], row["price"]) == ("charged", "ok", "test 1")
    assert '"output":10000000' in row["unit_prices"]
    assert (row["credential"], row["attempts"], row["road"], row["first_ms"]) == (
        "cr_1",
        2,
        "raw",
        12,
    )
    assert (row["asked"], row["input"], row["output"], row["cached"]) == ("mine", 100, 20, 40)


def test_an_entry_is_closed_once(kept, database):
    entry = kept.open(purchase())
    entry.charge({}, Usage(1, 1))
    entry.charge({}, Usage(500, 500))
    entry.end({}, None, "caller_gone")

    assert [(row["input"], row["outcome"]) for row in rows(database)] == [(1, "ok")]


def test_what_brought_nothing_costs_nothing(kept, database):
    """R-058."""
    kept.open(purchase()).end({}, None, "upstream_error")

    (row,) = rows(database)
    assert (row["state"], row["outcome"], row["charge"]) == ("released", "upstream_error", 0)


def test_what_arrived_before_the_end_is_charged_and_says_that_it_is_a_guess(kept, database):
    """R-057."""
    kept.open(purchase()).end({}, Usage(10, 5, estimated=True), "caller_gone")

    (row,) = rows(database)
    assert (row["state"], row["outcome"], row["charge"]) == ("charged", "caller_gone", 70)
    assert row["estimated"]


def test_who_brings_a_token_pays_the_platform_and_not_the_operator(kept, database):
    by = caller(Allowance(Limits(rpd=1), total=1), brought="sk-own")
    kept.open(purchase(by=by, model="nobody-knows")).charge({}, Usage(10, 5))

    (row,) = rows(database)
    assert (row["mode"], row["charge"], row["price"], row["input"]) == ("chat2api", 0, "", 10)
    with pytest.raises(OverLimit) as caught:
        kept.open(purchase("req_2", by))
    assert caught.value.code == "rpd_exceeded"  # its other limits hold all the same (C-049)


def test_nonsense_that_a_platform_counts_is_not_charged(kept, database):
    """R-016."""
    kept.open(purchase()).charge({}, Usage(-5, 10**18))

    (row,) = rows(database)
    assert (row["charge"], row["input"], row["output"]) == (0, 0, 0) and row["estimated"]


def test_a_price_that_nobody_knows_is_an_error_only_where_money_is_counted(kept, database):
    kept.open(purchase(model="unknown")).charge({}, Usage(3, 4))
    with pytest.raises(PriceUnknown):
        kept.open(purchase("req_2", caller(Allowance(total=10**6)), model="unknown"))
    kept.open(purchase("req_3", caller(Allowance(total=10**6)), model="free")).charge(
        {}, Usage(1, 1)
    )

    assert [row["charge"] for row in rows(database)] == [0, 0]
    assert [(row["model"], row["unpriced"]) for row in rows(database, days)] == [
        ("free", 0),
        ("unknown", 1),
    ]


@pytest.mark.parametrize(
    ("allowance", "kind", "code", "seconds"),
    [
        (Allowance(Limits(rpd=1)), OverLimit, "rpd_exceeded", 12 * HOUR),
        (Allowance(Limits(tpd=15)), OverLimit, "tpd_exceeded", 12 * HOUR),
        (Allowance(day=70), BudgetSpent, "budget_exceeded", 12 * HOUR),
        (Allowance(month=70), BudgetSpent, "budget_exceeded", 36 * HOUR),
        (Allowance(total=70), QuotaGone, "insufficient_quota", None),
        (Allowance(credit=70), QuotaGone, "insufficient_quota", None),
        (Allowance(credit=10**9, credit_until=int(NOON)), QuotaGone, "insufficient_quota", None),
    ],
)
def test_what_is_used_up_is_refused_and_says_for_how_long(kept, allowance, kind, code, seconds):
    """C-240, C-242."""
    by = caller(allowance)
    if allowance.credit_until is None:
        kept.open(purchase(by=by, input=10, output=5)).charge({}, Usage(10, 5))

    with pytest.raises(kind) as caught:
        kept.open(purchase("req_2", by, input=1, output=1))

    error = caught.value
    assert (error.status, error.code, error.retry_after) == (429, code, seconds)
    assert error.may_retry is False


def test_what_is_held_back_for_others_is_worth_waiting_for(kept):
    by = caller(Allowance(Limits(tpd=100)))
    kept.open(purchase(by=by, input=10, output=90))

    with pytest.raises(OverLimit) as caught:
        kept.open(purchase("req_2", by, input=10, output=10))

    assert caught.value.retry_after == 2.0 and caught.value.may_retry is None


def test_an_entry_says_how_much_may_come_out(kept):
    by = caller(Allowance(Limits(tpd=100)))

    assert kept.open(purchase(by=by, input=10, output=50)).output is None
    assert kept.open(purchase("req_2", by, input=10, output=50)).output == 30


def test_several_answers_are_held_back_and_share_what_is_left(kept):
    """R-060: what is asked for is asked for each of them."""
    by = caller(Allowance(Limits(tpd=1000)))
    one = kept.open(purchase(by=by, input=10, output=40, answers=5))
    two = kept.open(purchase("req_2", by=by, input=10, output=400, answers=5))

    assert (one.output, two.output) == (None, (1000 - 10 - 200 - 10) // 5)
    with pytest.raises(OverLimit):
        kept.open(purchase("req_3", by=by, input=0, output=1, answers=5))


def test_a_refusal_says_whole_seconds_and_never_too_few(kept, clock):
    """C-240: as those of a minute do."""
    by = caller(Allowance(Limits(rpd=1)))
    clock.at += 0.25
    kept.open(purchase(by=by))

    with pytest.raises(OverLimit) as caught:
        kept.open(purchase("req_2", by))
    assert caught.value.retry_after == 12 * HOUR


def test_a_call_says_what_is_left_of_the_day(kept):
    """C-243: what is held for it and others is not."""
    allowance = Allowance(Limits(rpd=2, tpd=100))
    for name, left in (("req_1", ("1", "85")), ("req_2", ("0", "70"))):
        by = caller(allowance)
        kept.open(purchase(name, by, input=10, output=5))
        told = by.standing.headers()
        assert told["x-ratelimit-remaining-requests"] == left[0]
        assert told["x-ratelimit-remaining-tokens"] == left[1]
        assert told["x-ratelimit-reset-tokens"] == "12h0m0s"
    by = caller(allowance)
    with pytest.raises(OverLimit):
        kept.open(purchase("req_3", by))
    assert by.standing.headers()["x-ratelimit-remaining-requests"] == "0"


def test_a_new_day_begins_when_the_operator_says(database, tmp_path, clock, book):
    """C-239."""
    table, journal = LedgerTable(database), Journal(tmp_path / "journal")
    kept = Ledger(table, book, journal, clock, days=Days(16 * HOUR))
    by = caller(Allowance(Limits(rpd=1)))
    kept.open(purchase(by=by))
    with pytest.raises(OverLimit) as caught:
        kept.open(purchase("req_2", by))
    assert caught.value.retry_after == 4 * HOUR

    clock.sleep(4 * HOUR)
    kept.open(purchase("req_3", by))


def test_many_at_once_are_written_together(kept, database, monkeypatch):
    writes = []
    write = LedgerTable.write

    def counted(self: LedgerTable, openings: Any, closings: Any) -> None:
        writes.append(len(openings) + len(closings))
        gevent.sleep(0)  # as a database would
        write(self, openings, closings)

    monkeypatch.setattr(LedgerTable, "write", counted)
    jobs = [
        gevent.spawn(lambda n=n: kept.open(purchase(f"req_{n}")).charge({}, Usage(1, 1)))
        for n in range(40)
    ]
    gevent.joinall(jobs, raise_error=True)

    assert len(rows(database)) == 40 and sum(writes) == 80 and len(writes) < 12


def test_where_the_database_fails_nobody_is_told_of_an_end_and_the_journal_keeps_the_row(
    kept, database, monkeypatch, tmp_path
):
    """R-067."""
    entry, other = kept.open(purchase()), kept.open(purchase("req_2"))

    def fail(*_: Any) -> None:
        raise DatabaseTrouble("the gateway's database cannot be used just now")

    with monkeypatch.context() as patch:
        patch.setattr(LedgerTable, "write", fail)
        with pytest.raises(DatabaseTrouble):
            entry.charge({"credential": "cr_1"}, Usage(10, 5))
        other.end({}, None, "caller_gone")  # nobody is there to be told
        LedgerWatch(
            kept, LedgerReading(database), HandClock()
        ).rounds.once()  # it cannot be taken in yet
    assert [row["state"] for row in rows(database)] == ["open", "open"]

    kept.tidy()
    kept.tidy()

    assert [(row["state"], row["charge"]) for row in rows(database)] == [
        ("charged", 70),
        ("released", 0),
    ]
    assert list((tmp_path / "journal").iterdir()) == []


def test_no_row_is_given_up_while_another_takes_in_what_it_came_to(
    kept, database, tmp_path, monkeypatch
):
    """R-067: its process is dead, and another worker has the journal in its hands."""
    entry = kept.open(purchase())
    with monkeypatch.context() as patch:
        patch.setattr(LedgerTable, "write", lambda *_: (_ for _ in ()).throw(GatewayError()))
        with pytest.raises(GatewayError):
            entry.charge({}, Usage(10, 5))
    died(database)

    def slow(closings: Any) -> None:
        kept.tidy()
        assert rows(database)[0]["state"] == "open"
        raise GatewayError

    with pytest.raises(GatewayError):
        Journal(tmp_path / "journal" / "ledger").take_in(slow)
    kept.tidy()

    assert [(row["state"], row["charge"]) for row in rows(database)] == [("charged", 70)]


def test_a_row_that_was_opened_though_nobody_heard_of_it_is_released(
    kept, database, monkeypatch, clock
):
    """R-056, R-144: the connection was lost when the row was written, and before that was known."""
    write = LedgerTable.write

    def unheard(table: LedgerTable, openings: Any, closings: Any) -> None:
        write(table, openings, closings)
        raise DatabaseTrouble("the gateway's database cannot be used just now")

    by = caller(Allowance(Limits(tpd=100)))
    with monkeypatch.context() as patch:
        patch.setattr(LedgerTable, "write", unheard)
        with pytest.raises(DatabaseTrouble):
            kept.open(purchase(by=by, input=10, output=90))
    assert rows(database)[0]["state"] == "open"

    kept.tidy()

    (row,) = rows(database)
    assert (row["state"], row["outcome"]) == ("released", "database_unavailable")
    kept.open(purchase("req_2", by, input=10, output=90))  # nothing is held back for it
    kept.tidy()
    assert [row["state"] for row in rows(database)] == ["released", "open"]


def test_what_was_never_opened_needs_no_release(kept, database, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(LedgerTable, "write", lambda *_: (_ for _ in ()).throw(DatabaseTrouble()))
        with pytest.raises(DatabaseTrouble):
            kept.open(purchase())

        with pytest.raises(DatabaseTrouble):
            kept.tidy()  # nor is it forgotten
    kept.tidy()

    assert rows(database) == rows(database, days) == []


def test_a_line_of_the_journal_that_was_cut_off_is_none(kept, database, tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal" / "ledger")
    entry = kept.open(purchase())
    with monkeypatch.context() as patch:
        patch.setattr(LedgerTable, "write", lambda *_: (_ for _ in ()).throw(GatewayError()))
        with pytest.raises(GatewayError):
            entry.charge({}, Usage(1, 1))
    with open(tmp_path / "journal" / "ledger", "ab") as file:
        file.write(b'{"row": {"id": "req_')

    kept.tidy()

    assert rows(database)[0]["state"] == "charged"
    assert journal.take_in(lambda _: None) == 0


def test_rows_of_a_process_that_is_no_more_are_released(kept, database):
    kept.open(purchase())
    died(database)

    kept.tidy()

    assert [(row["state"], row["outcome"]) for row in rows(database)] == [
        ("interrupted", "interrupted")
    ]


def test_rows_of_a_process_elsewhere_are_released_when_no_call_takes_so_long(kept, database, clock):
    kept.open(purchase())
    with database.engine.begin() as connection:
        connection.execute(ledger.update().values(worker="other/1-1:1:1"))
    kept.tidy()
    assert rows(database)[0]["state"] == "open"

    clock.sleep(3601)
    kept.tidy()

    assert rows(database)[0]["state"] == "interrupted"


def test_pictures_and_films_are_counted(kept, database):
    entry = kept.open(purchase(kind="image", units=Units(4)))
    entry.charge({}, Usage(0, 0), Units(3, quality="high"))

    (row,) = rows(database)
    assert (row["pictures"], row["kind"]) == (3, "image")


def test_old_rows_are_forgotten_and_what_their_days_came_to_stays(kept, database, clock):
    for name in ("req_018000000000", "req_01a2f0000000", "req_01a2f0000001"):
        entry = kept.open(purchase(name + "ab" * 6))
        if name != "req_01a2f0000001":
            entry.charge({}, Usage(10, 5))
    watch = LedgerWatch(kept, LedgerReading(database), clock, days=90)

    watch.look()

    assert [row["id"][:16] for row in rows(database)] == ["req_01a2f0000000", "req_01a2f0000001"]
    assert rows(database, days)[0]["calls"] == 2
    clock.sleep(10**8)  # what was open is released first
    watch.look()
    assert rows(database) == [] and sum(row["failed"] for row in rows(database, days)) == 1
