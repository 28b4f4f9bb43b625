"""Many writers, one pen."""

from __future__ import annotations

import gevent
import pytest
from gevent.event import Event

from app.ledger import scribe
from app.ledger.scribe import Scribe
from app.storage.database import DatabaseTrouble


class Paper:
    """What was written, a list for each time. Writing waits until it may go on."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []
        self.may_write = Event()
        self.trouble: list[BaseException] = []

    def write(self, items: list[int]) -> None:
        self.may_write.wait()
        if self.trouble:
            raise self.trouble.pop(0)
        self.written.append(list(items))


@pytest.fixture
def paper() -> Paper:
    return Paper()


def putting(pen: Scribe[int], *items: int) -> list[gevent.Greenlet]:
    writers = [gevent.spawn(pen.put, item) for item in items]
    gevent.idle()
    return writers


def test_what_comes_while_others_are_written_is_written_together(paper):
    pen = Scribe(paper.write)
    writers = putting(pen, 1) + putting(pen, 2, 3, 4)
    assert not any(writer.dead for writer in writers)
    paper.may_write.set()
    gevent.joinall(writers, raise_error=True)

    assert paper.written == [[1], [2, 3, 4]]


def test_no_more_than_so_many_are_written_at_a_time(paper, monkeypatch):
    monkeypatch.setattr(scribe, "MOST", 2)
    pen = Scribe(paper.write)
    writers = putting(pen, 1) + putting(pen, 2, 3, 4)
    paper.may_write.set()
    gevent.joinall(writers, raise_error=True)

    assert paper.written == [[1], [2, 3], [4]]


@pytest.mark.parametrize("place", [0, 1, 3])
def test_who_is_killed_takes_nothing_away_from_others(paper, place):
    pen = Scribe(paper.write)
    writers = putting(pen, 1) + putting(pen, 2, 3, 4)
    writers[place].kill()
    paper.may_write.set()
    gevent.joinall(writers, raise_error=True)

    assert paper.written == [[1], [2, 3, 4]]


@pytest.mark.parametrize("trouble", [DatabaseTrouble("full"), ValueError(), gevent.GreenletExit()])
def test_what_is_not_written_is_told_to_all_whom_it_concerns_and_to_nobody_else(paper, trouble):
    pen = Scribe(paper.write)
    paper.trouble.append(trouble)
    ill, well = putting(pen, 1, 2), putting(pen, 3)
    paper.may_write.set()
    gevent.joinall([*ill, *well])

    wanted = DatabaseTrouble if isinstance(trouble, gevent.GreenletExit) else type(trouble)
    assert [type(one.exception) for one in ill] == [wanted, wanted]
    pen.put(4)
    assert [item for items in paper.written for item in items] in ([3, 4], [4, 3])
