"""`tokens explain`: the same answer as the gateway's, with reasons."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest

from app.credential import fingerprint
from app.pool.rest import Rest
from app.storage.credentials import Credentials
from app.storage.database import Database
from app.storage.health import Health
from tests.storage.databases import fill

KEYS = {"TOKENS_CHATGPT_KEYS": "token-one,token-two|pro"}
ONE, TWO = (
    f"chatgpt#{place}-{fingerprint('chatgpt', token)[:8]}"
    for place, token in ((1, "token-one"), (2, "token-two"))
)


@pytest.fixture
def database(environ) -> Database:
    found = Database(environ["TOKENS_DATABASE_URL"])
    fill(found)
    yield found
    found.close()


def hold(database: Database, name: str, model: str, kind: str, *, step: int = 0, left: float = 100):
    now = time.time()
    rest = Rest(name, model, kind, now - 5, now + left, step, "rate_limit_exceeded")
    Health(database).put([asdict(rest)], lambda one, other: other)


def explained(called, *words: str, code: int = 0, **more: str) -> dict[str, dict]:
    done = called("explain", "--platform", "chatgpt", "--json", *words, **(KEYS | more))
    assert done.returncode == code, done.stderr
    return {row["label"]: row for row in json.loads(done.stdout)}


def test_without_a_database_the_keys_of_the_settings_are_ready(called, tmp_path):
    found = explained(called, "--model", "gpt-4o")

    assert [(row["ready"], row["serves"]) for row in found.values()] == [
        (True, True),
        (True, False),
    ]
    assert not (tmp_path / "tokens.db").exists()  # looking makes nothing


def test_a_rest_is_told_with_its_end(called, database):
    hold(database, ONE, "gpt-4o", "tokens")
    found = explained(called, "--model", "gpt-4o")

    assert found["chatgpt#1"]["reason"] == "tokens, resting: rate_limit_exceeded"
    assert found["chatgpt#1"]["until"].startswith("20")
    assert found["chatgpt#2"]["serves"]
    assert explained(called, "--model", "gpt-4o-mini")["chatgpt#1"]["ready"]


def test_nobody_serves_and_the_exit_code_says_so(called, database):
    hold(database, ONE, "", "refused")
    hold(database, TWO, "", "quota")

    assert not any(row["ready"] for row in explained(called, code=1).values())


def test_groups_of_the_name_the_header_and_the_licence(called, database):
    for words in (("--model", "gpt-4o|[pro]"), ("--groups", "PRO")):
        found = explained(called, *words)
        assert found["chatgpt#1"]["reason"] == "in none of the groups pro"
        assert found["chatgpt#2"]["serves"]
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO licences (name, digest, created_at, groups) VALUES ('limited', 'd', 1, 'pro')"
        )
    found = explained(called, "--licence", "limited")
    assert found["chatgpt#1"]["reason"] == "in none of the licence's groups pro"


def test_credentials_of_the_database_are_explained_without_their_seal(called, database):
    values = {
        "name": "cr_1",
        "platform": "chatgpt",
        "sealed": "?",
        "fingerprint": "f",
        "created_at": 1,
    }
    Credentials(database).add(values | {"label": "mine", "enabled": False, "priority": 3})
    found = explained(called)

    assert list(found)[0] == "mine"
    assert found["mine"]["reason"] == "switched off"


@pytest.mark.parametrize(
    "words, says",
    [
        (("--platform", "nowhere"), "there is no platform nowhere"),
        (("--model", "gpt-4o|[x]"), "there is no group x"),
        (("--model", "gpt-4o|x"), "groups are written"),
        (("--groups", "a b"), "--groups should be names"),
        (("--licence", "none"), "there is no licence none"),
    ],
)
def test_what_makes_no_sense_is_told_in_a_sentence(called, words, says):
    done = called("explain", "--platform", "chatgpt", *words, **KEYS)

    assert done.returncode == 1
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_licence_that_does_not_come_so_far_is_told(called, database):
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO licences (name, digest, created_at, platforms) VALUES ('other', 'd', 1, 'grok')"
        )
    done = called("explain", "--platform", "chatgpt", "--licence", "other", **KEYS)

    assert done.stderr == "tokens: the licence other does not cover the platform chatgpt\n"
