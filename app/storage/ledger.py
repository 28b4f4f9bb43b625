"""The ledger: a row for every call that may cost something, what a day came to, and what licences
with limits have used.

A row is opened before a platform is asked and closed before the caller is told the end. Both are
written many at a time, in one transaction, which also holds back and gives back what a licence may
use: so it is as exact as the database, whoever shares it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import sqlalchemy as sa

from app.account import Account, Claim, Hold, Short
from app.days import month_of
from app.limits import BOUNDLESS, Allowance
from app.storage.database import Database, metadata
from app.storage.prepared import Prepared
from app.storage.tasks import tasks
from app.storage.upsert import insert_into

OPENED = tuple("licence mode day platform model price held_tokens held_money".split())
ALSO_OPENED = """id state kind asked spoken stream opened_at unit_prices worker""".split()
OPEN, CHARGED, RELEASED, INTERRUPTED = "open", "charged", "released", "interrupted"
PIECE = 500  # rows that are closed or deleted at a time
COUNTS = ("input", "output", "cached", "cache_write", "reasoning", "pictures", "seconds", "charge")
SUMS = ("calls", "failed", "estimated", "unpriced", *COUNTS)

ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("outcome", sa.String(64), nullable=False, server_default=""),
    sa.Column("licence", sa.String(16), nullable=False),
    sa.Column("mode", sa.String(8), nullable=False),
    sa.Column("platform", sa.String(32), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("asked", sa.String(200), nullable=False),
    sa.Column("credential", sa.String(64), nullable=False, server_default=""),
    sa.Column("spoken", sa.String(32), nullable=False),
    sa.Column("road", sa.String(16), nullable=False, server_default=""),
    sa.Column("stream", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed", sa.Text, nullable=False, server_default=""),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("closed_at", sa.BigInteger),
    sa.Column("first_ms", sa.BigInteger),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("input", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("output", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("cached", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("cache_write", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("reasoning", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("pictures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("seconds", sa.Float, nullable=False, server_default="0"),
    sa.Column("estimated", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("price", sa.String(64), nullable=False),
    sa.Column("unit_prices", sa.Text, nullable=False),
    sa.Column("charge", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("held_tokens", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("held_money", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("worker", sa.String(160), nullable=False),
    # With an index over what is open, by worker: named here, it would bring the drivers of both databases.
    sqlite_with_rowid=False,
)

days = sa.Table(
    "ledger_days",
    metadata,
    sa.Column("day", sa.Integer, primary_key=True),
    sa.Column("licence", sa.String(16), primary_key=True),
    sa.Column("platform", sa.String(32), primary_key=True),
    sa.Column("model", sa.String(200), primary_key=True),
    sa.Column("credential", sa.String(64), primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("estimated", sa.BigInteger, nullable=False),
    sa.Column("unpriced", sa.BigInteger, nullable=False),
    sa.Column("input", sa.BigInteger, nullable=False),
    sa.Column("output", sa.BigInteger, nullable=False),
    sa.Column("cached", sa.BigInteger, nullable=False),
    sa.Column("cache_write", sa.BigInteger, nullable=False),
    sa.Column("reasoning", sa.BigInteger, nullable=False),
    sa.Column("pictures", sa.BigInteger, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("charge", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("licence", sa.String(16), primary_key=True),
    sa.Column("day", sa.Integer, nullable=False),
    sa.Column("day_calls", sa.BigInteger, nullable=False),
    sa.Column("day_tokens", sa.BigInteger, nullable=False),
    sa.Column("day_money", sa.BigInteger, nullable=False),
    sa.Column("month", sa.Integer, nullable=False),
    sa.Column("month_money", sa.BigInteger, nullable=False),
    sa.Column("total_money", sa.BigInteger, nullable=False),
    sa.Column("held_tokens", sa.BigInteger, nullable=False),
    sa.Column("held_money", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


@dataclass(slots=True)
class Opening:
    """A row to be opened: `row` are its columns. With a `claim` only if the licence has so much left;
    then `hold` is what was held back, or `short` says what is missing and there is no row.
    """

    row: dict[str, Any]
    claim: Claim | None = None
    allowance: Allowance = BOUNDLESS
    now: float = 0.0
    hold: Hold = field(default_factory=Hold)
    short: Short | None = None


@dataclass(slots=True)
class Closing:
    """A row to be closed: `row` are the columns that are known by now (see `closed_row`), `opened`
    those it was opened with.
    """

    row: dict[str, Any]
    opened: Mapping[str, Any]


class LedgerTable:
    """Rows in, values out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, openings: Sequence[Opening], closings: Sequence[Closing]) -> None:
        """All of them, or none. What is opened
        outlives any process, what is closed a power cut too.
        """

        def work(connection: sa.Connection) -> None:
            _write(connection, openings, closings, all_open=True)

        def careful(connection: sa.Connection) -> None:
            _write(connection, openings, closings, all_open=False)

        durable = bool(closings)
        try:
            self._database.write(work, durable=durable)
        except _NotAllOpen:
            self._database.write(careful, durable=durable)

    def opened(self, connection: sa.Connection, name: str) -> Mapping[str, Any] | None:
        """What a row was opened with, if it is open."""
        query = sa.select(*(ledger.c[one] for one in (*OPENED, "unit_prices")))
        found = connection.execute(query.where(ledger.c.id == name, ledger.c.state == OPEN)).first()
        return None if found is None else dict(found._mapping)

    def close_in(self, connection: sa.Connection, closing: Closing) -> None:
        """Closes a row as part of a transaction that does more than that."""
        _write(connection, (), (closing,), all_open=False)

    def interrupt(self, worker: str, now: int, opened_before: int) -> int:
        """Closes what a worker that is no more has left open, but for what goes on as a task; how many
        rows that were. Nothing is charged: nobody was told that it was done.
        """
        going_on = sa.select(tasks.c.ledger).where(tasks.c.settled == "")
        columns = (ledger.c[name] for name in ("id", "credential", *OPENED))
        query = sa.select(*columns).where(
            ledger.c.state == OPEN,
            ledger.c.worker == worker,
            ledger.c.opened_at <= opened_before,
            ledger.c.id.not_in(going_on),
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        closings = [
            Closing(closed_row(row.id, INTERRUPTED, "interrupted", now), dict(row._mapping))
            for row in rows
        ]
        for at in range(0, len(closings), PIECE):
            self.write((), closings[at : at + PIECE])
        return len(closings)

    def workers(self) -> list[str]:
        """Those who have rows open."""
        query = sa.select(ledger.c.worker).where(ledger.c.state == OPEN).distinct()
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [row[0] for row in rows]

    def account(self, licence: str) -> Account | None:
        """What a licence with limits has used, as of the last call."""
        return self._database.read(lambda found: _accounts(found, {licence})).get(licence)


class _NotAllOpen(Exception):
    """Some rows had been closed before."""


def closed_row(name: str, state: str, outcome: str, now: int, **known: Any) -> dict[str, Any]:
    """The columns of a row that is closed, with nothing for what is not known."""
    row: dict[str, Any] = {
        "id": name,
        "state": state,
        "outcome": outcome,
        "closed_at": now,
        "credential": "",
        "road": "",
        "attempts": 0,
        "failed": "",
        "first_ms": None,
        "estimated": False,
        **dict.fromkeys(COUNTS, 0),
    }
    return row | known


# ---------------------------------------------------------------- rows


_CLOSED = tuple(closed_row("", "", "", 0))
_OPEN = Prepared(ledger.insert(), (*OPENED, *ALSO_OPENED))
_CLOSE = Prepared(
    ledger.update()
    .where(ledger.c.id == sa.bindparam("id"), ledger.c.state == sa.literal_column("'open'"))
    .values({name: sa.bindparam(name) for name in _CLOSED if name != "id"}),
    (),
)
_FIND_ACCOUNT = Prepared(
    sa.select(*accounts.c).where(accounts.c.licence == sa.bindparam("licence")).with_for_update(),
    (),
)
_SET_ACCOUNT = Prepared(
    accounts.update()
    .where(accounts.c.licence == sa.bindparam("licence"))
    .values({column.name: sa.bindparam(column.name) for column in list(accounts.c)[1:]}),
    (),
)


def _write(
    connection: sa.Connection,
    openings: Sequence[Opening],
    closings: Sequence[Closing],
    *,
    all_open: bool,
) -> None:
    asking = {one.row["licence"] for one in openings if one.claim is not None}
    concerned = asking | {one.opened["licence"] for one in closings}
    known = _accounts(connection, concerned)
    for licence in sorted(asking - known.keys()):
        known[licence] = _begun(connection, licence)
    before = {licence: replace(account) for licence, account in known.items()}
    opened = [one.row for one in openings if _taken(one, known)]
    if opened:
        _OPEN.run(connection, opened)
    if closings:
        _close(connection, closings, known, all_open=all_open)
    for licence, account in known.items():
        if account != before[licence]:
            _SET_ACCOUNT.run(connection, [{"licence": licence, **asdict(account)}])


def _taken(opening: Opening, known: Mapping[str, Account]) -> bool:
    """Whether the row may be opened. If there is a claim, it is held back."""
    if opening.claim is None:
        return True
    account = known[opening.row["licence"]]
    account.turn(opening.row["day"])
    opening.short = None
    try:
        hold = account.take(opening.allowance, opening.claim, opening.now)
    except Short as short:
        opening.short = short
        return False
    opening.hold = hold
    opening.row |= {"held_tokens": hold.tokens, "held_money": hold.money}
    return True


def _close(
    connection: sa.Connection,
    closings: Sequence[Closing],
    known: Mapping[str, Account],
    *,
    all_open: bool,
) -> None:
    """Closes what is still open, and adds it to its day and its licence's account."""
    if not all_open:
        names = [one.row["id"] for one in closings]
        query = sa.select(ledger.c.id).where(ledger.c.id.in_(names), ledger.c.state == OPEN)
        still = {row[0] for row in connection.execute(query.with_for_update())}
        closings = list({one.row["id"]: one for one in closings if one.row["id"] in still}.values())
        if not closings:
            return
    done = _CLOSE.run(connection, [one.row for one in closings])
    if done.rowcount != len(closings):
        raise _NotAllOpen
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in closings:
        row, opened = one.row, one.opened
        if (account := known.get(opened["licence"])) is not None:
            account.turn(opened["day"])
            hold = Hold(opened["held_tokens"], opened["held_money"])
            account.settle(hold, row["input"] + row["output"], row["charge"])
        _add(sums, row, opened)
    _into_days(connection.dialect.name).run(connection, [sums[key] for key in sorted(sums)])


def _add(
    sums: dict[tuple[Any, ...], dict[str, Any]], row: Mapping[str, Any], opened: Mapping[str, Any]
) -> None:
    key = {name: opened[name] for name in ("day", "licence", "platform", "model")}
    key["credential"] = row["credential"]
    into = sums.setdefault(tuple(key.values()), key | dict.fromkeys(SUMS, 0))
    into["calls"] += 1
    into["failed"] += row["state"] != CHARGED
    into["estimated"] += bool(row["estimated"])
    paid = row["state"] == CHARGED and opened["mode"] == "licence"
    into["unpriced"] += paid and not opened["price"]
    for name in COUNTS:
        into[name] += row[name]


@cache
def _into_days(dialect: str) -> Prepared:
    """The statement that adds to a day, whether there is anything of it yet or not."""
    insert = insert_into(days, dialect)
    sums = {name: days.c[name] + insert.excluded[name] for name in SUMS}
    upsert = insert.on_conflict_do_update(index_elements=list(days.primary_key), set_=sums)
    return Prepared(upsert, days.c.keys())


# ---------------------------------------------------------------- accounts


def _accounts(connection: sa.Connection, licences: Collection[str]) -> dict[str, Account]:
    """Those that there are, and nobody else's to change until the transaction is over."""
    found = {}
    for licence in sorted(licences):
        if row := _FIND_ACCOUNT.run(connection, [{"licence": licence}]).fetchone():
            found[licence] = Account(*row[1:])
    return found


def _begun(connection: sa.Connection, licence: str) -> Account:
    """An account that takes up what the licence used while it had none."""
    newest = sa.select(sa.func.max(days.c.day)).where(days.c.licence == licence)
    day = connection.execute(newest).scalar() or 0
    account = Account(day=day, month=month_of(day))
    of_day = sa.select(
        days.c.day, *(sa.func.sum(days.c[name]) for name in ("calls", "input", "output", "charge"))
    )
    for row in connection.execute(of_day.where(days.c.licence == licence).group_by(days.c.day)):
        account.total_money += int(row[4])
        if month_of(row[0]) == account.month:
            account.month_money += int(row[4])
        if row[0] == day:
            account.day_calls = int(row[1])
            account.day_tokens, account.day_money = int(row[2] + row[3]), int(row[4])
    values = {"licence": licence, **asdict(account)}
    insert = insert_into(accounts, connection.dialect.name)
    connection.execute(insert.on_conflict_do_nothing(), values)
    return _accounts(connection, {licence})[licence]
