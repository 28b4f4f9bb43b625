"""The table of jobs, on SQLite and on PostgreSQL."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import pytest

from app.canonical.task import LIVE, OVER, STATES, IllegalMove
from app.storage.tasks import BROUGHT, Task, Tasks, new_id

NOW = 1_700_000_000.0


@pytest.fixture
def tasks(database):
    return Tasks(database)


def task(**changes):
    values = {
        "id": new_id("video"),
        "kind": "video",
        "platform": "here",
        "engine": "here",
        "owner": "ann",
        "model": "film-1",
        "job": {"prompt": "a sea \udc80\0"},
        "created_at": NOW,
        "deadline": NOW + 1200,
    }
    return Task(**{**values, **changes})


def leased(tasks, **changes):
    added = tasks.add(task(**changes))
    found = tasks.lease(added.id, NOW, 30)
    assert found is not None
    return found


def at(tasks, state):
    """A task in this state, in hand if that can be."""
    one = leased(tasks)
    way = {
        "submitting": ("submitting",),
        "running": ("submitting", "running"),
        "storing": ("submitting", "running", "storing"),
        "completed": ("submitting", "running", "storing", "completed"),
        "failed": ("failed",),
        "lost": ("submitting", "lost"),
        "cancelled": ("cancelled",),
    }
    for to in way.get(state, ()):
        one = tasks.move(one, to, NOW)
    return one


def test_what_is_added_is_found_as_it_is_and_its_name_cannot_be_guessed(tasks):
    added = tasks.add(task(webhook="https://example.com", source="video_1"))

    assert tasks.find(added.id) == added
    assert (added.due_at, added.state, added.settled) == (NOW, "queued", "")
    assert re.fullmatch(r"video_[0-9a-f]{32}", added.id) and added.id != new_id("video")


def test_only_its_owner_sees_it_and_only_there(tasks):
    """C-210, R-087."""
    added = tasks.add(task())

    assert tasks.owned(added.id, "here", "ann") == added
    assert tasks.owned(added.id, "here", "bob") is None
    assert tasks.owned(added.id, "there", "ann") is None
    assert tasks.owned(added.id.upper(), "here", "ann") is None


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_hold_every_task_once_in_order(tasks, order):
    """C-211; several of the same moment, one removed between two pages, and others' between them."""
    mine = [tasks.add(task(created_at=NOW + place // 3)) for place in range(9)]
    tasks.add(task(owner="bob"))
    tasks.add(task(platform="there"))
    tasks.add(task(kind="image", id=new_id("image")))

    seen, after = [], ""
    while page := tasks.page("here", "ann", "video", after, 2, order):
        seen += [one.id for one in page]
        after = seen[-1]
        tasks.remove(after, NOW)

    wanted = sorted(mine, key=lambda one: (one.created_at, one.id), reverse=order == "desc")
    assert seen == [one.id for one in wanted]
    assert tasks.page("here", "bob", "video", mine[0].id) == []
    assert tasks.page("here", "ann", "video", "video_unknown") == []


def test_a_lease_is_given_once_until_it_ends_and_its_fence_grows(tasks):
    """R-083."""
    added = tasks.add(task())
    first = tasks.lease(added.id, NOW, 30)

    assert tasks.lease(added.id, NOW + 29, 30) is None
    second = tasks.lease(added.id, NOW + 30, 30)
    assert second.fence == first.fence + 1 == 2


def test_nobody_is_given_what_is_not_due_unless_they_may_be_early(tasks):
    added = tasks.add(task(created_at=NOW + 60))

    assert tasks.lease(added.id, NOW, 30) is None
    assert tasks.lease(added.id, NOW, 30, early=True).fence == 1


def test_of_many_workers_one_gets_the_lease(tasks):
    """R-083: at the same moment, from four threads."""
    names = [tasks.add(task()).id for _ in range(25)]
    got, start = [], threading.Barrier(4)

    def run():
        start.wait()
        got.extend(name for name in names if tasks.lease(name, NOW, 30))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(got) == sorted(names)


@pytest.mark.parametrize("state", sorted(LIVE))
def test_who_slept_through_the_end_of_a_lease_changes_nothing(tasks, state):
    """R-083: a stale writer is rejected, whatever it wants."""
    stale = at(tasks, state)
    fresh = tasks.lease(stale.id, NOW + 60, 30, early=True)

    for to in STATES:
        try:
            assert tasks.move(stale, to, NOW, message="stale") is None
        except IllegalMove:
            continue
    assert tasks.renew([stale], NOW + 90) == {}
    assert tasks.find(stale.id) == fresh


def test_what_was_let_go_of_is_not_kept(tasks):
    """Who keeps leases may not have heard of it yet; the next step would wait for the end of one more."""
    one = at(tasks, "running")
    free = tasks.move(one, "running", NOW, due_at=NOW + 1, lease_until=0.0)

    assert tasks.renew([one], NOW + 60) == {}
    assert tasks.find(one.id) == free
    assert tasks.lease(one.id, NOW + 1, 30) is not None


@pytest.mark.parametrize("state", sorted(OVER))
def test_what_is_over_is_settled_and_stays_as_it_is(tasks, state):
    """R-082, R-085: settled once, whatever comes after."""
    over = at(tasks, state)

    assert over.settled == ("charged" if state == "completed" else "released")
    assert (over.due_at, over.lease_until, over.completed_at) == (None, 0.0, NOW)
    for to in STATES:
        with pytest.raises(IllegalMove):
            tasks.move(over, to, NOW + 1)
    earlier = replace(over, state="queued", settled="")  # what somebody read long before
    assert tasks.move(earlier, "failed", NOW + 1) is None
    assert tasks.cancel(over.id, NOW + 1) == over == tasks.find(over.id)
    assert tasks.lease(over.id, NOW + 99, 30, early=True) is None


def test_progress_never_goes_back(tasks):
    """C-199."""
    one = tasks.move(at(tasks, "running"), "running", NOW, progress=40)

    assert tasks.move(one, "running", NOW, progress=30).progress == 40


def test_the_platforms_name_is_kept_before_anything_else(tasks):
    one = tasks.submitted(
        at(tasks, "submitting"), "job-1", now=NOW + 1, due_at=NOW + 4, lease_until=0
    )

    assert (one.state, one.upstream, one.started_at) == ("running", "job-1", NOW + 1)
    assert (one.due_at, one.lease_until) == (NOW + 4, 0)
    assert tasks.find(one.id) == one


def test_words_of_others_are_kept_as_far_as_they_can_be(tasks):
    one = tasks.move(leased(tasks), "failed", NOW, code="c" * 500, message="\0\udcff" + "é" * 5000)

    assert one == tasks.find(one.id)
    assert (one.code, one.message) == ("c" * 100, "?" + "é" * 1999)


def test_what_is_due_is_told_once_for_a_while_and_the_longest_due_first(tasks):
    names = [tasks.add(task(created_at=NOW - place)).id for place in range(5)]
    tasks.lease(names[0], NOW, 100)  # somebody has it in hand

    assert tasks.due(NOW + 5, 2, again=10) == [names[4], names[3]]
    assert tasks.due(NOW + 5, 9, again=10) == [names[2], names[1]]
    assert tasks.due(NOW + 5, 9, again=10) == []
    assert sorted(tasks.due(NOW + 15, 9, again=10)) == sorted(names[1:])


def test_the_next_step_is_told_as_soon_as_it_is_due_and_that_of_a_dead_worker_after_its_lease(
    tasks,
):
    """R-082."""
    added = tasks.add(task())
    assert tasks.due(NOW + 5, 9, again=30) == [added.id]
    one = tasks.lease(added.id, NOW + 5, 30)
    assert tasks.due(NOW + 34, 9, again=30) == []
    assert tasks.due(NOW + 35, 9, again=30) == [added.id]

    one = tasks.lease(added.id, NOW + 35, 30)
    tasks.move(one, "queued", NOW + 35, due_at=NOW + 38, lease_until=0)
    assert tasks.due(NOW + 37, 9, again=30) == []
    assert tasks.due(NOW + 38, 9, again=30) == [added.id]


def test_nothing_is_due_of_a_task_whose_credential_was_brought_before_its_deadline(tasks):
    added = tasks.add(task(credential=BROUGHT))

    assert tasks.due(NOW + 1199, 9, again=10) == []
    assert tasks.due(NOW + 1200, 9, again=10) == [added.id]


def test_what_nobody_has_begun_is_cancelled_at_once_and_everything_else_by_the_worker(tasks):
    """R-085."""
    added = tasks.add(task(webhook="https://example.com"))
    cancelled = tasks.cancel(added.id, NOW + 1)
    assert (cancelled.state, cancelled.settled) == ("cancelled", "released")
    assert (cancelled.code, cancelled.notice_at) == ("cancelled", NOW + 1)

    begun = tasks.cancel(leased(tasks).id, NOW + 1)
    assert (begun.state, begun.cancelling, begun.due_at) == ("queued", True, NOW + 1)
    running = tasks.cancel(at(tasks, "running").id, NOW + 1)
    assert (running.state, running.cancelling, running.settled) == ("running", True, "")
    assert tasks.cancel("video_unknown", NOW) is None


def test_the_worker_hears_that_a_task_in_hand_is_to_be_cancelled(tasks):
    one = at(tasks, "running")
    tasks.cancel(one.id, NOW)

    assert tasks.renew([one], NOW + 60)[one.id].cancelling
    assert tasks.move(one, "running", NOW, progress=5).cancelling


def test_what_is_removed_is_seen_no_more_and_comes_to_its_end(tasks):
    waiting, running = tasks.add(task()), at(tasks, "running")
    for one in (waiting, running):
        tasks.remove(one.id, NOW)

    assert tasks.owned(waiting.id, "here", "ann") is None
    assert tasks.page("here", "ann", "video") == []
    assert tasks.find(waiting.id).state == "cancelled"
    assert tasks.find(running.id).cancelling


def test_the_webhook_hears_of_every_end_until_it_was_told(tasks):
    one = leased(tasks, webhook="https://example.com")
    leased(tasks)
    assert tasks.notices_due(NOW, 9, again=60) == []
    tasks.move(one, "failed", NOW)

    assert tasks.notices_due(NOW, 9, again=60) == [one.id]
    assert tasks.notices_due(NOW + 59, 9, again=60) == []
    assert tasks.notices_due(NOW + 60, 9, again=60) == [one.id]
    assert tasks.find(one.id).notices == 2
    tasks.noticed(one.id, None)
    assert tasks.notices_due(NOW + 999, 9, again=60) == []


def test_the_operator_sees_how_many_there_are_and_which_nobody_takes_up(tasks):
    lost, waiting = at(tasks, "lost"), tasks.add(task())

    assert tasks.counts() == {"lost": 1, "queued": 1}
    assert tasks.listed(["lost"], 9) == [lost]
    assert tasks.stuck(NOW + 60) == [waiting]
    assert tasks.unknown([waiting.id, lost.id, "x"]) == [lost.id, "x"]


def test_what_is_long_over_and_has_no_result_any_more_is_forgotten(tasks):
    over, kept, live = at(tasks, "failed"), at(tasks, "storing"), tasks.add(task())
    tasks.move(kept, "completed", NOW, expires_at=NOW + 100)

    assert tasks.forget(NOW) == 0
    assert tasks.forget(NOW + 1) == 1 and tasks.find(over.id) is None
    assert tasks.forget(NOW + 101) == 1
    assert tasks.find(live.id) is not None
