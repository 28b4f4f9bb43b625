"""The queue that wakes workers up: names only, and nobody waits for it."""

from __future__ import annotations

import json
import pickle
import sqlite3
import threading
import time
from pathlib import Path

import gevent
import pytest

from app.media.huey_queue import Names, connected, registered
from app.media.queue import BACK, LOST, Contact, TaskQueue
from tests.pool.conftest import redis_address  # noqa: F401


def until(look, seconds: float = 15.0):
    """As that of tests.stack, but other greenlets have their turn."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        gevent.sleep(0.01)
    return found


def contents(file: Path) -> list[bytes]:
    if not file.exists():
        return []
    with sqlite3.connect(file) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'task'").fetchone():
            return []  # the file is there a moment before what is in it
        return [row[0] for row in connection.execute("SELECT data FROM task ORDER BY id")]


def test_what_is_put_is_a_name_in_json(tmp_path):
    file = tmp_path / "var" / "queue.db"
    TaskQueue(file).put("video_1")

    assert until(lambda: file.exists() and contents(file))
    (found,) = contents(file)
    assert json.loads(found)[1:] == ["app.media.huey_queue.step", ["video_1"]]
    assert file.parent.stat().st_mode & 0o077 == 0


def test_nothing_else_is_read_or_written():
    """What is in a queue may be anybody's: it is never unpickled."""
    with pytest.raises(ValueError):
        Names().deserialize(pickle.dumps({"a": 1}))
    with pytest.raises(TypeError):
        Names().serialize({"a": 1})


def test_who_puts_does_not_wait_for_a_queue_that_is_locked(tmp_path):
    """A worker that writes must not hold up a gateway's streams."""
    queue = TaskQueue(tmp_path / "queue.db")
    queue.put("video_1")
    until(lambda: contents(tmp_path / "queue.db"))
    locked = sqlite3.connect(tmp_path / "queue.db", isolation_level=None)
    locked.execute("BEGIN EXCLUSIVE")

    began = time.monotonic()
    for place in range(100):
        queue.put(f"video_{place}")
    gevent.sleep(0)
    assert time.monotonic() - began < 0.5
    locked.execute("ROLLBACK")
    assert until(lambda: len(contents(tmp_path / "queue.db")) == 101)


def test_a_queue_that_cannot_be_written_is_told_once_and_stops_nobody(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    queue = TaskQueue(tmp_path / "file" / "queue.db")
    for _ in range(3):
        queue.put("video_1")

    assert until(lambda: caplog.records)
    until(lambda: not queue._is_putting)
    queue.put("video_2")
    until(lambda: not queue._is_putting)
    assert [one.message for one in caplog.records] == [LOST]


def test_what_began_before_the_loss_is_no_return(caplog):
    """Of many who read at once, one may have had his answer just before all others had none."""
    contact, begun = Contact(), time.monotonic()
    contact.lost("reading", OSError("gone"))
    contact.lost("writing", OSError("gone"))
    contact.kept("reading", begun)
    assert [one.message for one in caplog.records] == [LOST]

    contact.kept("reading", time.monotonic())
    assert len(caplog.records) == 1  # the other side has not come through yet
    contact.kept("writing", time.monotonic())
    assert [one.message for one in caplog.records] == [LOST, BACK]


def run_until_done(queue: TaskQueue, wanted: int) -> list[str]:
    done: list[str] = []
    consumer = queue.consumer(done.append, 2)
    consumer._set_signal_handlers = lambda: None  # the test's process keeps its own
    running = gevent.spawn(consumer.run)
    end = time.monotonic() + 15
    while len(done) < wanted and time.monotonic() < end:
        gevent.sleep(0.02)
    consumer.stop_flag.set()
    running.join(15)
    return done


def test_a_consumer_does_the_step_of_each_name_and_outlives_one_that_fails(tmp_path):
    queue = TaskQueue(tmp_path / "queue.db")
    for place in range(5):
        queue.put(f"video_{place}")
    assert until(lambda: len(contents(tmp_path / "queue.db")) == 5)

    assert sorted(run_until_done(queue, 5)) == [f"video_{place}" for place in range(5)]
    assert contents(tmp_path / "queue.db") == []


def test_several_hosts_share_one_in_redis(tmp_path, redis_address):  # noqa: F811
    queue = TaskQueue(tmp_path / "queue.db", redis_address)
    connected(tmp_path / "queue.db", redis_address).storage.flush_queue()
    queue.put("video_1")
    assert until(lambda: not queue._is_putting)

    other = connected(tmp_path / "queue.db", redis_address)
    registered(other, print)
    other.listen(Contact(), gevent.sleep)
    assert other.dequeue().args == ("video_1",) and other.dequeue() is None
    assert not (tmp_path / "queue.db").exists()


def test_no_thread_is_left_waiting_for_a_queue_that_was_never_used(tmp_path):
    before = threading.active_count()
    TaskQueue(tmp_path / "queue.db")

    assert threading.active_count() == before and not list(tmp_path.iterdir())
