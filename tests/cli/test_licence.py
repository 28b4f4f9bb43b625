"""`tokens licence`: made, listed, changed, and never shown twice."""

from __future__ import annotations

import json
import sqlite3

import pytest


def test_a_licence_is_shown_once_and_stored_as_a_digest(tokens, tmp_path):
    made = json.loads(tokens("licence", "add", "--label", "laptop", "--json").stdout)
    listed = tokens("licence", "list", "--json").stdout
    shown = tokens("licence", "show", made["name"], "--json").stdout
    stored = sqlite3.connect(tmp_path / "tokens.db").execute("SELECT * FROM licences").fetchall()

    assert made["licence"].startswith("tok-") and len(made["licence"]) > 40
    row = {name: value for name, value in made.items() if name != "licence"}
    assert json.loads(listed) == json.loads(shown) == [row]
    assert made["licence"] not in listed + shown + str(stored)


def test_the_list_tells_label_state_and_scope(tokens):
    tokens("licence", "add", "--label", "one", "--platforms", "gemini,codex", "--models", "gpt-*")

    (row,) = json.loads(tokens("licence", "list", "--json").stdout)

    assert (row["label"], row["state"]) == ("one", "live")
    assert (row["platforms"], row["models"]) == (["gemini", "codex"], ["gpt-*"])
    assert row["expires"] is None


def test_revoking_is_for_good_and_extending_moves_the_end(tokens):
    made = json.loads(tokens("licence", "add", "--expires", "1h", "--json").stdout)

    (extended,) = json.loads(tokens("licence", "extend", made["name"], "30d", "--json").stdout)
    (endless,) = json.loads(tokens("licence", "extend", made["name"], "never", "--json").stdout)
    (revoked,) = json.loads(tokens("licence", "revoke", made["name"], "--json").stdout)

    assert extended["expires"] > made["expires"]
    assert endless["expires"] is None
    assert revoked["state"] == "revoked"


@pytest.mark.parametrize(
    "words, says",
    [
        (("licence", "show", "nobody"), "there is no licence nobody"),
        (("licence", "add", "--expires", "soon"), "'soon' is not a span of time"),
        (("licence", "add", "--platforms", "chatgtp"), "there is no platform chatgtp"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(tokens, words, says):
    done = tokens(*words)

    assert done.returncode == 1
    assert done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_table_is_for_people(tokens):
    tokens("licence", "add", "--label", "手机")

    head, row = tokens("licence", "list").stdout.splitlines()

    assert head.split() == "id name label state platforms models created expires".split()
    assert "手机" in row and "live" in row
