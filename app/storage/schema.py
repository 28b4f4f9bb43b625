"""Bringing a database to the newest migration.

Apart from `database`, because Alembic takes a fifth of a second to import and a start needs it only
when there is something to do.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.storage.compatibility import note
from app.storage.database import HEAD, Database, DatabaseTrouble

MIGRATIONS = Path(__file__).parent / "migrations"
ONE_AT_A_TIME = 0x746F6B656E73  # a number of ours, under which PostgreSQL lets one in
# Who waits for a table on PostgreSQL keeps waiting whoever comes after. So it is not for long, and others
# have their turn before we try again. Less than a second, after which PostgreSQL looks for deadlocks: we are
# the one to give way, and not a call.
LOCK_MILLISECONDS = 500
TRIES = 20
PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Step:
    """A migration. Programs that know `needs` can use the database after it, and the others cannot;
    empty where every program can.
    """

    version: str
    kind: Literal["expand", "contract"]
    since: str
    needs: str
    about: str


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def steps() -> list[Step]:
    """All migrations, the first one first."""
    found = reversed(list(ScriptDirectory.from_config(_config()).walk_revisions()))
    return [
        Step(
            one.revision,
            one.module.kind,
            one.module.since,
            getattr(one.module, "needs", ""),
            one.doc.splitlines()[0],
        )
        for one in found
    ]


def newest() -> str:
    """The name of the newest migration."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def oldest_after() -> str:
    """The migration that a program has to know to use a database that is at the newest one."""
    every = steps()
    return max(every[0].version, *(one.needs for one in every))


def prepare(database: Database) -> None:
    """Creates or upgrades the tables, in one transaction. Does nothing where that has been done, by this
    program or by a newer one.
    """
    database.make_place()
    config = _config()

    def upgrade(connection: sa.Connection) -> None:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(ONE_AT_A_TIME)))
            connection.execute(sa.text(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        note(connection, oldest_after())

    for left in reversed(range(TRIES)):
        if (database.version() or "") >= HEAD:
            return
        try:
            return database.write(upgrade)
        except DatabaseTrouble as trouble:
            if not (left and _is_held(trouble)):
                raise
        time.sleep(PAUSE_SECONDS)


def _is_held(trouble: DatabaseTrouble) -> bool:
    """Whether somebody else was at a table of PostgreSQL's."""
    cause = getattr(trouble.__cause__, "orig", None)
    return getattr(cause, "sqlstate", None) == "55P03"
