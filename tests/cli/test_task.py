"""`tokens task`, and what `tokens doctor` says of workers."""

from __future__ import annotations

import json
import time

import pytest

from app.storage.database import Database
from app.storage.tasks import Task, Tasks, new_id
from app.storage.workers import Workers
from tests.storage.databases import fill


@pytest.fixture
def database(environ):
    database = Database(environ["TOKENS_DATABASE_URL"])
    fill(database)
    yield database
    database.close()


def add(database: Database, **changes) -> Task:
    values = {
        "id": new_id("video"),
        "kind": "video",
        "platform": "chatgpt",
        "engine": "chatgpt",
        "owner": "ann",
        "model": "film-1",
        "job": {"prompt": "a secret"},
        "created_at": time.time() - 7300,
        "deadline": time.time() + 60,
    }
    return Tasks(database).add(Task(**{**values, **changes}))


def lost(database: Database) -> Task:
    tasks, now = Tasks(database), time.time()
    one = tasks.lease(add(database).id, now, 30)
    assert one is not None
    asked = tasks.move(one, "submitting", now, credential="cr_1")
    assert asked is not None
    over = tasks.move(asked, "lost", now, code="task_lost", message="not\r\nknown")
    assert over is not None
    return over


def test_jobs_are_listed_with_their_age_and_lost_ones_stand_out(called, database):
    """R-081: the operator sees them."""
    waiting, gone = add(database), lost(database)

    table = called("task", "list").stdout
    assert f"{waiting.id}  queued" in table and "2 h" in table
    assert f"{gone.id}  LOST" in table and "task_lost" in table
    assert len(table.splitlines()) == 3 and "not known" in table  # whatever the platform's words
    only = json.loads(called("task", "list", "--state", "lost", "--json").stdout)
    assert [one["id"] for one in only] == [gone.id]
    assert waiting.id in called("task", "list", "--state", "live").stdout


def test_one_job_is_shown_without_what_its_caller_wrote(tokens, database):
    gone = lost(database)

    (shown,) = json.loads(tokens("task", "show", gone.id, "--json").stdout)
    assert (shown["state"], shown["credential"], shown["settled"]) == ("LOST", "cr_1", "released")
    assert "secret" not in json.dumps(shown)


def test_a_job_is_cancelled_and_one_that_is_over_is_not(called, database):
    """R-085."""
    waiting, gone = add(database), lost(database)

    assert "cancelled" in called("task", "cancel", waiting.id).stdout
    assert Tasks(database).find(waiting.id).state == "cancelled"
    done = called("task", "cancel", gone.id)
    assert (done.returncode, "it is lost" in done.stderr) == (1, True)
    assert called("task", "show", "video_1").returncode == 1


def finding(called, check):
    found = json.loads(called("doctor", "--json", "--offline", TOKENS_CHATGPT_KEYS="k").stdout)
    return next(((one["state"], one["what"]) for one in found if one["check"] == check), None)


def test_doctor_says_when_nobody_works(called, database):
    assert finding(called, "worker") == ("note", "none was ever seen; 0 jobs wait")
    add(database)
    Workers(database).note("here:1", time.time() - 600)
    state, what = finding(called, "worker")
    assert state == "wrong" and "none for 60" in what and "1 jobs wait" in what

    Workers(database).note("here:2", time.time())
    assert finding(called, "worker") == ("ok", "1 at work, 1 jobs in hand or waiting")
    assert finding(called, "lost jobs") is None
    lost(database)
    assert finding(called, "lost jobs")[0] == "note"
