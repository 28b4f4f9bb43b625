"""The database: SQLite in one file by default, PostgreSQL when grown.

Under gevent no call may wait in C on the hub's own thread, or every stream of the worker stands
still; SQLite does wait in C, so its work runs in a thread pool of its own. psycopg waits in Python
and needs no thread, but it waits for ever for a server that does not answer; we do not.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlalchemy as sa
from gevent import Timeout, get_hub
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool
from sqlalchemy.pool import NullPool

from app.errors import GatewayError

T = TypeVar("T")
Use = Literal["read", "write", "note"]
HEAD = "0012"  # the newest migration; a test compares
BUSY_SECONDS = 5  # what others hold is waited for
NAP_SECONDS = 0.0005  # before SQLite is asked again
DEAF_SECONDS = 10.0  # a server that says nothing at all

_SQLITE_WISHES = {
    "read": f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}",
    "note": "PRAGMA synchronous = NORMAL",
}

metadata = sa.MetaData()
_nap = get_original("time", "sleep")  # of a thread that has no hub


class DatabaseTrouble(GatewayError):
    """The database cannot be used just now."""

    status = 503
    code = "database_unavailable"
    retry_after = 2.0


class Database:
    """Runs a function with a connection: `read` without, `write` with an immediate transaction. An
    address it cannot use is a ValueError; a SQLite file opened `read_only` stays as it is. Errors do not
    say what was to be written: it may be what a caller said.
    """

    def __init__(self, url: str, *, off_hub: bool = False, read_only: bool = False) -> None:
        self.url = _usable(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._engine = sa.create_engine(self.url, poolclass=NullPool, hide_parameters=True)
            sa.event.listen(self._engine, "connect", _stay_out if read_only else _set_pragmas)
            sa.event.listen(self._engine, "begin", _begin_immediate)
        else:
            self._engine = sa.create_engine(
                self.url, pool_pre_ping=True, pool_size=5, hide_parameters=True
            )
            if off_hub:
                sa.event.listen(self._engine, "connect", _set_timeouts)
        self._driver_error: type[Exception] = self._engine.dialect.import_dbapi().Error
        self._off_hub = off_hub
        self._pool: ThreadPool | None = None
        self._kept: dict[str, sa.Connection] = (
            {}
        )  # of the pool's one thread, for reading and writing

    @property
    def file(self) -> Path | None:
        """Where SQLite keeps everything; None on PostgreSQL."""
        return Path(self.url.database or "") if self.is_sqlite else None

    @property
    def engine(self) -> sa.Engine:
        return self._engine

    def read(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            with self._connected("read") as connection:
                return work(connection)

        return self._run(run)

    def write(self, work: Callable[[sa.Connection], T], *, durable: bool = True) -> T:
        """What is not `durable` outlives the death of any process, and a power cut only once something
        durable was written after it: SQLite then need not wait for the disk.
        """

        def run() -> T:
            with self._connected("write" if durable else "note") as connection, connection.begin():
                return work(connection)

        return self._run(run)

    @contextmanager
    def _connected(self, use: Use) -> Iterator[sa.Connection]:
        """A connection for this use. In a thread of our own it is kept: to open a SQLite file costs more
        than most of what is done with it.
        """
        if self._pool is None:
            with self._engine.connect() as connection:
                yield self._prepared(connection, use)
            return
        kept = self._kept.pop(use, None)
        if kept is None:
            kept = self._prepared(self._engine.connect(), use)
        try:
            yield kept
        except (sa.exc.DBAPIError, self._driver_error):
            kept.close()
            raise
        except BaseException:
            self._kept[use] = kept
            raise
        self._kept[use] = kept

    def _prepared(self, connection: sa.Connection, use: Use) -> sa.Connection:
        if self.is_sqlite and use in _SQLITE_WISHES:
            driver: Any = connection.connection.dbapi_connection
            driver.execute(_SQLITE_WISHES[use])
        if use == "read":
            return connection.execution_options(isolation_level="AUTOCOMMIT")
        return connection

    def _run(self, run: Callable[[], T]) -> T:
        try:
            if not self._off_hub:
                return run()
            if not self.is_sqlite:
                return _in_time(run)
            if self._pool is None:
                # The first connection is made here, not in the thread: it initialises the dialect
                # under a lock. It does no work, so it never waits for another process.
                self._engine.connect().close()
                # One thread: SQLAlchemy's locks are gevent's by then, and gevent's lose wake-ups
                # between threads. Made in the worker: what is asked of one from before the fork is
                # lost when it notices the fork.
                self._pool = ThreadPool(1, hub=get_hub())
            result: T = self._pool.apply(run)
            return result
        except (sa.exc.DBAPIError, sa.exc.TimeoutError, self._driver_error) as error:
            raise DatabaseTrouble("the gateway's database cannot be used just now") from error

    def version(self) -> str | None:
        """The migration the database stands at; None where it has never been prepared."""

        def work(connection: sa.Connection) -> str | None:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
            return row[0] if row else None

        return self.read(work)

    def make_place(self) -> None:
        """The folder of a SQLite file, readable by nobody else."""
        if path := self.file:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))

    def close(self) -> None:
        for connection in self._kept.values():
            connection.close()
        self._kept.clear()
        self._engine.dispose()
        if self._pool is not None:
            self._pool.kill()


def _usable(url: str) -> sa.URL:
    """The address with the driver of ours. One database for every connection: none in memory."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        parsed = sa.URL.create("unknown")
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed.set(drivername="sqlite")
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    raise ValueError("should be sqlite:///FILE or postgresql://USER@HOST/NAME")


def _in_time(run: Callable[[], T]) -> T:
    """No Exception ends it, so SQLAlchemy lets go of a connection that is in the middle of something."""
    with Timeout(DEAF_SECONDS) as timeout:
        try:
            return run()
        except Timeout as over:
            if over is not timeout:
                raise
            raise DatabaseTrouble("the gateway's database cannot be used just now") from over


def _set_timeouts(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
    """What we have given up must not hold up others, nor go on waiting for them."""
    cursor = connection.cursor()
    cursor.execute(f"SET statement_timeout = '{BUSY_SECONDS}s'")
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{DEAF_SECONDS:.0f}s'")
    cursor.close()
    connection.commit()


def _set_pragmas(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see below
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA busy_timeout = 1")  # to write we wait ourselves, see below
    cursor.close()


def _stay_out(connection: sa.engine.interfaces.DBAPIConnection, _: object) -> None:
    """Not even the journal mode is changed."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    """A deferred BEGIN fails at once under contention; an immediate one waits its turn. SQLite itself
    looks again ever more seldom while it waits, so that those who have waited longest go last.
    """
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return
    cursor, until = connection.connection.cursor(), time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        _nap(NAP_SECONDS)
