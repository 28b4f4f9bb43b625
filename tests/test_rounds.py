"""Work that is done again and again."""

from __future__ import annotations

import gevent
import gevent.event
import pytest

from app.errors import GatewayError
from app.rounds import Rounds

LONG = 3600.0


def reached(condition) -> None:
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.001)


@pytest.mark.parametrize("error", [GatewayError("it is away"), OSError("gone"), KeyError("odd")])
def test_a_round_that_fails_is_not_the_last_and_is_told(error, caplog):
    done = []

    def work() -> None:
        done.append(1)
        if len(done) == 1:
            raise error

    rounds = Rounds(0.001, work, "it could not be done")
    running = rounds.start()
    reached(lambda: len(done) >= 3)
    rounds.end()
    running.join(10)

    assert running.dead and [one.message for one in caplog.records] == ["it could not be done"]
    assert (caplog.records[0].exc_info is not None) == isinstance(error, KeyError)


def test_the_first_round_is_at_once_and_the_next_when_it_is_rung_for():
    done = []
    rounds = Rounds(LONG, lambda: done.append(1), "")
    running = rounds.start()
    reached(lambda: len(done) == 1)
    rounds.ring()
    reached(lambda: len(done) == 2)
    rounds.end()
    running.join(10)

    assert running.dead and len(done) == 2


def test_who_rings_while_a_round_runs_is_heard_after_it():
    done, gate = [], gevent.event.Event()

    def work() -> None:
        done.append(1)
        gate.wait(10)

    rounds = Rounds(LONG, work, "")
    running = rounds.start()
    reached(lambda: len(done) == 1)
    rounds.ring()
    gate.set()
    reached(lambda: len(done) == 2)
    rounds.end()
    running.join(10)
