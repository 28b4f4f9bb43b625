"""What platforms keep for a while, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from app.storage.memories import Memories


@pytest.fixture
def memories(database, clock):
    return Memories(database, "here", clock)


def test_what_is_kept_is_found_by_its_owner_alone(memories, database, clock):
    memories.keep("a", "key", "one", 60)
    memories.keep("a", "key", "two", 60)
    elsewhere = Memories(database, "elsewhere", clock)

    assert memories.find("a", "key") == "two"
    assert memories.find("b", "key") is None and elsewhere.find("a", "key") is None


def test_what_is_taken_is_gone(memories):
    memories.keep("a", "key", "one", 60)

    assert [memories.take("a", "key") for _ in range(2)] == ["one", None]


def test_what_is_out_of_date_is_not_found_and_swept_out(memories, database, clock):
    memories.keep("a", "old", "one", 60)
    clock.sleep(60)
    assert memories.find("a", "old") is None and memories.take("a", "old") is None

    memories.keep("a", "new", "two", 60)
    kept = "SELECT count(*) FROM memories"
    assert database.read(lambda connection: connection.exec_driver_sql(kept).scalar()) == 1
