"""Jobs that outlive the request that asked for them: one row each, and the row is the truth.

Whoever works on a job has a lease on its row. Every lease has a higher number than the one before,
the fence, and every change names the fence it was made under: a worker that slept through the end of
its lease changes nothing any more.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from app.canonical.endings import CANCELLED
from app.canonical.task import LIVE, OVER, Kind, State, check_move, outcome
from app.storage.database import Database, metadata

BROUGHT = "brought"  # in place of a credential: the caller's own, which is kept nowhere
_JSON = ("groups", "job", "result")
_WORDS = {"model": 200, "code": 100, "message": 2000, "upstream": 2000}  # others say them: how long

tasks = sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("shape", sa.String(8), nullable=False),
    sa.Column("platform", sa.String(32), nullable=False),
    sa.Column("engine", sa.String(32), nullable=False),
    sa.Column("owner", sa.String(16), nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("groups", sa.Text, nullable=False),
    sa.Column("job", sa.Text, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("credential", sa.String(64), nullable=False),
    sa.Column("upstream", sa.Text, nullable=False),
    sa.Column("progress", sa.Integer, nullable=False),
    sa.Column("result", sa.Text, nullable=False),
    sa.Column("code", sa.String(100), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("source", sa.String(40), nullable=False),
    sa.Column("webhook", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("completed_at", sa.Float),
    sa.Column("deadline", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
    sa.Column("due_at", sa.Float),
    sa.Column("put_at", sa.Float, nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("looks", sa.Integer, nullable=False),
    sa.Column("misses", sa.Integer, nullable=False),
    sa.Column("cancelling", sa.Boolean, nullable=False),
    sa.Column("settled", sa.String(8), nullable=False),
    sa.Column("notice_at", sa.Float),
    sa.Column("notices", sa.Integer, nullable=False),
    sa.Column("removed", sa.Boolean, nullable=False),
    sa.Column("ledger", sa.String(40), nullable=False, server_default=""),
    sa.Index("tasks_owned", "owner", "platform", "kind", "created_at", "id"),
    sa.Index("tasks_due", "due_at"),  # of what is over there is nothing due
    sa.Index("tasks_notice", "notice_at"),
    sa.Index("tasks_state", "state", "completed_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One job. Times are Unix seconds.

    It is seen under `platform` and made by `engine`, which are usually the same, for the licence of
    the name `owner`; `groups` are those whose credentials may serve, none = any. `credential` is what
    it was begun with, and `upstream` the platform's own name for it. `job` and `result` are JSON.
    `code` and `message` say what went wrong last, which is why it failed if it failed. `source` is the
    task whose film this one changes.

    A step is due at `due_at`, if any; `put_at` is from when on the queue may be told so again. `looks`
    counts how often the platform was asked, `misses` how often in a row to no avail. `cancelling`:
    the caller wants it no more. `settled` is `charged` or `released`, once it is over. `notice_at` is
    when the webhook is to hear of it, after `notices` attempts. `ledger` is the row that it closes.
    """

    id: str
    kind: Kind
    platform: str
    engine: str
    owner: str
    model: str
    created_at: float
    deadline: float
    shape: str = "create"
    groups: tuple[str, ...] = ()
    job: Mapping[str, Any] = field(default_factory=dict)
    state: State = "queued"
    credential: str = ""
    upstream: str = ""
    progress: int = 0
    result: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    message: str = ""
    source: str = ""
    webhook: str = ""
    started_at: float | None = None
    completed_at: float | None = None
    expires_at: float | None = None
    due_at: float | None = None
    put_at: float = 0.0
    lease_until: float = 0.0
    fence: int = 0
    looks: int = 0
    misses: int = 0
    cancelling: bool = False
    settled: str = ""
    notice_at: float | None = None
    notices: int = 0
    removed: bool = False
    ledger: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in OVER


def new_id(kind: Kind) -> str:
    """A name that nobody guesses."""
    return f"{kind}_{secrets.token_hex(16)}"


Settle = Callable[[sa.Connection, Task], None]


