"""Work that takes time, and the clock it goes by."""

from __future__ import annotations

import pytest
import requests

from app.simulators.jobs import Clock, Job, takes
from app.simulators.serving import Running


@pytest.mark.parametrize(
    "now, percent", [(90, 0), (100, 0), (101, 1), (150, 50), (199.9, 99), (200, 100), (900, 100)]
)
def test_work_is_done_by_and_by(now: float, percent: int) -> None:
    assert Job(100, 100).progress(now) == percent


def test_work_that_takes_no_time_is_done_at_once() -> None:
    assert Job(100, takes("a fox")).progress(100) == 100
    assert takes("a fox simulate: takes=30") == 30


def test_a_clock_is_put_forward() -> None:
    clock = Clock()
    before = clock.now()
    clock.move(60)

    assert 60 <= clock.now() - before < 70


def test_the_clock_can_be_put_forward_from_another_process(running: Running) -> None:
    address = running.origin("grok") + "/_simulator/clock"
    before = running.simulators["grok"].clock.now()
    moved = requests.post(address, json={"forward": 60}, timeout=10).json()["now"]

    assert 60 <= moved - before < 70
    for wrong in ({}, {"forward": "soon"}, [60]):
        assert requests.post(address, json=wrong, timeout=10).status_code == 400
