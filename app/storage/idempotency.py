"""Calls under an idempotency key: which one runs, and what it was answered.

Of many calls under one key at once the database lets one insert its row; that one runs. Keys are
those of a licence, and only digests of them are here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import sqlalchemy as sa

from app.storage.database import Database, metadata
from app.storage.upsert import insert_into

RUNNING, DONE = "running", "done"
PIECE = 200  # rows that are deleted at a time: each may hold megabytes

calls = sa.Table(
    "idempotency",
    metadata,
    sa.Column("owner", sa.String(16), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("asked", sa.String(64), nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("request", sa.String(40), nullable=False),
    sa.Column("worker", sa.String(160), nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", sa.Text),
    sa.Column("body", sa.LargeBinary),
    sa.Index("idempotency_until", "until"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedCall:
    """`owner` is the name of a licence, `key` and `asked` are digests: of the key, and of all that the
    call asks for. `request` is the id of the call, `worker` the process that serves it.
    """

    owner: str
    key: str
    asked: str
    request: str
    worker: str
    created_at: float
    until: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller was told. `body` is None where it was too large to be kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The call that came first; it runs for as long as there is no answer."""

    asked: str
    request: str
    answer: Answer | None


class KeyedCalls:
    """The table of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, call: KeyedCall, is_dead: Callable[[str, float], bool]) -> Earlier | None:
        """The call that has this key; None if it is this call's from now on. `is_dead` says of a worker
        and the moment it took a call whether nothing more will come of that.
        """

        def work(connection: sa.Connection) -> Earlier | None:
            row = asdict(call) | {"state": RUNNING}
            insert = (
                insert_into(calls, connection.dialect.name).values(row).on_conflict_do_nothing()
            )
            insert = insert.returning(calls.c.request)
            while connection.execute(insert).first() is None:
                found = connection.execute(_of(call).with_for_update()).first()
                if found is None:
                    continue  # it was forgotten a moment ago
                running = found.state == RUNNING
                if call.created_at < found.until and not (
                    running and is_dead(found.worker, found.created_at)
                ):
                    return Earlier(found.asked, found.request, None if running else _answer(found))
                connection.execute(calls.delete().where(_is(call)))
            return None

        return self._database.write(work, durable=False)

    def keep(self, call: KeyedCall, answer: Answer, until: float) -> None:
        """What was answered, unless somebody else has the key by now."""
        change = (
            calls.update()
            .where(_is(call), calls.c.request == call.request)
            .values(
                state=DONE,
                until=until,
                status=answer.status,
                headers=orjson.dumps(dict(answer.headers)).decode(),
                body=answer.body,
            )
        )
        self._database.write(lambda connection: connection.execute(change))

    def forget(self, call: KeyedCall) -> None:
        """Nothing came of it: the next call with the key runs."""
        removal = calls.delete().where(_is(call), calls.c.request == call.request)
        self._database.write(lambda connection: connection.execute(removal), durable=False)

    def sweep(self, now: float) -> int:
        """Deletes what is out of date; how many rows that were."""
        old = sa.select(calls.c.owner, calls.c.key).where(calls.c.until <= now).limit(PIECE)
        removal = calls.delete().where(sa.tuple_(calls.c.owner, calls.c.key).in_(old))
        swept = 0
        while gone := self._database.write(
            lambda connection: connection.execute(removal).rowcount, durable=False
        ):
            swept += gone
        return swept


def _is(call: KeyedCall) -> sa.ColumnElement[bool]:
    return sa.and_(calls.c.owner == call.owner, calls.c.key == call.key)


def _of(call: KeyedCall) -> sa.Select[Any]:
    return sa.select(calls).where(_is(call))


def _answer(row: Any) -> Answer:
    return Answer(row.status, orjson.loads(row.headers), row.body)
