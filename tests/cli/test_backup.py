"""`tokens backup` and `tokens restore`: a whole database, taken while others write (R-150)."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.storage import copies
from app.storage.database import HEAD, Database
from app.storage.ledger import LedgerTable
from app.storage.schema import prepare
from tests.stack import program, until
from tests.storage.test_ledger import closing as closed
from tests.storage.test_ledger import opening

TOKEN = "sk-canary-7d1f0a93b2c4"
SITTING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM ledger").fetchone()
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path) -> Path:
    """The database of `called`, with a credential, a licence and three rows of the ledger."""
    return tmp_path / "tokens.db"


@pytest.fixture
def stocked(called, place):
    assert called("credential", "add", "chatgpt", given=TOKEN).returncode == 0
    assert called("licence", "add", "--label", "kept").returncode == 0
    add_rows(place, "a", 3)
    return called


def add_rows(place: Path, name: str, number: int) -> None:
    with closing(Database(f"sqlite:///{place}")) as database:
        table = LedgerTable(database)
        for at in range(number):
            row = opening(f"req_{name}{at:04}")
            table.write([row], [])
            table.write([], [closed(row, input=10)])


def rows(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return [name for (name,) in connection.execute("SELECT id FROM ledger ORDER BY id")]


def left_beside(file: Path) -> list[str]:
    return sorted(one.name for one in file.parent.iterdir() if one.name.startswith(f".{file.name}"))


def test_a_backup_is_one_file_that_only_we_may_read(stocked, tmp_path):
    done = stocked("backup", "kept.db")
    copy = tmp_path / "kept.db"

    assert (done.returncode, done.stderr) == (0, "")
    assert copy.stat().st_mode & 0o777 == 0o600
    assert rows(copy) == ["req_a0000", "req_a0001", "req_a0002"]
    assert f"at migration {HEAD}, checked" in done.stdout
    assert f"{copies.checked(copy)} rows" in done.stdout
    assert not list(tmp_path.glob("kept.db-*")) and not left_beside(copy)


def test_what_opens_the_tokens_is_not_in_it(stocked, tmp_path):
    """The keys are named, and without them the copy tells nobody anything."""
    done = stocked("backup", "kept.db")
    elsewhere = {
        "TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/elsewhere/tokens.db",
        "TOKENS_SEAL_FILE": f"{tmp_path}/elsewhere/seal.key",
    }
    assert stocked("restore", "kept.db", **elsewhere).returncode == 0
    looked = stocked("doctor", "--offline", **elsewhere)

    assert f"to be kept apart from it: the key files {tmp_path}/seal.key" in done.stdout
    copy = (tmp_path / "kept.db").read_bytes()
    assert TOKEN.encode() not in copy and b"first-token" not in copy
    assert "key file" in looked.stdout and "wrong" in looked.stdout and looked.returncode == 1


def test_nothing_is_overwritten_unless_that_is_said(stocked, tmp_path, place):
    (tmp_path / "kept.db").write_text("a letter")
    refused = stocked("backup", "kept.db")
    letter = (tmp_path / "kept.db").read_text()
    done = stocked("backup", "kept.db", "--force")

    assert refused.returncode == 1 and "say --force" in refused.stderr and letter == "a letter"
    assert done.returncode == 0 and len(rows(tmp_path / "kept.db")) == 3
    assert (tmp_path / "kept.db").stat().st_mode & 0o777 == 0o600


def test_a_backup_is_no_stream(stocked, tmp_path):
    done = stocked("backup", "-")

    assert done.returncode == 1 and "not to standard output" in done.stderr
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("name", ["tokens.db", "tokens.db-wal", "./tokens.db", "also.db"])
def test_the_database_itself_is_never_written_over(stocked, tmp_path, place, name):
    (tmp_path / "also.db").symlink_to("tokens.db")
    done = stocked("backup", name, "--force")

    assert done.returncode == 1 and "belongs to the database itself" in done.stderr
    assert len(rows(place)) == 3


@pytest.mark.parametrize("name", [".", "none/kept.db"])
def test_where_no_file_can_be_there_is_a_complaint(stocked, tmp_path, name):
    done = stocked("backup", name)

    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("tokens: ")
    assert not left_beside(tmp_path / "kept.db")


def test_without_a_database_there_is_nothing_to_copy(called, tmp_path):
    done = called("backup", "kept.db")

    assert done.returncode == 1 and "there is no database yet" in done.stderr
    assert not (tmp_path / "kept.db").exists() and not (tmp_path / "tokens.db").exists()


def test_a_database_that_is_damaged_gets_no_backup(stocked, tmp_path, place):
    with closing(sqlite3.connect(place)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(place)
    done = stocked("backup", "kept.db")

    assert done.returncode == 1 and not (tmp_path / "kept.db").exists()
    assert not left_beside(tmp_path / "kept.db")


def spoil(file: Path) -> None:
    """Every page but the first few is noise."""
    with file.open("r+b") as opened:
        opened.seek(20 * 4096)
        opened.write(b"\x5a" * (file.stat().st_size - 20 * 4096))


def test_a_journal_that_waits_is_spoken_of(stocked, tmp_path):
    """What it holds is not in the copy."""
    (tmp_path / "ledger.journal").write_text('{"row": {}, "opened": {}}\n')
    done = stocked("backup", "kept.db", TOKENS_JOURNAL_FILE=f"{tmp_path}/ledger.journal")

    assert done.returncode == 0 and "back up once more" in done.stdout


def test_a_backup_under_load_is_whole(stocked, tmp_path, place):
    """R-150. Writers go on while it is taken; what was closed before it began is in it, with its day."""
    stop, written = threading.Event(), [0]

    def write() -> None:
        while not stop.is_set():
            add_rows(place, f"b{written[0]:05}", 1)
            written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            assert until(lambda: written[0] > 5 * (number + 1))
            before = written[0]
            copy = tmp_path / f"kept{number}.db"
            assert stocked("backup", copy.name).returncode == 0
            assert until(lambda: written[0] > before)  # nobody was kept from writing
            found = rows(copy)
            assert len(found) >= 3 + before
            assert calls_of_days(copy) == closed_rows(copy)
            copies.checked(copy)
    finally:
        stop.set()
        writer.join()


def calls_of_days(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute("SELECT sum(calls) FROM ledger_days").fetchone()[0])


def closed_rows(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        query = "SELECT count(*) FROM ledger WHERE state <> 'open'"
        return int(connection.execute(query).fetchone()[0])


# ---------------------------------------------------------------- restore


def test_what_was_backed_up_comes_back(stocked, tmp_path, place):
    stocked("backup", "kept.db")
    add_rows(place, "later", 2)
    done = stocked("restore", "kept.db")

    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows(place)) == 3 and len(rows(tmp_path / "tokens.db.before")) == 5
    assert f"the former database is {place}.before" in done.stdout
    assert place.stat().st_mode & 0o777 == 0o600 and not left_beside(place)
    assert "kept" in stocked("licence", "list").stdout


def test_the_former_databases_are_all_kept(stocked, tmp_path, place):
    stocked("backup", "kept.db")
    add_rows(place, "later", 2)
    first, second = stocked("restore", "kept.db"), stocked("restore", "kept.db")

    assert first.returncode == second.returncode == 0
    assert len(rows(tmp_path / "tokens.db.before")) == 5
    assert len(rows(tmp_path / "tokens.db.before.2")) == 3
    assert "tokens.db.before.2" in second.stdout


def test_a_backup_comes_back_where_there_was_nothing(stocked, tmp_path):
    stocked("backup", "kept.db")
    place = tmp_path / "other" / "state" / "tokens.db"
    done = stocked("restore", "kept.db", TOKENS_DATABASE_URL=f"sqlite:///{place}")

    assert done.returncode == 0 and len(rows(place)) == 3 and "former" not in done.stdout
    assert not list(place.parent.glob("*before*"))


def test_what_a_killed_process_left_beside_the_database_is_kept_with_the_former_one(
    stocked, tmp_path, place
):
    """A log of the former database must never be read into the new one."""
    stocked("backup", "kept.db")
    with closing(sqlite3.connect(place)) as holding:
        holding.execute("SELECT count(*) FROM ledger").fetchone()
        add_rows(place, "later", 2)
        for side in ("", "-wal"):
            shutil.copy(f"{place}{side}", f"{tmp_path}/killed.db{side}")
    assert (tmp_path / "killed.db-wal").stat().st_size
    killed = {"TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/killed.db"}
    done = stocked("restore", "kept.db", **killed)

    assert done.returncode == 0
    assert len(rows(tmp_path / "killed.db")) == 3
    assert len(rows(tmp_path / "killed.db.before")) == 5


@pytest.mark.parametrize("content", [b"", b"a letter", b"SQLite format 3\0" + b"\0" * 5000])
def test_what_is_no_backup_changes_nothing(stocked, tmp_path, place, content):
    (tmp_path / "kept.db").write_bytes(content)
    done = stocked("restore", "kept.db")

    assert (done.returncode, done.stdout) == (1, "")
    assert "no backup" in done.stderr and "nothing was changed" in done.stderr
    assert len(rows(place)) == 3 and not list(tmp_path.glob("*before*")) and not left_beside(place)
    assert (tmp_path / "kept.db").read_bytes() == content


def test_another_database_is_no_backup(stocked, tmp_path, place):
    with closing(sqlite3.connect(tmp_path / "kept.db")) as other:
        other.execute("CREATE TABLE friends (name TEXT)")
    done = stocked("restore", "kept.db")

    assert done.returncode == 1 and "not one of a gateway" in done.stderr
    assert len(rows(place)) == 3


def test_a_damaged_backup_changes_nothing(stocked, tmp_path, place):
    stocked("backup", "kept.db")
    spoil(tmp_path / "kept.db")
    done = stocked("restore", "kept.db")

    assert done.returncode == 1 and "nothing was changed" in done.stderr
    assert len(rows(place)) == 3 and not list(tmp_path.glob("*before*"))


def test_a_database_that_is_damaged_can_be_restored(stocked, tmp_path, place):
    stocked("backup", "kept.db")
    place.write_bytes(b"noise" * 1000)
    done = stocked("restore", "kept.db")

    assert done.returncode == 0 and len(rows(place)) == 3
    assert (tmp_path / "tokens.db.before").read_bytes() == b"noise" * 1000


def test_a_backup_of_a_newer_program_is_refused(stocked, tmp_path, place):
    stocked("backup", "kept.db")
    with closing(sqlite3.connect(tmp_path / "kept.db")) as copy:
        copy.execute("UPDATE alembic_version SET version_num = '9999'")
        copy.execute("UPDATE compatibility SET oldest = '9998'")
        copy.commit()
    done = stocked("restore", "kept.db")

    assert done.returncode == 1 and "only a newer program" in done.stderr
    assert len(rows(place)) == 3 and not list(tmp_path.glob("*before*"))


def test_a_backup_of_an_older_program_is_brought_up_to_date(stocked, tmp_path, place):
    old = tmp_path / "old.db"
    with closing(Database(f"sqlite:///{old}")) as database:
        prepare(database)
        downgrade(database, "0007")
    done = stocked("restore", "old.db")

    assert done.returncode == 0 and "where the backup was at 0007" in done.stdout
    assert rows(place) == [] and len(rows(tmp_path / "tokens.db.before")) == 3
    with closing(sqlite3.connect(old)) as untouched:
        found = untouched.execute("SELECT version_num FROM alembic_version").fetchone()
    assert found == ("0007",)


def downgrade(database: Database, version: str) -> None:
    from alembic import command

    from app.storage.schema import _config

    config = _config()

    def work(connection: sa.Connection) -> None:
        config.attributes["connection"] = connection
        command.downgrade(config, version)

    database.write(work)


@contextmanager
def held_open(place: Path) -> Iterator[int]:
    """Another process, by its number, has the database open meanwhile."""
    sitting = subprocess.Popen(
        [sys.executable, "-c", SITTING, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sitting.stdout is not None and sitting.stdin is not None
    try:
        assert sitting.stdout.readline() == "there\n"
        yield sitting.pid
    finally:
        sitting.stdin.close()
        sitting.wait(timeout=60)
        sitting.stdout.close()


@pytest.mark.slow
def test_nothing_is_restored_under_somebody_s_feet(stocked, tmp_path, place):
    """Who has it open is named; what it reads and writes stays where it is."""
    stocked("backup", "kept.db")
    with held_open(place) as pid:
        refused = stocked("restore", "kept.db")
    done = stocked("restore", "kept.db")

    assert refused.returncode == 1
    assert f"process {pid} is using the database" in refused.stderr
    assert done.returncode == 0 and (tmp_path / "tokens.db.before").exists()
    assert not (tmp_path / "tokens.db.before.2").exists()  # the first time nothing was touched


def test_the_gateway_that_runs_is_noticed(stack, tmp_path):
    """One that nobody has called for a while, too: each of its workers has the database open."""
    kept = tmp_path / "kept.db"
    told = stack.tokens("backup", str(kept))
    done = subprocess.run(
        [program(f"{Path(sys.executable).with_name('tokens')}"), "restore", str(kept)],
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert "checked" in told and copies.checked(kept) > 0
    assert done.returncode == 1 and "is using the database" in done.stderr


def test_the_backup_itself_is_not_touched(stocked, tmp_path):
    """It may lie where nobody may write."""
    stocked("backup", "kept.db")
    kept = tmp_path / "kept.db"
    kept.chmod(0o400)
    before = (kept.read_bytes(), kept.stat().st_mtime_ns)
    done = stocked("restore", "kept.db")

    assert done.returncode == 0 and (kept.read_bytes(), kept.stat().st_mtime_ns) == before


def test_the_database_is_no_backup_of_itself(stocked, place):
    done = stocked("restore", "tokens.db")

    assert done.returncode == 1 and "the database itself" in done.stderr and len(rows(place)) == 3


# ---------------------------------------------------------------- PostgreSQL


@pytest.fixture
def dumped(called, tmp_path, server):
    """`called` on the full one, of which there is a dump, and on the empty one."""
    program("pg_dump"), program("pg_restore"), program("psql")

    def on(url: str):
        return lambda *words, **more: called(*words, **({"TOKENS_DATABASE_URL": url} | more))

    full, empty = map(on, server)
    assert full("licence", "add", "--label", "kept").returncode == 0
    done = full("backup", "kept.dump")
    assert done.returncode == 0 and "checked" in done.stdout
    assert (tmp_path / "kept.dump").stat().st_mode & 0o777 == 0o600
    return full, empty


def labels(called) -> str:
    found: str = called("licence", "list").stdout
    return found


@pytest.mark.slow
def test_a_dump_comes_back_where_there_was_nothing(dumped, tmp_path):
    _, empty = dumped
    done = empty("restore", "kept.dump")

    assert done.returncode == 0, done.stderr
    assert f"rows, at migration {HEAD}" in done.stdout and "former" not in done.stdout
    assert "kept" in labels(empty)
    assert empty("licence", "add", "--label", "new").returncode == 0  # numbers go on
    assert "new" in labels(empty) and not left_beside(tmp_path / "kept.dump")


@pytest.mark.slow
def test_what_was_there_is_kept_as_a_dump_that_can_be_restored(dumped, tmp_path):
    full, _ = dumped
    full("licence", "add", "--label", "later")
    done = full("restore", "kept.dump")

    assert done.returncode == 0 and "the former database is kept.dump.before" in done.stdout
    assert "kept" in labels(full) and "later" not in labels(full)
    assert (tmp_path / "kept.dump.before").stat().st_mode & 0o777 == 0o600
    assert full("restore", "kept.dump.before").returncode == 0
    assert "later" in labels(full)
    assert "kept.dump.before.2" in full("restore", "kept.dump").stdout


@pytest.mark.slow
def test_a_dump_of_an_older_program_is_brought_up_to_date(dumped, server, tmp_path):
    """Also where the database has tables by now of which the dump knows nothing."""
    full, empty = dumped
    with closing(Database(server[0])) as database:
        downgrade(database, "0008")
    words = ["pg_dump", "--format=custom", "--file=old.dump", f"--dbname={server[0]}"]
    subprocess.run(words, cwd=tmp_path, check=True, timeout=60)
    assert empty("restore", "kept.dump").returncode == 0
    done = empty("restore", "old.dump")

    assert done.returncode == 0, done.stderr
    assert f"at migration {HEAD}, where the backup was at 0008" in done.stdout
    assert empty("doctor").stdout


@pytest.mark.slow
@pytest.mark.parametrize("what", ["cut", "nonsense", "newer", "another's", "none", "in use"])
def test_what_cannot_be_restored_changes_nothing(dumped, server, tmp_path, what):
    full, _ = dumped
    full("licence", "add", "--label", "later")
    engine = sa.create_engine(server[0].replace("postgresql:", "postgresql+psycopg:"))
    file, says = tmp_path / "kept.dump", "nothing was changed"
    held = None
    if what == "cut":
        file.write_bytes(file.read_bytes()[:-2000])
    elif what == "nonsense":
        file.write_bytes(b"nonsense")
    elif what == "none":
        file, says = tmp_path / "none.dump", "there is no file"
    elif what == "in use":
        held, says = engine.connect(), "in use, by 1 other"
        held.execute(sa.text("SELECT 1"))
    else:
        change = "UPDATE alembic_version SET version_num = '9999'; DELETE FROM compatibility"
        if what == "another's":
            change = "DROP TABLE alembic_version"
        else:
            says = "only a newer program"
        with engine.begin() as connection:
            connection.execute(sa.text(change))
        words = ["pg_dump", "--format=custom", f"--file={file}", f"--dbname={server[0]}"]
        subprocess.run(words, check=True, timeout=60)
        with engine.begin() as connection:
            if what == "another's":
                connection.execute(
                    sa.text("CREATE TABLE alembic_version (version_num varchar(32))")
                )
                connection.execute(sa.text(f"INSERT INTO alembic_version VALUES ('{HEAD}')"))
            else:
                connection.execute(sa.text(f"UPDATE alembic_version SET version_num = '{HEAD}'"))
    if held is None:
        engine.dispose()
    done = full("restore", file.name)
    if held is not None:
        held.close()
        engine.dispose()

    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert "later" in labels(full) and not list(tmp_path.glob("*.before*"))


@pytest.mark.slow
def test_a_restore_that_the_database_breaks_off_changes_nothing(dumped, server):
    """A table of somebody else's that hangs on ours, under a name that the dump needs."""
    full, _ = dumped
    full("licence", "add", "--label", "later")
    engine = sa.create_engine(server[0].replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE other (id int)"))
        connection.execute(sa.text("ALTER INDEX ledger_open RENAME TO was_ledger_open"))
        connection.execute(sa.text("CREATE INDEX ledger_open ON other (id)"))
    engine.dispose()
    done = full("restore", "kept.dump")

    assert done.returncode == 1 and "nothing was changed" in done.stderr
    assert "later" in labels(full)


@pytest.mark.slow
def test_without_its_programs_the_command_to_run_is_told(dumped, tmp_path):
    done = dumped[0]("restore", "kept.dump", PATH=str(tmp_path))

    assert done.returncode == 1 and "pg_restore is not installed here" in done.stderr
    assert "`pg_restore --clean --if-exists" in done.stderr


def test_without_pg_dump_the_command_to_run_is_told(called, tmp_path, server):
    called("licence", "add", TOKENS_DATABASE_URL=server[0])
    done = called("backup", "kept.dump", TOKENS_DATABASE_URL=server[0], PATH=str(tmp_path))

    assert done.returncode == 1 and "`pg_dump --format=custom" in done.stderr
    assert not (tmp_path / "kept.dump").exists() and not left_beside(tmp_path / "kept.dump")
