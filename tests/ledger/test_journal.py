"""What the journal was told is in it until it is where it belongs, whoever adds and takes meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.ledger.journal import Journal
from app.storage.ledger import Closing

WRITE = os.write


def closing(name: str) -> Closing:
    return Closing({"id": name}, {"licence": "a1b2c3d4"})


def fail(closings: Sequence[Closing]) -> None:
    raise OSError("the database cannot be used just now")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "state" / "journal")


@pytest.fixture
def other(tmp_path: Path) -> Journal:
    """Another worker's."""
    return Journal(tmp_path / "state" / "journal")


def taken(journal: Journal) -> list[str]:
    """What is in it, and then no more."""
    found: list[Closing] = []
    journal.take_in(found.extend)
    return [one.row["id"] for one in found]


def test_a_line_is_there_until_it_could_be_written(journal):
    assert taken(journal) == []
    journal.add(closing("req_1"))
    journal.add(closing("req_2"))
    with pytest.raises(OSError, match="cannot be used"):
        journal.take_in(fail)
    journal.add(closing("req_3"))

    assert taken(journal) == ["req_1", "req_2"]
    assert taken(journal) == ["req_3"] and taken(journal) == []


def test_what_is_added_while_the_file_is_taken_away_is_not_lost(journal, other, monkeypatch):
    """R-067: the file was opened, and is gone before the line is in it."""
    journal.add(closing("req_1"))

    def late(fd: int, data: Any) -> int:
        monkeypatch.undo()
        assert taken(other) == ["req_1"]
        return os.write(fd, data)

    monkeypatch.setattr(os, "write", late)
    journal.add(closing("req_2"))

    assert taken(journal) == ["req_2"]


def test_two_that_take_in_at_once_lose_nothing_of_each_other(journal, other):
    """R-067: one of them is slow, and comes to take away what is already another file."""
    journal.add(closing("req_1"))
    with pytest.raises(OSError, match="cannot be used"):
        journal.take_in(fail)
    found: list[Closing] = []

    def slow(closings: Sequence[Closing]) -> None:
        found.extend(closings)
        assert other.take_in(found.extend) is None  # somebody is at it
        journal.add(closing("req_2"))
        assert other.take_in(fail) is None

    assert journal.take_in(slow) == 1
    assert [one.row["id"] for one in found] == ["req_1"] and taken(other) == ["req_2"]


def test_a_line_that_did_not_fit_is_an_error_and_spoils_no_other(journal, monkeypatch):
    """R-141: the disk is full in the middle of a line; later there is room again."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda fd, data: WRITE(fd, data[: len(data) // 2]))
        with pytest.raises(OSError, match="No space"):
            journal.add(closing("req_1"))
    journal.add(closing("req_2"))

    assert taken(journal) == ["req_2"]
