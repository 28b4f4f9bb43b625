"""Services that come and go under load: what callers notice (R-042, R-044, R-149)."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.deploy.load import CHAT, ask, held_open, is_broken, is_good, load, outcomes
from tests.deploy.pair import Pair
from tests.deploy.service import OverSocket, Service
from tests.stack import until

pytestmark = pytest.mark.slow


def test_nginx_takes_new_settings_and_streams_live_on(
    service: Service, crowd: ThreadPoolExecutor
) -> None:
    """R-149: a reload breaks nothing."""
    long = held_open(service, crowd, 12, "simulate: words=30 pace=0.1")
    with load(service, crowd) as loading:
        service.front.reload()
        service.front.reload()

    assert loading.bad == []
    assert all(is_good(call.result()) for call in long)


def test_nginx_that_ends_breaks_streams_and_makes_none_look_whole(
    service: Service, crowd: ThreadPoolExecutor
) -> None:
    """R-149."""
    before = service.simulators.hangups("chatgpt")
    long = held_open(service, crowd, 12, "simulate: words=4000 pace=0.02")
    service.front.stop()
    service.front.start()

    assert all(is_broken(call) for call in long)
    assert until(lambda: service.simulators.hangups("chatgpt") - before >= 12)
    assert is_good(ask(service, "simulate: words=3"))


def test_a_worker_that_is_killed_breaks_its_own_streams_alone(
    pair: Pair, crowd: ThreadPoolExecutor
) -> None:
    """R-044: nobody is told of a good end that the ledger does not have."""
    long = held_open(pair.a, crowd, 12, "simulate: words=30 pace=0.1")
    (worker,) = pair.a.workers
    with load(pair.a, crowd) as loading:
        os.kill(worker, signal.SIGKILL)
        assert until(lambda: pair.a.workers not in ([], [worker]))

    heard = [call.result() for call in long]
    broken = [one for one in heard if one.broken]
    assert 0 < len(broken) < 12 and not any(map(CHAT.is_whole, broken))
    assert all(is_good(one) for one in heard if not one.broken)
    told = [*loading.good, *(one.headers["x-request-id"] for one in heard if is_good(one))]
    rows = outcomes(pair.a)
    assert {rows[one] for one in told} == {("charged", "ok")}
    lost = [one.headers["x-request-id"] for one in broken]
    assert until(lambda: {outcomes(pair.a)[one] for one in lost} == {("interrupted",) * 2}, 20)
    assert len(set(told)) == len(told)
    assert len(loading.bad) <= 6  # one for each caller, in the worst case


def test_calls_that_nobody_has_taken_yet_are_answered_before_the_end(pair: Pair) -> None:
    """The name of the socket is gone by then, so that no more can come."""
    (worker,) = pair.b.workers
    os.kill(worker, signal.SIGSTOP)
    try:
        lines = [OverSocket(pair.b.socket_file) for _ in range(10)]
        for line in lines:
            line.request("GET", "/health")
        ending = pair.b.terminate()
        assert until(lambda: not pair.b.socket_file.exists())
        until(lambda: False, 1.2)  # longer than a worker sleeps between two looks
    finally:
        os.kill(worker, signal.SIGCONT)

    assert [line.getresponse().status for line in lines] == [200] * 10
    for line in lines:
        line.close()
    assert ending.wait(30) == 0
    pair.b.begin()


def test_a_stop_that_is_forced_shows_through_nginx(pair: Pair, crowd: ThreadPoolExecutor) -> None:
    """R-042."""
    long = held_open(pair.a, crowd, 8, "simulate: words=60 pace=0.1")
    assert pair.b.terminate().wait(30) == 0
    pair.b.begin()

    heard = [call.result() for call in long]
    cut = [one for one in heard if one.broken]
    assert 0 < len(cut) < 8 and all(is_good(one) for one in heard if not one.broken)
    for one in cut:
        failure = CHAT.failure(one)
        assert failure is not None and CHAT.code(failure) == "interrupted"
        assert not CHAT.is_whole(one)
    rows = outcomes(pair.a)
    assert {rows[one.headers["x-request-id"]] for one in cut} == {("charged", "interrupted")}
