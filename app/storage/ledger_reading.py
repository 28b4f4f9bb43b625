"""Reading the ledger: rows as they were written, and what the days came to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from app.storage.database import Database
from app.storage.ledger import CHARGED, COUNTS, INTERRUPTED, OPEN, RELEASED, SUMS, days, ledger

DIMENSIONS = ("day", "licence", "platform", "model", "credential")
COLUMNS = tuple(ledger.c.keys())
PAGE = 1000
LOOK_BACK_MS = 7_200_000  # what is closed now was opened no longer ago than that
DAY_MS = 86_400_000
_DOUBT = sa.case(
    (ledger.c.state == INTERRUPTED, 0),
    (ledger.c.estimated, 1),
    ((ledger.c.state == CHARGED) & (ledger.c.outcome != "ok"), 2),
    ((ledger.c.state == RELEASED) & (ledger.c.attempts > 0), 3),
    (ledger.c.attempts > 1, 4),
    (ledger.c.state == OPEN, 5),
    else_=6,
)

Only = Mapping[str, str]


def first_id(ms: int) -> str:
    """No row that was opened later has a smaller id."""
    return f"req_{max(ms, 0):012x}"


class LedgerReading:
    """Looks, and changes nothing but what is too old."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def report(
        self, by: Sequence[str], first: int, last: int, only: Only | None = None
    ) -> list[dict[str, Any]]:
        """What these days came to, by these dimensions."""
        wanted = [days.c[name] for name in by]
        query = sa.select(*wanted, *(sa.func.sum(days.c[name]).label(name) for name in SUMS))
        query = query.where(days.c.day.between(first, last), *_only(days, only or {}))
        query = query.group_by(*wanted).order_by(*wanted) if wanted else query
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [
            {name: _plain(value) for name, value in row._mapping.items()}
            for row in rows
            if row._mapping["calls"]
        ]

    def charged(
        self, credentials: Collection[str], first: int, last: int
    ) -> list[tuple[str, int, int]]:
        """What each of these credentials was charged for on each of these days: its name, day and money."""
        money = sa.func.sum(days.c.charge).label("money")
        found, names = list[dict[str, Any]](), sorted(credentials)
        for at in range(0, len(names), PAGE):
            query = sa.select(days.c.credential, days.c.day, money).where(
                days.c.day.between(first, last), days.c.credential.in_(names[at : at + PAGE])
            )
            found += self._all(query.group_by(days.c.credential, days.c.day))
        return [(one["credential"], one["day"], int(one["money"])) for one in found]

    def report_utc(
        self, by: Sequence[str], first: int, last: int, only: Only
    ) -> list[dict[str, Any]]:
        """The same by days that begin at midnight in UTC, wherever the operator's do: added up from the
        rows that are kept.
        """
        day = ledger.c.opened_at // sa.literal_column(str(DAY_MS), sa.BigInteger)
        wanted = [day.label("utc") if name == "day" else ledger.c[name] for name in by]
        sums = [sa.func.sum(ledger.c[name]).label(name) for name in COUNTS]
        failed = sa.func.sum(sa.case((ledger.c.state == CHARGED, 0), else_=1)).label("failed")
        query = sa.select(*wanted, sa.func.count().label("calls"), failed, *sums).where(
            *_opened(first, last), ledger.c.state != OPEN, *_only(ledger, only)
        )
        query = query.group_by(*wanted).order_by(*wanted)
        return [
            {"day" if name == "utc" else name: _plain(value) for name, value in row.items()}
            for row in self._all(query)
        ]

    def knows(self, name: str, value: str) -> bool:
        """Whether anything was ever used by, of or with it."""
        found = (sa.exists().where(table.c[name] == value) for table in (days, ledger))
        query = sa.select(sa.or_(*found))
        return bool(self._database.read(lambda connection: connection.execute(query).scalar()))

    def count(self, since_ms: int, until_ms: int, only: Only) -> int:
        query = sa.select(sa.func.count()).select_from(ledger).where(*_span(since_ms, until_ms))
        query = query.where(*_only(ledger, only))
        return int(self._database.read(lambda connection: connection.execute(query).scalar() or 0))

    def rows(self, since_ms: int, until_ms: int, only: Only) -> Iterator[dict[str, Any]]:
        """From the oldest on, a page at a time, so that nobody waits for us in between."""
        after = ""
        while page := self._page(since_ms, until_ms, only, after):
            yield from page
            after = page[-1]["id"]

    def _page(self, since_ms: int, until_ms: int, only: Only, after: str) -> list[dict[str, Any]]:
        query = ledger.select().where(*_span(since_ms, until_ms), *_only(ledger, only))
        query = query.where(ledger.c.id > after).order_by(ledger.c.id).limit(PAGE)
        return self._all(query)

    def newest(self, number: int, only: Only) -> list[dict[str, Any]]:
        """The last that were opened, the oldest of them first."""
        query = ledger.select().where(*_only(ledger, only)).order_by(ledger.c.id.desc())
        return self._all(query.limit(number))[::-1]

    def names(self, since_ms: int, closed_ms: int, only: Only) -> list[str]:
        """Of what was opened since, and is open or was not closed before that time."""
        query = sa.select(ledger.c.id).where(
            ledger.c.id >= first_id(since_ms),
            ledger.c.closed_at.is_(None) | (ledger.c.closed_at >= closed_ms),
            *_only(ledger, only),
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [row[0] for row in rows]

    def closed(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Those of these rows that are closed, as they were closed."""
        found = [
            row
            for at in range(0, len(names), PAGE)
            for row in self._all(
                ledger.select().where(
                    ledger.c.id.in_(names[at : at + PAGE]), ledger.c.state != OPEN
                )
            )
        ]
        return sorted(found, key=lambda row: (row["closed_at"], row["id"]))

    def behind(
        self, day: int, platforms: Sequence[str], models: Sequence[str], most: int, credential: str
    ) -> list[dict[str, Any]]:
        """The rows of a day in UTC that callers did not pay for themselves, first those that a platform may have
        counted in another way.
        """
        query = ledger.select().where(
            *_opened(day, day),
            ledger.c.mode == "licence",
            ledger.c.platform.in_(platforms),
            ledger.c.model.in_(models),
        )
        if credential:  # which is not known where a worker died
            query = query.where(ledger.c.credential.in_((credential, "")))
        return self._all(query.order_by(_DOUBT, ledger.c.id).limit(most))

    def open(self) -> tuple[int, int | None]:
        """How many rows are open, and since when the oldest is, in milliseconds."""
        query = sa.select(sa.func.count(), sa.func.min(ledger.c.opened_at))
        query = query.where(ledger.c.state == sa.literal_column(f"'{OPEN}'"))  # as its index has it
        row = self._database.read(lambda connection: connection.execute(query).one())
        return row[0], row[1]

    def forget(self, before_ms: int, piece: int = PAGE) -> int:
        """Deletes rows that were opened before and are closed, some at a time; what their days came to
        stays. How many rows that were.
        """
        old = sa.select(ledger.c.id).where(
            ledger.c.id < first_id(before_ms), ledger.c.state != OPEN
        )
        some = ledger.delete().where(ledger.c.id.in_(old.limit(piece).scalar_subquery()))
        gone = 0
        while True:
            found = self._database.write(lambda connection: connection.execute(some).rowcount)
            gone += found
            if found < piece:
                return gone

    def _all(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [dict(row._mapping) for row in rows]


def _span(since_ms: int, until_ms: int) -> tuple[sa.ColumnElement[bool], ...]:
    return ledger.c.id >= first_id(since_ms), ledger.c.id < first_id(until_ms)


def _opened(first: int, last: int) -> tuple[sa.ColumnElement[bool], ...]:
    """In these days in UTC. A row has its name a little before it is opened."""
    since, until = first * DAY_MS, (last + 1) * DAY_MS
    return (*_span(since - LOOK_BACK_MS, until), ledger.c.opened_at.between(since, until - 1))


def _only(table: sa.Table, only: Only) -> list[sa.ColumnElement[bool]]:
    return [table.c[name] == value for name, value in only.items()]


def _plain(value: Any) -> Any:
    """PostgreSQL adds whole numbers up to decimals."""
    return value if isinstance(value, (str, float)) else int(value or 0)