class Tasks:
    """The table of jobs. `settle` is called in the transaction that ends one."""

    def __init__(self, database: Database, settle: Settle | None = None) -> None:
        self._database = database
        self._settle = settle

    # ------------------------------------------------------------ for callers

    def add(self, task: Task) -> Task:
        """Keeps a new one. Its first step is due at once, unless the worker has no credential for it:
        then nothing is due before its deadline. The queue is told of it by whoever adds it; the sweep
        tells it again some seconds later, if that did not work.
        """
        brought = task.credential == BROUGHT
        due_at = task.deadline if brought else task.created_at
        row = _columns({**_values(task), "due_at": due_at, "put_at": task.created_at + 5.0})
        self._database.write(lambda connection: connection.execute(tasks.insert().values(row)))
        return _read(row)

    def find(self, name: str) -> Task | None:
        found = self._select(tasks.select().where(tasks.c.id == name))
        return found[0] if found else None

    def owned(self, name: str, platform: str, owner: str) -> Task | None:
        """The task as this caller sees it there: nobody else's, and none that was removed."""
        query = tasks.select().where(tasks.c.id == name, _seen(platform, owner))
        found = self._select(query)
        return found[0] if found else None

    def page(
        self,
        platform: str,
        owner: str,
        kind: Kind,
        after: str = "",
        limit: int = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> list[Task]:
        """A caller's tasks by age, from behind the one of this name on. Behind an unknown one comes
        nothing.
        """
        table = tasks.c
        query = tasks.select().where(_seen(platform, owner), table.kind == kind)
        if after:
            # It may have been removed since, so that whoever pages on finds the way all the same.
            found = self.find(after)
            if found is None or (found.owner, found.platform) != (owner, platform):
                return []
            at, name = found.created_at, found.id
            beyond, next_to = (
                (table.created_at > at, table.id > name)
                if order == "asc"
                else (table.created_at < at, table.id < name)
            )
            query = query.where(sa.or_(beyond, sa.and_(table.created_at == at, next_to)))
        ordered = [
            one.asc() if order == "asc" else one.desc() for one in (table.created_at, table.id)
        ]
        return self._select(query.order_by(*ordered).limit(limit))

    def cancel(self, name: str, now: float) -> Task | None:
        """The task as it stands now: cancelled if nobody has begun it, and otherwise to be cancelled by
        the worker, in its next step or the one in hand. What is over stays as it is.
        """
        here = tasks.c.id == name
        untouched = tasks.c.state == "queued", tasks.c.lease_until <= now
        told = sa.case((tasks.c.webhook != "", now), else_=sa.null())
        words = {"code": "cancelled", "message": CANCELLED, "notice_at": told}
        over = _ending("cancelled", now) | words

        def work(connection: sa.Connection) -> sa.Row[Any] | None:
            ended = tasks.update().where(here, *untouched).values(_columns(over))
            done = connection.execute(ended.returning(*tasks.c)).first()
            self._settled(connection, done)
            if done is None:
                live = tasks.c.state.in_(LIVE)
                wish = (
                    tasks.update().where(here, live).values(cancelling=True, due_at=now, put_at=now)
                )
                connection.execute(wish)
            return connection.execute(tasks.select().where(here)).first()

        row = self._database.write(work)
        return None if row is None else _read(row._mapping)

    def remove(self, name: str, now: float) -> None:
        """Nobody sees it any more; the row itself is forgotten later."""
        self.cancel(name, now)
        self._change(tasks.c.id == name, {"removed": True, "webhook": "", "notice_at": None})

    # ------------------------------------------------------------ for whoever works on it

    def lease(self, name: str, now: float, seconds: float, *, early: bool = False) -> Task | None:
        """The task, if a step is due and nobody else has it in hand. `early` also before that."""
        free = [tasks.c.id == name, tasks.c.state.in_(LIVE), tasks.c.lease_until <= now]
        if not early:
            free.append(tasks.c.due_at <= now)
        taken = {"lease_until": now + seconds, "fence": tasks.c.fence + 1, "put_at": 0.0}
        return self._change(sa.and_(*free), taken)

    def renew(self, held: Iterable[Task], until: float) -> dict[str, Task]:
        """Those of them that are still in hand, by name, as they stand now: they may have been moved
        in the meantime, by who has them. One that was let go of stays so.
        """
        leased = tasks.c.lease_until > 0
        found = (
            self._change(sa.and_(_in_hand(one), leased), {"lease_until": until}) for one in held
        )
        return {task.id: task for task in found if task is not None}

    def move(self, task: Task, to: State, now: float, **changes: Any) -> Task | None:
        """The task in another state, or in the same with other values; None where somebody else has
        it by now, and then nothing is changed. Raises `IllegalMove`.

        `lease_until=0` lets go of it; its next step is due at `due_at`, or at once if it is to be
        cancelled. What is over is let go of, and settled, in the same stroke.
        """
        check_move(task.state, to)
        if "due_at" in changes:
            changes["due_at"] = sa.case((tasks.c.cancelling, now), else_=changes["due_at"])
        if "progress" in changes:
            changes["progress"] = max(task.progress, changes["progress"])
        if to in OVER:
            changes = _ending(to, now) | changes
            if task.webhook:
                changes["notice_at"] = now
        return self._change(_ours(task), {**changes, "state": to})

    def submitted(
        self, task: Task, upstream: str, *, now: float, due_at: float, lease_until: float
    ) -> Task | None:
        """The platform has taken it and calls it by this name."""
        return self.move(
            task,
            "running",
            now,
            upstream=upstream,
            started_at=now,
            due_at=due_at,
            lease_until=lease_until,
        )

    def due(self, now: float, limit: int, again: float) -> list[str]:
        """Tasks whose next step nobody has in hand, the longest due first. Nobody else is given them
        for `again` seconds.
        """
        waiting = tasks.c.due_at <= now, tasks.c.put_at <= now, tasks.c.lease_until <= now
        chosen = (
            sa.select(tasks.c.id)
            .where(*waiting, tasks.c.state.in_(LIVE))
            .order_by(tasks.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return self._claim(chosen, {"put_at": now + again})

    def notices_due(self, now: float, limit: int, again: float) -> list[str]:
        """Tasks that are over and whose webhook has not heard so. It may be tried once for each; again
        after `again` seconds, unless `noticed` says otherwise.
        """
        chosen = (
            sa.select(tasks.c.id)
            .where(tasks.c.notice_at <= now)
            .order_by(tasks.c.notice_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return self._claim(chosen, {"notice_at": now + again, "notices": tasks.c.notices + 1})

    def noticed(self, name: str, again_at: float | None) -> None:
        """The webhook has been told, or given up; or is to be told again at some time."""
        self._change(tasks.c.id == name, {"notice_at": again_at})

    # ------------------------------------------------------------ for the operator

    def listed(self, states: Iterable[State], limit: int) -> list[Task]:
        """The newest in these states, whoever's they are."""
        query = tasks.select().where(tasks.c.state.in_(list(states)))
        return self._select(query.order_by(tasks.c.created_at.desc(), tasks.c.id).limit(limit))

    def counts(self) -> dict[State, int]:
        query = sa.select(tasks.c.state, sa.func.count()).group_by(tasks.c.state)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row[0]: row[1] for row in rows}

    def stuck(self, before: float, limit: int = 100) -> list[Task]:
        """Those whose step has been due since then and that nobody has in hand."""
        query = tasks.select().where(tasks.c.due_at <= before, tasks.c.lease_until <= before)
        return self._select(query.order_by(tasks.c.due_at).limit(limit))

    def waiting(self, now: float) -> tuple[dict[State, int], float | None]:
        """How many that are not over are in each state, and since when the step is due that nobody has
        in hand and that waits the longest.
        """
        live = tasks.c.due_at.is_not(None)  # the column that has an index
        states = sa.select(tasks.c.state, sa.func.count()).where(live).group_by(tasks.c.state)
        ripe = tasks.c.due_at <= now, tasks.c.lease_until <= now
        oldest = sa.select(sa.func.min(tasks.c.due_at)).where(*ripe)

        def work(connection: sa.Connection) -> tuple[dict[State, int], float | None]:
            counts = {row[0]: row[1] for row in connection.execute(states)}
            return counts, connection.execute(oldest).scalar()

        return self._database.read(work)

    def forget(self, before: float) -> int:
        """Deletes what was over by then, if there is no result of it any more; and how many that were."""
        old = (
            tasks.c.state.in_(OVER),
            tasks.c.completed_at < before,
            sa.or_(tasks.c.expires_at.is_(None), tasks.c.expires_at < before),
        )

        def work(connection: sa.Connection) -> int:
            return connection.execute(tasks.delete().where(*old)).rowcount

        return self._database.write(work)

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Those of the names that no living task has."""
        asked = list(names)
        query = sa.select(tasks.c.id).where(tasks.c.id.in_(asked), tasks.c.state.in_(LIVE))
        rows = self._database.read(lambda connection: connection.execute(query).all())
        living = {row[0] for row in rows}
        return [name for name in asked if name not in living]

    # ------------------------------------------------------------ the rows

    def _select(self, query: sa.Select[Any]) -> list[Task]:
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return [_read(row._mapping) for row in rows]

    def _change(self, condition: sa.ColumnElement[bool], changes: Mapping[str, Any]) -> Task | None:
        """The one row that fits, changed; in one statement, so that of many who try one succeeds."""
        query = tasks.update().where(condition).values(_columns(changes)).returning(*tasks.c)

        def work(connection: sa.Connection) -> sa.Row[Any] | None:
            found = connection.execute(query).first()
            if changes.get("state") in OVER:
                self._settled(connection, found)
            return found

        row = self._database.write(work)
        return None if row is None else _read(row._mapping)

    def _settled(self, connection: sa.Connection, row: sa.Row[Any] | None) -> None:
        """Whoever keeps accounts hears of what has just ended."""
        if self._settle is not None and row is not None and row.ledger:
            self._settle(connection, _read(row._mapping))

    def _claim(self, chosen: sa.Select[Any], changes: Mapping[str, Any]) -> list[str]:
        some = tasks.c.id.in_(chosen.scalar_subquery())
        query = tasks.update().where(some).values(**changes).returning(tasks.c.id, tasks.c.due_at)
        rows = self._database.write(lambda connection: connection.execute(query).all())
        return [row[0] for row in sorted(rows, key=lambda row: row[1] or 0.0)]


def _seen(platform: str, owner: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        tasks.c.platform == platform, tasks.c.owner == owner, tasks.c.removed.is_(sa.false())
    )


def _in_hand(task: Task) -> sa.ColumnElement[bool]:
    """The row, as long as nobody else has taken it and it is not over."""
    table = tasks.c
    return sa.and_(table.id == task.id, table.fence == task.fence, table.settled == "")


def _ours(task: Task) -> sa.ColumnElement[bool]:
    """The row, as long as nobody else has taken it or moved it."""
    return sa.and_(_in_hand(task), tasks.c.state == task.state)


def _ending(state: State, now: float) -> dict[str, Any]:
    return {
        "state": state,
        "settled": outcome(state),
        "completed_at": now,
        "due_at": None,
        "lease_until": 0.0,
    }


def _values(task: Task) -> dict[str, Any]:
    return {column.name: getattr(task, column.name) for column in tasks.c}


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table has them."""
    columns = dict(values)
    for name in _JSON:
        if name in columns:
            columns[name] = json.dumps(columns[name])
    for name, most in _WORDS.items():
        if name in columns:
            columns[name] = _storable(columns[name])[:most]
    return columns


def _storable(words: str) -> str:
    """What a platform said, without what no database takes."""
    return words.replace("\0", "").encode(errors="replace").decode()


def _read(row: Mapping[Any, Any]) -> Task:
    found: dict[str, Any] = {str(name): value for name, value in row.items()}
    for name in _JSON:
        found[name] = json.loads(found[name])
    found["groups"] = tuple(found["groups"])
    for name in ("cancelling", "removed"):
        found[name] = bool(found[name])
    return Task(**found)
