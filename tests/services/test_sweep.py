"""What is done from time to time about all tasks (R-082, R-084, C-208)."""

from __future__ import annotations

import os

from app.canonical.media import Progress
from app.services.media_work import LEASE_SECONDS
from app.services.sweep import PUT_AGAIN_SECONDS, Sweep
from app.storage.workers import FORGOTTEN_SECONDS, Workers
from tests.services.film_maker import Workshop


def sweep_of(shop: Workshop, put) -> Sweep:
    return Sweep(shop.tasks, shop.folders, shop.store, shop.clock, put, 3600.0)


def test_what_the_queue_lost_is_told_again(shop):
    told = []
    sweep = sweep_of(shop, told.append)
    task = shop.add()
    assert sweep.put_due() == 0  # whoever added it has told the queue
    shop.clock.at += 5

    assert [sweep.put_due() for _ in range(3)] == [1, 0, 0]
    shop.clock.at += PUT_AGAIN_SECONDS
    assert sweep.put_due() == 1
    assert told == [task.id] * 2


def test_everything_comes_to_its_end_by_the_sweep_alone(shop):
    """C-208: with a queue that forgets everything but what it was told just now."""
    shop.maker.says["look"] = [Progress(state="running")] * 3 + [Progress(state="done")]
    tasks = [shop.add(), shop.add("image")]
    sweep = sweep_of(shop, shop.work.step)
    for _ in range(40):
        shop.clock.at += 1
        sweep.put_due()

    assert {shop.row(one).state for one in tasks} == {"completed"}
    assert shop.maker.count("look") == 4


def test_what_a_dead_worker_had_in_hand_is_told_after_its_lease(shop):
    told = []
    task = shop.add()
    shop.step(task)
    shop.clock.at += 3
    assert shop.tasks.lease(task.id, shop.clock.at, LEASE_SECONDS)

    sweep = sweep_of(shop, told.append)
    shop.clock.at += LEASE_SECONDS - 1
    assert sweep.put_due() == 0
    shop.clock.at += 1
    assert sweep.put_due() == 1


def test_what_is_past_its_deadline_is_ended(shop):
    """R-084."""
    shop.maker.says["look"] = [Progress(state="running")]
    task = shop.add()
    shop.step(task)
    shop.clock.at = task.deadline

    assert sweep_of(shop, shop.work.step).put_due() == 1
    assert (shop.row(task).state, shop.row(task).code) == ("failed", "timeout")


def test_folders_of_tasks_that_are_over_or_never_were_are_removed(shop):
    living, over = shop.add(), shop.add()
    shop.tasks.cancel(over.id, shop.clock.at)
    for name in ("video_never", living.id, over.id):
        folder = shop.folders.make(name)
        os.utime(folder, (0, shop.clock.at - 3601))
    shop.folders.make("video_young")
    os.utime(shop.folders.of("video_young"), (0, shop.clock.at - 3599))

    sweep_of(shop, print).tidy()
    assert sorted(os.listdir(shop.folders.parent)) == sorted([living.id, "video_young"])


def test_rows_and_results_go_when_their_time_is_up(shop):
    over = shop.through(shop.add())
    sweep = sweep_of(shop, print)
    shop.clock.at += 3601
    sweep.tidy()
    assert shop.row(over) == over and shop.kept()  # there is still something to fetch

    shop.clock.at = over.expires_at + 1
    sweep.tidy()
    assert shop.kept() == [] and shop.row(over) == over  # what became of it is known for longer
    shop.clock.at = over.expires_at + 3601
    sweep.tidy()
    assert shop.tasks.find(over.id) is None


def test_workers_that_say_so_are_seen_and_forgotten_after_a_day(database):
    workers = Workers(database)
    workers.note("a:1", 1000.0)
    workers.note("b:1", 1010.0)
    workers.note("a:1", 1020.0)
    assert workers.seen() == {"a:1": 1020.0, "b:1": 1010.0}

    workers.leave("a:1")
    workers.note("c:1", 1011.0 + FORGOTTEN_SECONDS)
    assert workers.seen() == {"c:1": 1011.0 + FORGOTTEN_SECONDS}
