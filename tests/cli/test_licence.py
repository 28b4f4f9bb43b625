"""`tokens licence`: made, listed, changed, and never shown twice."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta

import pytest


def test_a_licence_is_shown_once_and_stored_as_a_digest(tokens, called, tmp_path):
    made = json.loads(tokens("licence", "add", "--label", "laptop", "--json").stdout)
    listed = called("licence", "list", "--json").stdout
    shown = called("licence", "show", made["name"], "--json").stdout
    stored = sqlite3.connect(tmp_path / "tokens.db").execute("SELECT * FROM licences").fetchall()

    assert made["licence"].startswith("tok-") and len(made["licence"]) > 40
    row = {name: value for name, value in made.items() if name != "licence"}
    assert json.loads(listed) == json.loads(shown) == [row]
    assert made["licence"] not in listed + shown + str(stored)


def test_the_list_tells_label_state_and_scope(called):
    called("licence", "add", "--label", "one", "--platforms", "gemini,codex", "--models", "gpt-*")

    (row,) = json.loads(called("licence", "list", "--json").stdout)

    assert (row["label"], row["state"]) == ("one", "live")
    assert (row["platforms"], row["models"]) == (["gemini", "codex"], ["gpt-*"])
    assert row["expires"] is None


def test_revoking_is_for_good_and_extending_moves_the_end(called):
    made = json.loads(called("licence", "add", "--expires", "1h", "--json").stdout)

    (extended,) = json.loads(called("licence", "extend", made["name"], "30d", "--json").stdout)
    (endless,) = json.loads(called("licence", "extend", made["name"], "never", "--json").stdout)
    (revoked,) = json.loads(called("licence", "revoke", made["name"], "--json").stdout)

    assert later(extended, made) == timedelta(days=30)
    assert endless["expires"] is None
    assert revoked["state"] == "revoked"


def later(one, other):
    return datetime.fromisoformat(one["expires"]) - datetime.fromisoformat(other["expires"])


@pytest.fixture
def stored(called, tmp_path):
    """Makes a licence, then writes into its row what no command writes today."""

    def store(expires_at):
        made = json.loads(called("licence", "add", "--json").stdout)
        database = sqlite3.connect(tmp_path / "tokens.db")
        with database:
            change = "UPDATE licences SET expires_at = ? WHERE id = ?"
            database.execute(change, (expires_at, made["id"]))
        database.close()
        return made["name"]

    return store


def test_an_expired_licence_is_extended_from_now(called, stored):
    name = stored(1000)

    (expired,) = json.loads(called("licence", "show", name, "--json").stdout)
    (extended,) = json.loads(called("licence", "extend", name, "1h", "--json").stdout)

    assert (expired["state"], extended["state"]) == ("expired", "live")
    assert datetime.fromisoformat(extended["expires"]).year > 2000


def test_a_licence_lasts_a_century_at_most(called):
    done = called("licence", "add", "--expires", "100y", "--json")
    made = json.loads(done.stdout)

    again = called("licence", "extend", made["name"], "1d")

    assert again.returncode == 1
    assert "100y" in again.stderr and again.stderr.count("\n") == 1


def test_an_end_beyond_the_calendar_is_listed_as_the_calendars_end(called, stored):
    name = stored(99999999999 * 86400)

    for words in (("list",), ("show", name)):
        (row,) = json.loads(called("licence", *words, "--json").stdout)
        assert row["expires"] == "9999-12-31T23:59:59+00:00"
        assert row["state"] == "live"


@pytest.mark.parametrize(
    "verb, says",
    [("revoke", "is revoked for good"), ("show", "never expires, so there is nothing to extend")],
)
def test_what_cannot_be_extended_stays_as_it_is(called, verb, says):
    name = json.loads(called("licence", "add", "--json").stdout)["name"]
    before = called("licence", verb, name).stdout

    done = called("licence", "extend", name, "30d")

    assert done.returncode == 1 and done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1
    assert called("licence", "show", name).stdout == before


def test_an_empty_list_says_how_to_begin(called):
    done = called("licence", "list")

    assert done.returncode == 0 and done.stdout == ""
    assert "`tokens licence add` makes one" in done.stderr
    assert json.loads(called("licence", "list", "--json").stdout) == []


def test_a_list_makes_no_database(called, tmp_path):
    url = f"sqlite:///{tmp_path}/new/tokens.db"

    done = called("licence", "list", TOKENS_DATABASE_URL=url)

    assert done.returncode == 0 and "no licence yet" in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("words", [("licence", "list"), ("licence", "add"), ("serve",)])
def test_a_database_of_a_newer_program_is_one_clear_sentence(called, tmp_path, words):
    called("licence", "add")
    database = sqlite3.connect(tmp_path / "tokens.db")
    with database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE compatibility SET oldest = '9998'")
    database.close()

    done = called(*words)
    found = json.loads(called("doctor", "--json", "--offline").stdout)

    assert done.returncode == 1 and done.stdout == ""
    assert "version 9999" in done.stderr and "newer" in done.stderr
    assert done.stderr.count("\n") == 1
    (told,) = [one for one in found if one["check"] == "database"]
    assert told["state"] == "wrong" and "9999" in told["what"] and "newer" in told["what"]


def test_a_new_licence_is_told_with_the_name_it_goes_by(called):
    done = called("licence", "add", "--label", "laptop")
    (row,) = json.loads(called("licence", "list", "--json").stdout)

    assert done.stdout.startswith("tok-") and done.stdout.count("\n") == 1
    assert row["name"] in done.stderr and "laptop" in done.stderr


def test_a_database_that_is_not_one_is_one_clear_sentence(called, tmp_path):
    """Tables of somebody else's, which no migration of ours has made."""
    database = sqlite3.connect(tmp_path / "tokens.db")
    database.execute("CREATE TABLE licences (shopping TEXT)")
    database.close()

    done = called("licence", "list")

    assert done.returncode == 1
    assert "the database cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_database_that_fails_halfway_is_one_clear_sentence(called, tmp_path):
    called("licence", "add")
    database = sqlite3.connect(tmp_path / "tokens.db")
    database.execute("DROP TABLE licences")
    database.close()

    done = called("licence", "add")

    assert done.returncode == 1
    assert "the database cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words, says",
    [
        (("licence", "show", "nobody"), "there is no licence nobody"),
        (("licence", "add", "--expires", "soon"), "'soon' is not a span of time"),
        (("licence", "add", "--expires", "2030-01-01"), "write 30d, 12h, 90m, 2w or 1y"),
        (("licence", "add", "--expires", "0d"), "'0d' is not a span of time"),
        (("licence", "add", "--expires=-3d"), "'-3d' is not a span of time"),
        (("licence", "add", "--expires", "99999999999d"), "at most 100y"),
        (("licence", "add", "--expires", "9" * 5000 + "d"), "at most 100y"),
        (("licence", "add", "--label", "long" * 51), "at most 200 characters"),
        (("licence", "add", "--platforms", "chatgtp"), "there is no platform chatgtp"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(called, words, says):
    done = called(*words)

    assert done.returncode == 1
    assert done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_table_is_for_people(tokens, called):
    called("licence", "add", "--label", "手机")

    head, row = tokens("licence", "list").stdout.splitlines()

    assert (
        head.split()
        == "id name label state platforms models groups strict limits created expires".split()
    )
    assert "手机" in row and "live" in row
