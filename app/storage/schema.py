"""Bringing a database to the newest migration.

Apart from `database`, because Alembic takes a fifth of a second to import and a start needs it only
when there is something to do.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.storage.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def newest() -> str:
    """The name of the newest migration."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def knows(version: str) -> bool:
    """Whether a database at this version is ours to use: a newer program has versions of its own."""
    revisions = ScriptDirectory.from_config(_config()).walk_revisions()
    return any(one.revision == version for one in revisions)


def prepare(database: Database) -> None:
    """Creates or upgrades the tables. Does nothing where that has been done."""
    database.make_place()
    config = _config()

    def upgrade(connection: sa.Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    database.write(upgrade)
