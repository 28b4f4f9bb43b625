"""Tasks in the hands of several workers, of slow ones and of ones that died (R-081, R-083)."""

from __future__ import annotations

import json
import logging

import pytest

from app.errors import CallerGone
from app.services.media_work import LEASE_SECONDS
from app.storage.database import DatabaseTrouble
from app.storage.tasks import BROUGHT
from tests.services.film_maker import DONE, FILM, Film, Maker


def test_a_lease_goes_on_as_long_as_the_step_does(shop):
    """R-083: while the platform takes its time, nobody else gets the task."""
    got = []

    def slow():
        for _ in range(20):
            shop.clock.sleep(LEASE_SECONDS / 3)
            shop.work.renew()
            got.append(shop.worker().step(task.id))

    shop.maker.says["begin"] = [slow]
    task = shop.add()
    shop.step(task)

    assert (got, shop.maker.count("begin")) == ([False] * 20, 1)
    assert shop.work.in_hand == 0


def test_who_wakes_up_too_late_changes_nothing_and_stops_what_it_began(shop, caplog):
    """R-081, R-083: the task was given up as lost; the job that came of it is stopped and told."""

    def asleep():
        shop.clock.sleep(LEASE_SECONDS + 1)
        assert shop.worker().step(task.id)

    shop.maker.says["begin"] = [asleep]
    task = shop.add()
    with caplog.at_level(logging.ERROR):
        assert shop.work.step(task.id)

    over = shop.row(task)
    assert (over.state, over.upstream, over.settled) == ("lost", "", "released")
    assert [one[0] for one in shop.maker.asked] == ["begin", "cancel"]
    assert any(getattr(one, "upstream", "") == "job-1" for one in caplog.records)


def test_a_result_that_comes_too_late_is_not_kept(shop):
    """R-083."""
    task = shop.add()
    shop.step(task)

    def asleep():
        shop.clock.sleep(LEASE_SECONDS + 1)
        assert shop.worker(maker=Maker()).step(task.id)
        return Film(FILM)

    shop.maker.says["fetch"] = [asleep]
    shop.step(task)

    over = shop.row(task)
    assert over.state == "completed"
    assert shop.kept() == [over.result["media"][0]["id"]]


def test_a_leash_is_pulled_when_the_task_is_not_ours_or_has_had_its_time(shop):
    pulled = []

    def late(errand_seconds=0):
        (hand,) = shop.work._hands.values()
        shop.clock.at = task.deadline
        shop.work.renew()
        pulled.append(hand.leash.pulled)
        raise CallerGone("stop")

    shop.maker.says["make"] = [late]
    task = shop.add("image")
    over = shop.step(task)

    assert pulled == [True]
    assert (over.state, over.code) == ("failed", "timeout")


@pytest.mark.parametrize("state", ["running", "storing"])
def test_a_platform_that_never_answers_is_left_at_the_deadline(shop, state):
    """R-084: the leash is pulled again and again; that must not go on for ever."""
    shop.maker.says["look"] = [CallerGone("stop")] if state == "running" else [DONE]
    shop.maker.says["fetch"] = [CallerGone("stop")]
    task = shop.add()
    shop.step(task)
    shop.clock.at = shop.row(task).deadline
    for _ in range(3):
        if not (now := shop.row(task)).is_over:
            shop.clock.at = now.deadline
            shop.work.step(task.id)

    assert (shop.row(task).state, shop.row(task).code) == ("failed", "timeout")


def test_what_was_found_being_asked_for_is_lost(shop, caplog):
    """R-081: the worker before ended there; the operator sees it."""
    task = shop.add()
    held = shop.tasks.lease(task.id, shop.clock.at, LEASE_SECONDS)
    shop.tasks.move(held, "submitting", shop.clock.at, credential="a")
    assert not shop.work.step(task.id)
    shop.clock.at += LEASE_SECONDS

    with caplog.at_level(logging.ERROR):
        assert shop.work.step(task.id)
    over = shop.row(task)
    assert (over.state, over.code, over.settled) == ("lost", "task_lost", "released")
    assert shop.maker.asked == [] and caplog.records[0].credential == "a"


def test_the_platforms_name_is_saved_although_the_database_stumbles(shop):
    """R-081."""

    class Stumbling:
        times = 0

        def __getattr__(self, name):
            return getattr(shop.tasks, name)

        def submitted(self, *_, **named):
            self.times += 1
            if self.times < 4:
                raise DatabaseTrouble("locked")
            return shop.tasks.submitted(*_, **named)

    task = shop.add()
    shop.worker(tasks=Stumbling()).step(task.id)
    assert shop.row(task).upstream == "job-1"


def test_a_mistake_of_ours_is_told_and_not_made_for_ever(shop, caplog):
    shop.maker.says["look"] = [KeyError("status")]
    task = shop.add()
    with caplog.at_level(logging.ERROR):
        over = shop.through(task)

    assert (over.state, over.code) == ("failed", "internal_error")
    assert caplog.records[0].exc_info is not None
    shop.maker.says["begin"] = [KeyError("id")]
    assert shop.step(shop.add()).state == "lost"


def test_what_the_caller_brought_is_left_alone_until_its_time_is_up(shop):
    """C-044: its credential is kept nowhere, so nobody but the caller can go on with it."""
    task = shop.add(credential=BROUGHT)
    assert not shop.work.step(task.id)

    assert shop.step(task).code == "timeout"
    assert shop.maker.asked == []


def test_everything_in_a_row_is_json_and_without_secrets(shop):
    task = shop.add()
    shop.step(task)

    row = shop.row(task)
    assert "token-a" not in json.dumps([row.job, row.result, row.credential])
