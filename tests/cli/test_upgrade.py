"""`tokens upgrade`: what it says, what it does, and what programs make of databases of other versions."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.cli.upgrade import WAITS
from app.storage import copies, schema
from app.storage.database import HEAD, Database
from tests.cli.test_backup import downgrade, held_open
from tests.releases import AFTER, NEXT, next_release, release_after
from tests.stack import TOKENS, free_port, program

BEFORE = "0010"
NOBODY = 65534


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "tokens.db"


@pytest.fixture
def old(called, place):
    """`called` on a database that is older than this program."""
    assert called("licence", "add", "--label", "kept").returncode == 0
    with closing(Database(f"sqlite:///{place}")) as database:
        downgrade(database, BEFORE)
    return called


@pytest.fixture(scope="module")
def coming(tmp_path_factory) -> Callable[[str], Path]:
    """Versions to come, made once."""
    made = {"next": next_release, "after": release_after}
    there: dict[str, Path] = {}

    def find(name: str) -> Path:
        if name not in there:
            there[name] = made[name](tmp_path_factory.mktemp(name))
        return there[name]

    return find


def version(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        found: str = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
    return found


# ---------------------------------------------------------------- looking


def test_where_there_is_no_database_there_is_nothing_to_do(called, place):
    for words in (("upgrade", "--check"), ("upgrade",)):
        done = called(*words)
        assert (done.returncode, done.stderr) == (0, "") and "no database yet" in done.stdout
    assert not place.exists()


def test_where_it_is_up_to_date_there_is_nothing_to_do(called, place):
    called("licence", "add")
    before = place.read_bytes()

    assert called("upgrade", "--check").returncode == 0
    done = called("upgrade")
    assert done.returncode == 0 and f"at migration {HEAD}, as this program" in done.stdout
    assert place.read_bytes() == before and not list(place.parent.glob("*.at-*"))


def test_a_look_says_what_would_be_done_and_changes_nothing(old, place):
    before = place.read_bytes()
    done = old("upgrade", "--check")
    lines = done.stdout.splitlines()

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["0011", "expand", "yes"],
        ["0012", "expand", "yes"],
    ]
    assert f"at migration {BEFORE}, and this program needs {HEAD}" in done.stdout
    assert f"the backup goes to {place}.at-{BEFORE}: at most 1 MB" in done.stdout
    assert "can be done while the gateway runs" in lines[-1]
    assert place.read_bytes() == before and not list(place.parent.glob("*.at-*"))


def test_programs_are_told_the_same(old, place):
    told = json.loads(old("upgrade", "--check", "--json").stdout)

    assert (told["at"], told["needs"], told["runs_on"]) == (BEFORE, HEAD, True)
    assert [one["migration"] for one in told["steps"]] == ["0011", "0012"]
    assert told["backup"]["file"] == f"{place}.at-{BEFORE}" and told["backup"]["trouble"] == ""
    assert old("upgrade", "--json").returncode == 1


def test_room_that_is_not_there_is_noticed_before(old, place, monkeypatch):
    usage = shutil.disk_usage(place.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    for words in (("upgrade", "--check"), ("upgrade",)):
        done = old(*words)
        assert done.returncode == 1 and "1 MB, and 0 MB are free" in done.stderr
        assert "can be done" not in done.stdout
    assert version(place) == BEFORE


@pytest.mark.parametrize("name", ["tokens.db", "tokens.db-wal", "tokens.db-shm", ""])
@pytest.mark.parametrize("words", [("--check",), ("--no-backup",), ("--backup", "kept.db")])
def test_what_cannot_be_written_is_noticed_before(old, place, monkeypatch, name, words):
    shut = place.parent / name
    with closing(sqlite3.connect(place)) as held:  # while it is open the side files are there
        held.execute("SELECT * FROM licences").fetchall()
        access = os.access
        monkeypatch.setattr(os, "access", lambda file, how: file != shut and access(file, how))
        done = old("upgrade", *words)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"{shut} cannot be written by" in done.stderr and "chown it" in done.stderr
    assert version(place) == BEFORE and not list(place.parent.glob("kept*"))


@pytest.mark.slow
def test_who_may_only_read_the_file_hears_so_and_leaves_no_backup(old, place, environ):
    """Without the rights that root has over other people's files."""
    place.chmod(0o444)
    words = [TOKENS, "upgrade"]
    if not os.geteuid():
        os.chown(place, NOBODY, NOBODY)
        words = [program("setpriv"), "--bounding-set=-dac_override", *words]
    for more in ([], ["--check"]):
        done = subprocess.run(
            [*words, *more], env=environ, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"tokens: {place} cannot be written by ")
    assert version(place) == BEFORE and not list(place.parent.glob("*.at-*"))


