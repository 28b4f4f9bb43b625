"""`tokens credential list`: what is held against each key stands beside it, as `why` tells it."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import pytest

from app.days import Days
from app.pool import pool
from app.pool.rest import Rest
from app.storage.database import Database
from app.storage.health import Health
from app.storage.ledger import LedgerTable
from tests.storage.test_ledger import closing, opening

TOKEN = "sk-canary-0123456789abcdefghij"


@pytest.fixture
def added(called) -> str:
    """The name of a credential that is kept."""
    done = called("credential", "add", "chatgpt", "--label", "ours", "--json", given=TOKEN)
    (row,) = json.loads(done.stdout)
    return str(row["name"])


@pytest.fixture
def hold(environ):
    """Holds something against a credential."""

    def do(name: str, kind: str, *, model="", step=0, left=100.0, since=-5.0, probed=0.0):
        now = time.time()
        rest = Rest(name, model, kind, now + since, now + left, step, "why", now + probed)
        if not probed:
            rest = Rest(name, model, kind, now + since, now + left, step, "why")
        database = Database(environ["TOKENS_DATABASE_URL"])
        Health(database).put([asdict(rest)], lambda one, other: other)
        database.close()

    return do


def listed(called, *words: str, **settings: str) -> dict[str, dict]:
    done = called("credential", *(words or ("list",)), "--json", **settings)
    assert done.returncode == 0, done.stderr
    return {row["label"]: row for row in json.loads(done.stdout)}


def charged(environ, name: str, money: int) -> None:
    database = Database(environ["TOKENS_DATABASE_URL"])
    now = time.time()
    row = opening("req_1", day=Days().day(now))
    LedgerTable(database).write([row], [])
    LedgerTable(database).write([], [closing(row, credential=name, charge=money)])
    database.close()


@pytest.mark.parametrize("limit, ends", [("--budget-month", True), ("--budget-total", False)])
def test_a_budget_that_is_spent_is_told(called, added, environ, limit, ends):
    called("credential", "edit", added, limit, "1.50")
    charged(environ, added, 1_500_000)
    row = listed(called)["ours"]
    assert (row["health"], bool(row["until"])) == ("at its limit", ends)

    (why,) = json.loads(called("credential", "why", added, "--json").stdout)
    kind = limit[2:].replace("-", "_")
    assert (why["kind"], why["why"], why["state"], why["until"]) == (
        kind,
        "1.50 of 1.50 dollars spent",
        "at its limit",
        row["until"],
    )
    done = called("explain", "--platform", "chatgpt", "--json")
    (found,) = json.loads(done.stdout)
    assert done.returncode == 1 and found["until"] == row["until"]
    assert found["reason"] == f"{kind}, 1.50 of 1.50 dollars spent"

    called("credential", "edit", added, limit, "2")
    assert listed(called)["ours"]["health"] == "ready"


def test_a_key_that_nothing_is_held_against_is_ready(called, added):
    row = listed(called)["ours"]

    assert (row["state"], row["health"], row["until"]) == ("on", "ready", None)


@pytest.mark.parametrize(
    "held, health",
    [
        ([("requests", {})], "resting"),
        ([("refused", {"step": 2})], "retired"),
        ([("refused", {"step": 1})], "resting"),
        ([("refused", {"step": 2, "left": -1})], "retired"),  # until a call has proved otherwise
        ([("fault", {"left": -1})], "due"),
        ([("fault", {"left": -1, "probed": -0.1})], "probing"),
        ([("fault", {"left": -13, "since": -20, "probed": -12})], "ramping"),
        ([("fault", {"left": -90, "since": -95, "probed": -80})], "ready"),
        ([("tokens", {"model": "gpt-4o"})], "partly resting"),
        ([("refused", {"model": "gpt-4o", "step": 2})], "partly retired"),
        ([("tokens", {"model": "gpt-4o"}), ("quota", {"left": 50})], "resting"),
        ([("tokens", {}), ("refused", {"step": 2, "left": 50})], "retired"),
        ([("fault", {"left": -1}), ("tokens", {"model": "gpt-4o"})], "partly resting"),
    ],
)
def test_the_worst_that_is_held_against_a_key_is_told(called, added, hold, held, health):
    for kind, more in held:
        hold(added, kind, **more)
    row = listed(called)["ours"]

    assert row["health"] == health
    assert (row["until"] is not None) == (held[-1][1].get("left", 100) > 0)
    assert listed(called, "show", added)["ours"]["health"] == health


def test_keys_of_the_settings_rest_too(called, added, hold):
    settings = {"TOKENS_CHATGPT_KEYS": "sk-of-the-settings"}
    hold(listed(called, **settings)["chatgpt#1"]["name"], "refused", step=4)
    rows = listed(called, **settings)

    assert (rows["chatgpt#1"]["health"], rows["ours"]["health"]) == ("retired", "ready")
    assert listed(called, "show", "chatgpt#1", **settings)["chatgpt#1"]["health"] == "retired"


def test_people_read_it_in_the_table(called, added, hold):
    hold(added, "requests")
    head, row = called("credential", "list").stdout.splitlines()

    assert "state  health   until " in head and " on     resting  20" in row


def test_what_cannot_be_asked_is_left_open(called, added):
    """The list is there also when Redis is not."""
    done = called("credential", "list", "--json", TOKENS_REDIS_URL="redis://127.0.0.1:1/0")
    (row,) = json.loads(done.stdout)

    assert done.returncode == 0 and row["health"] is None
    assert "TOKENS_REDIS_URL" in done.stderr and done.stderr.count("\n") == 1


def test_a_long_list_is_looked_up_once(called, monkeypatch):
    lines = "".join(f'{{"platform": "chatgpt", "token": "sk-{i:04}"}}\n' for i in range(300))
    called("credential", "import", "-", given=lines)
    asked, candidates = [], pool.Pool.candidates

    def counted(*given):
        asked.append(given)
        return candidates(*given)

    monkeypatch.setattr(pool.Pool, "candidates", counted)
    rows = listed(called).values()
    assert {row["health"] for row in rows} == {"ready"}
    assert len(asked) < 20
