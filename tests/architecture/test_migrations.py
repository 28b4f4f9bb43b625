"""Migrations are of the kind they say: what programs of the version before know stays as it is, or goes in a
version of its own after theirs.
"""

from __future__ import annotations

import importlib
import io
import pkgutil
import re
from collections.abc import Callable, Iterator
from configparser import ConfigParser

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from packaging.version import Version

import app.storage
from app.storage.compatibility import TABLES
from app.storage.database import HEAD, Database, metadata
from app.storage.schema import MIGRATIONS, Step, oldest_after, prepare, steps
from tests.architecture.source import ROOT

_LITERAL = r"(?:'[^']*'|[\d.]+|true|false)"
_HARMLESS_COLUMN = re.compile(
    rf"ALTER TABLE (\w+) ADD COLUMN \S+ [\w()]+(?: PRECISION)?(?: DEFAULT {_LITERAL}(?: NOT NULL)?)?",
    re.I,
)


def said(upgrade: Callable[[], None]) -> Iterator[str]:
    """What a migration tells PostgreSQL to do, statement by statement."""
    told = io.StringIO()
    options = {"as_sql": True, "output_buffer": told}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context):
        upgrade()
    for one in told.getvalue().split(";\n"):
        if statement := " ".join(one.replace('"', "").split()):
            yield statement


def narrowing(upgrade: Callable[[], None]) -> list[str]:
    """The statements that programs of the version before might notice. New tables may have anything."""
    made: set[str] = set()
    found = []
    for statement in said(upgrade):
        if named := re.match(r"CREATE TABLE (\w+)", statement):
            made.add(named[1])
        elif re.match(r"CREATE INDEX ", statement) or _HARMLESS_COLUMN.fullmatch(statement):
            continue
        elif not (on := re.search(r" (?:ON|INTO|TABLE) (\w+)", statement)) or on[1] not in made:
            found.append(statement)
    return found


def modules() -> dict[str, Callable[[], None]]:
    found = {}
    for file in sorted((MIGRATIONS / "versions").glob("*.py")):
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found[module.revision] = module.upgrade
    return found


MODULES = modules()
STEPS = {one.version: one for one in steps()}


def misplaced(known: dict[str, Step]) -> list[str]:
    """The migrations that do not come in the order of versions, or take away what programs of their own
    version's predecessor still use.
    """
    wrong, before = [], Version("0")
    for version, one in sorted(known.items()):
        since = Version(one.since)
        if since < before or one.kind not in ("expand", "contract"):
            wrong.append(version)
        elif (one.kind == "contract") != bool(one.needs):
            wrong.append(version)
        elif one.needs and not (one.needs < version and Version(known[one.needs].since) < since):
            wrong.append(version)
        before = since
    return wrong


@pytest.mark.parametrize("version", sorted(MODULES))
def test_a_migration_that_narrows_says_so(version):
    if STEPS[version].kind == "expand":
        assert narrowing(MODULES[version]) == []


def test_what_is_taken_away_was_done_without_by_an_earlier_version():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert misplaced(STEPS) == []
    assert Version(STEPS[HEAD].since) <= Version(config["metadata"]["version"])


def test_names_of_migrations_are_numbers_that_can_be_compared():
    assert list(STEPS) == [f"{number:04}" for number in range(1, len(STEPS) + 1)]
    assert oldest_after() in STEPS


def test_every_table_is_known_whatever_is_imported(tmp_path):
    for one in pkgutil.iter_modules(app.storage.__path__):
        importlib.import_module(f"app.storage.{one.name}")
    database = Database(f"sqlite:///{tmp_path}/tokens.db")
    prepare(database)
    there = database.read(lambda connection: sa.inspect(connection).get_table_names())
    database.close()

    assert TABLES == set(metadata.tables) == set(there) - {"alembic_version"}


# ---------------------------------------------------------------- the judge, judged

HARMLESS = {
    "a table": lambda op: op.create_table("new", sa.Column("id", sa.Integer, primary_key=True)),
    "a column that may be empty": lambda op: op.add_column("old", sa.Column("new", sa.Text)),
    "a column with a default": lambda op: op.add_column(
        "old", sa.Column("new", sa.String(16), nullable=False, server_default="")
    ),
    "a number with a default": lambda op: op.add_column(
        "old", sa.Column("new", sa.Double, nullable=False, server_default="0")
    ),
    "an index": lambda op: op.create_index("old_known", "old", ["known"]),
    "rows of a new table": lambda op: (
        op.create_table("new", sa.Column("id", sa.Integer)),
        op.bulk_insert(sa.table("new", sa.column("id", sa.Integer)), [{"id": 1}]),
        op.create_index("new_id", "new", ["id"], unique=True),
    ),
}
NARROWING = {
    "a table goes": lambda op: op.drop_table("old"),
    "a table is renamed": lambda op: op.rename_table("old", "new"),
    "a column goes": lambda op: op.drop_column("old", "known"),
    "a column is renamed": lambda op: op.alter_column("old", "known", new_column_name="new"),
    "a type narrows": lambda op: op.alter_column("old", "known", type_=sa.String(8)),
    "a column must be filled": lambda op: op.alter_column("old", "known", nullable=False),
    "a default goes": lambda op: op.alter_column("old", "known", server_default=None),
    "a new column must be filled": lambda op: op.add_column(
        "old", sa.Column("new", sa.Text, nullable=False)
    ),
    "a default is worked out for each row": lambda op: op.add_column(
        "old", sa.Column("new", sa.Text, nullable=False, server_default=sa.func.random())
    ),
    "a new column points elsewhere": lambda op: op.add_column(
        "old", sa.Column("new", sa.Integer, sa.ForeignKey("other.id"))
    ),
    "only one of each": lambda op: op.create_index("once", "old", ["known"], unique=True),
    "a constraint": lambda op: op.create_check_constraint("some", "old", "known > 0"),
    "an index goes": lambda op: op.drop_index("old_known", "old"),
    "rows change": lambda op: op.execute("UPDATE old SET known = 1"),
    "rows go": lambda op: op.execute("DELETE FROM old"),
}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_older_programs_do_not_notice_is_let_through(what):
    from alembic import op

    assert narrowing(lambda: HARMLESS[what](op)) == []


@pytest.mark.parametrize("what", NARROWING)
def test_what_older_programs_notice_is_found(what):
    from alembic import op

    assert narrowing(lambda: NARROWING[what](op)) != []


@pytest.mark.parametrize(
    "kind, since, needs, is_wrong",
    [
        ("expand", "0.1.0", "", False),
        ("expand", "0.2.0", "", False),
        ("contract", "0.2.0", "0001", False),
        ("contract", "0.1.0", "0001", True),  # with the very version that would have to go before
        ("contract", "0.2.0", "", True),
        ("contract", "0.2.0", "0002", True),
        ("expand", "0.2.0", "0001", True),
        ("expand", "0.0.9", "", True),
        ("", "0.2.0", "", True),
    ],
)
def test_an_order_that_versions_cannot_keep_is_found(kind, since, needs, is_wrong):
    known = {
        "0001": Step("0001", "expand", "0.1.0", "", ""),
        "0002": Step("0002", kind, since, needs, ""),
    }
    assert misplaced(known) == (["0002"] if is_wrong else [])