# ---------------------------------------------------------------- doing


def test_a_backup_comes_before_the_migrations(old, place):
    done = old("upgrade")
    kept = Path(f"{place}.at-{BEFORE}")

    assert (done.returncode, done.stderr) == (0, "")
    assert f"at migration {BEFORE}, checked" in done.stdout and str(kept) in done.stdout
    assert (version(place), version(kept)) == (HEAD, BEFORE)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "kept" in old("licence", "list").stdout


def test_a_backup_goes_where_it_is_told_and_overwrites_nothing(old, place, tmp_path):
    (tmp_path / "letter").write_text("a letter")
    for name in ("letter", ".", "none/kept.db"):
        assert old("upgrade", "--backup", name).returncode == 1
    assert (tmp_path / "letter").read_text() == "a letter" and version(place) == BEFORE

    assert old("upgrade", "--backup", "kept.db").returncode == 0
    assert (version(tmp_path / "kept.db"), version(place)) == (BEFORE, HEAD)


def test_only_who_says_so_goes_without(old, place):
    assert old("upgrade", "--no-backup").returncode == 0
    assert version(place) == HEAD and not list(place.parent.glob("*.at-*"))


def test_without_a_backup_that_succeeds_nothing_is_done(old, place, monkeypatch):
    def fill(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(copies, "take", fill)
    done = old("upgrade")

    assert done.returncode == 1 and "database or disk is full" in done.stderr
    assert done.stderr.count("\n") == 1 and version(place) == BEFORE
    assert not list(place.parent.glob("*.at-*"))


def test_migrations_that_break_off_change_nothing(old, place, monkeypatch):
    def fail(*_: object) -> None:
        raise sa.exc.OperationalError("", {}, sqlite3.OperationalError("the disk is full"))

    monkeypatch.setattr(schema, "note", fail)
    done = old("upgrade")

    assert done.returncode == 1 and "the disk is full" in done.stderr
    assert "nothing was changed" in done.stderr and version(place) == BEFORE


@pytest.mark.parametrize(
    "words", [("serve",), ("worker",), ("run",), ("licence", "list"), ("licence", "add")]
)
def test_an_older_database_is_one_clear_sentence(old, place, words):
    """R-051: nothing else changes it."""
    done = old(*words, TOKENS_PORT=str(free_port()))

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"at migration {BEFORE} and this program needs {HEAD}" in done.stderr
    assert "`tokens upgrade`" in done.stderr and version(place) == BEFORE


def test_doctor_says_the_same(old):
    found = json.loads(old("doctor", "--offline", "--json").stdout)
    (told,) = [one for one in found if one["check"] == "database"]

    assert told["state"] == "wrong" and "`tokens upgrade`" in told["do"]


# ---------------------------------------------------------------- versions to come


def called_of(home: Path, tokens: Callable[..., subprocess.CompletedProcess[str]]):
    """`tokens` of another version."""
    return lambda *words, **more: tokens(*words, PYTHONPATH=str(home), **more)


@pytest.mark.slow
def test_this_program_uses_what_the_next_version_has_expanded(called, tokens, coming, place):
    called("licence", "add", "--label", "before")
    done = called_of(coming("next"), tokens)("upgrade")
    assert done.returncode == 0 and version(place) == NEXT, done.stderr

    with pytest.raises(AssertionError, match="it would have served"):
        called("serve", TOKENS_PORT=str(free_port()))
    assert called("licence", "add", "--label", "later").returncode == 0
    assert "before" in called("licence", "list").stdout
    look = called("upgrade", "--check")
    assert look.returncode == 0 and "of a newer program; this one can use it too" in look.stdout
    assert called("upgrade").returncode == 0 and version(place) == NEXT
    assert f"at migration {NEXT}, of a newer program" in called("doctor", "--offline").stdout
    assert f"at migration {NEXT}" in called("backup", "kept.db").stdout
    back = called("restore", "kept.db")
    assert back.returncode == 0 and f"at migration {NEXT}\n" in back.stdout, back.stderr
    then = called_of(coming("after"), tokens)("upgrade", "--check")
    assert then.returncode == 0 and "while the gateway runs" in then.stdout, then.stderr


@pytest.mark.slow
def test_what_is_taken_away_waits_until_nobody_uses_the_database(called, tokens, coming, place):
    """This program cannot use it afterwards, says so, and goes on with the backup."""
    called("licence", "add", "--label", "before")
    after = called_of(coming("after"), tokens)
    look = after("upgrade", "--check")
    assert look.returncode == WAITS and f"do not know migration {NEXT}" in look.stdout, look.stderr
    assert [line.split()[:4] for line in look.stdout.splitlines()[1:3]] == [
        [NEXT, "expand", "yes", "0.2.0"],
        [AFTER, "contract", "from", NEXT],
    ]
    with held_open(place) as pid:
        refused = after("upgrade")
    assert refused.returncode == 1 and f"process {pid} is using it" in refused.stderr
    assert version(place) == HEAD and not list(place.parent.glob("*.at-*"))

    assert after("upgrade").returncode == 0 and version(place) == AFTER
    for words in (("serve",), ("licence", "add"), ("upgrade",), ("upgrade", "--check")):
        done = called(*words)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert f"version {AFTER}, which only a newer program" in done.stderr
    assert called("restore", f"{place}.at-{HEAD}").returncode == 0
    assert "before" in called("licence", "list").stdout


# ---------------------------------------------------------------- PostgreSQL


@pytest.fixture
def grown(called, server):
    """`called` on a PostgreSQL database that is older than this program, and its address."""

    def on(*words: str, **more: str):
        return called(*words, **({"TOKENS_DATABASE_URL": server[0]} | more))

    assert on("licence", "add", "--label", "kept").returncode == 0
    with closing(Database(server[0])) as database:
        downgrade(database, BEFORE)
    return on, server[0]


def version_at(url: str) -> str | None:
    with closing(Database(url)) as database:
        return database.version()


@pytest.mark.slow
def test_postgresql_is_dumped_before(grown, tmp_path):
    program("pg_dump")
    on, url = grown
    look = on("upgrade", "--check")
    assert (look.returncode, look.stderr) == (0, "")
    assert f"goes to tokens.at-{BEFORE}.dump" in look.stdout and version_at(url) == BEFORE
    assert not list(tmp_path.glob("*.dump"))

    done = on("upgrade")
    assert done.returncode == 0, done.stderr
    assert version_at(url) == HEAD and (tmp_path / f"tokens.at-{BEFORE}.dump").exists()
    assert on("restore", f"tokens.at-{BEFORE}.dump").returncode == 0
    assert "kept" in on("licence", "list").stdout


@pytest.mark.slow
@pytest.mark.parametrize("what", ["none", "older", "fails"])
def test_without_a_dump_nothing_is_done(grown, tmp_path, what):
    """There is no pg_dump, or it is older than the server, or it fails."""
    on, url = grown
    says = {"none": "not installed here", "older": "of version 9", "fails": "no room"}[what]
    if what != "none":
        number = "9.6.1" if what == "older" else "99.1"
        script = (
            f'#!/bin/sh\n[ "$1" = --version ] && echo "pg_dump (PostgreSQL) {number}" && exit\n'
        )
        (tmp_path / "pg_dump").write_text(script + "echo no room >&2; exit 1\n")
        (tmp_path / "pg_dump").chmod(0o755)
    done = on("upgrade", PATH=str(tmp_path))

    assert done.returncode == 1 and says in done.stderr
    assert version_at(url) == BEFORE and not list(tmp_path.glob("*dump*.[0-9]*"))


@pytest.mark.slow
def test_a_table_that_somebody_holds_is_not_waited_for_by_everybody(grown, monkeypatch):
    """While a migration waits for its table, all who come after wait behind it: so not for long."""
    on, url = grown
    monkeypatch.setattr(schema, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(schema, "TRIES", 2)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as holder:
        holder.execute(sa.text("SELECT count(*) FROM credentials"))  # and it goes on reading
        refused = on("upgrade", "--no-backup")
    engine.dispose()

    assert refused.returncode == 1 and "lock timeout" in refused.stderr
    assert "nothing was changed, try again" in refused.stderr and version_at(url) == BEFORE
    assert on("upgrade", "--no-backup").returncode == 0 and version_at(url) == HEAD


@pytest.mark.slow
def test_dumps_have_every_table_those_of_newer_programs_too(tokens, server, coming, tmp_path):
    """As a process, which has not imported what the tests have."""
    program("pg_restore")
    settings = {"TOKENS_DATABASE_URL": server[0]}
    next_one = called_of(coming("next"), tokens)
    assert next_one("licence", "add", **settings).returncode == 0
    assert tokens("backup", "kept.dump", **settings).returncode == 0
    words = ["pg_restore", "--list", str(tmp_path / "kept.dump")]
    listed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    with closing(Database(server[0])) as database:
        there = database.read(lambda connection: sa.inspect(connection).get_table_names())
    dumped = {line.split()[6] for line in listed.splitlines() if " TABLE DATA " in line}

    assert "regions" in there and dumped == set(there)
    settings = {"TOKENS_DATABASE_URL": server[1]}
    back = tokens("restore", "kept.dump", **settings)
    assert back.returncode == 0 and f"at migration {NEXT}\n" in back.stdout, back.stderr
    assert tokens("licence", "list", **settings).returncode == 0
