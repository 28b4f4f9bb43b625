"""Licences in the database, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import stat

import pytest
import sqlalchemy as sa
from gevent import spawn

from app.storage.database import HEAD, Database, DatabaseTrouble
from app.storage.licences import Licences, digest, licences
from app.storage.schema import newest, prepare


def test_the_newest_migration_is_the_one_the_code_expects(database):
    assert database.version() == HEAD == newest()


def test_preparing_twice_does_nothing(database):
    prepare(database)

    assert database.version() == HEAD


def test_a_licence_is_found_by_its_digest_name_and_number(database):
    table = Licences(database)
    words, made = table.add(100.0, label="a", platforms=("x", "y"), models=("m-*",), expires_at=200)

    assert (
        table.by_digest(digest(words)) == table.find(made.name) == table.find(str(made.id)) == made
    )
    assert (made.platforms, made.models, made.created_at) == (("x", "y"), ("m-*",), 100)
    assert table.by_digest(digest(words + "x")) is None and table.find("nobody") is None


def test_a_licence_lives_until_its_end_or_its_revocation(database):
    table = Licences(database)
    _, made = table.add(100.0, expires_at=200)

    assert made.is_live(199.9) and not made.is_live(200)
    assert table.extend(made, None).is_live(10**9)
    assert not table.revoke(made, 150).is_live(151)
    assert table.revoke(made, 160).revoked_at == 150


def test_words_are_stored_nowhere(database):
    words, _ = Licences(database).add(100.0)

    rows = database.read(
        lambda connection: connection.execute(sa.text("SELECT * FROM licences")).all()
    )

    assert words not in str(rows) and digest(words) in str(rows)


def test_hostile_names_are_only_names(database):
    """R-121, R-122."""
    table = Licences(database)
    table.add(100.0)

    for name in ("' OR 1=1 --", "1; DROP TABLE licences", "%", "", "\\", "9" * 30):
        assert table.find(name) is None
    assert len(table.all()) == 1


def test_the_file_is_for_its_owner_alone(tmp_path):
    """S-054."""
    database = Database(f"sqlite:///{tmp_path}/state/tokens.db")
    database.make_place()

    assert stat.S_IMODE(os.stat(tmp_path / "state").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(tmp_path / "state/tokens.db").st_mode) == 0o600


def test_a_database_that_cannot_be_opened_is_told_as_such():
    with pytest.raises(DatabaseTrouble):
        Database("sqlite:////proc/self/nowhere/tokens.db").version()


def test_a_database_opened_only_to_read_is_not_written(tmp_path):
    place = tmp_path / "tokens.db"
    place.touch()
    database = Database(f"sqlite:///{place}", read_only=True)

    assert database.version() is None
    with pytest.raises(DatabaseTrouble):
        database.write(lambda connection: connection.execute(sa.text("CREATE TABLE t (a)")))
    assert place.read_bytes() == b""


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:", "postgresql://h:p/x"]
)
def test_an_address_of_no_database_is_a_value_error(url):
    with pytest.raises(ValueError, match="should be sqlite:///FILE or postgresql://"):
        Database(url)


@pytest.mark.parametrize("off_hub", [False, True])
def test_a_file_that_is_no_database_is_told_as_such(tmp_path, off_hub):
    place = tmp_path / "tokens.db"
    place.write_bytes(b"this was a shopping list" * 100)
    database = Database(f"sqlite:///{place}", off_hub=off_hub)

    with pytest.raises(DatabaseTrouble) as trouble:
        Licences(database).by_digest("x")
    assert trouble.value.status == 503 and "sqlite" not in str(trouble.value).lower()


def test_a_database_that_was_never_prepared_is_told_as_such(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/tokens.db")

    assert database.version() is None
    with pytest.raises(DatabaseTrouble):
        Licences(database).all()


def test_work_that_fails_leaves_nothing_behind(database):
    def fail(connection):
        connection.execute(licences.insert().values(name="n", digest="d", created_at=1))
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        database.write(fail)
    assert Licences(database).all() == []


def test_two_licences_of_one_digest_there_cannot_be(database):
    """R-124."""
    row = {"name": "n", "digest": "d", "created_at": 1}
    database.write(lambda connection: connection.execute(licences.insert().values(row)))

    with pytest.raises(DatabaseTrouble):
        database.write(
            lambda connection: connection.execute(licences.insert().values(row | {"name": "m"}))
        )


def test_licences_are_words_nobody_guesses_and_listed_in_order(database):
    table = Licences(database)
    made = [table.add(float(i), label=f"第{i}") for i in range(5)]

    assert len({words for words, _ in made}) == 5
    assert all(words.startswith("tok-") and len(words) == 47 for words, _ in made)
    assert table.all() == [one for _, one in made]
    assert [one.label for one in table.all()] == [f"第{i}" for i in range(5)]


def test_what_one_connection_writes_another_reads_at_once(tmp_path):
    url = f"sqlite:///{tmp_path}/tokens.db"
    prepare(Database(url))
    writer, reader = Licences(Database(url)), Licences(Database(url, off_hub=True))

    _, made = writer.add(1.0)
    assert reader.find(made.name) == made
    writer.revoke(made, 2.0)
    found = reader.find(made.name)
    assert found is not None and found.revoked_at == 2


def test_a_held_lock_does_not_freeze_other_greenlets(tmp_path):
    """R-139, M-16: SQLite waits in C, so it waits in a thread."""
    url = f"sqlite:///{tmp_path}/tokens.db"
    prepare(Database(url))
    holder, table = Database(url), Licences(Database(url, off_hub=True))
    assert table.all() == []  # the first call connects, and does that on the hub
    seen = []
    with holder.engine.begin():
        writing = spawn(lambda: seen.append(table.add(1.0)))
        spawn(lambda: seen.append("another greenlet ran")).join(2)
        writing.join(0.05)
        assert seen == ["another greenlet ran"]
    writing.join(5)

    assert len(seen) == 2
