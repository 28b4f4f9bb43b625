"""Who dies or stands still is replaced, by gunicorn's arbiter or by systemd (R-045, R-049, R-050)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.front import Certificate, Front
from tests.deploy.load import CHAT, ask, held_open, is_good, load
from tests.deploy.pair import Pair
from tests.deploy.service import OverSocket, Service
from tests.deploy.stuck import CLASS, PATH
from tests.deploy.test_units import UNITS, unit
from tests.stack import Simulators, until

pytestmark = pytest.mark.slow
BACK_SECONDS = 5.0
# Here a worker that stands still has three seconds, in earnest what deploy/gunicorn.conf.py gives it: set SOAK_SECONDS.
IS_LONG = "SOAK_SECONDS" in os.environ


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}/cmdline").exists()


def restart_as_systemd_does(service: Service, *, is_tidy: bool) -> None:
    """What is left of the unit is not waited for, and without `is_tidy` its socket stays where it was."""
    (pause,) = unit(UNITS[0])["RestartSec"]
    until(lambda: False, float(pause))
    assert service.socket_file.exists()
    if is_tidy:
        service.socket_file.unlink()
    service.begin()


@pytest.mark.parametrize("is_tidy", [True, False], ids=["no socket", "its socket left behind"])
def test_an_arbiter_that_is_killed_takes_its_workers_along_and_leaves_room(
    is_tidy: bool, pair: Pair, crowd: ThreadPoolExecutor
) -> None:
    """R-045: nobody takes what breaks off for whole, the other service has gone on, and nothing stays open."""
    long = held_open(pair.a, crowd, 8, "simulate: words=45 pace=0.1")
    orphans = pair.a.workers
    with load(pair.a, crowd, 2, "simulate: words=3 pace=0.05") as loading:
        began = time.monotonic()
        os.kill(pair.a.pid, signal.SIGKILL)
        restart_as_systemd_does(pair.a, is_tidy=is_tidy)
        took = time.monotonic() - began

    print(f"back after {took:.1f} s")  # `pytest -s` shows it
    assert took < BACK_SECONDS
    assert all(map(is_gone, orphans)) and set(pair.a.workers).isdisjoint(orphans)
    heard = [call.result() for call in long]
    assert all(one.broken != CHAT.is_whole(one) for one in heard)
    assert 0 < sum(one.broken for one in heard) < 8
    assert len(loading.bad) <= 2, loading.bad  # what each caller had in hand


@pytest.fixture
def stuck(
    simulators: Simulators, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Service]:
    """A service whose one worker can be made to stand still, and is then given little time."""
    words = f"--worker-class {CLASS}"
    if not IS_LONG:
        words += " --timeout 3"
    running = Service(simulators, tmp_path_factory.mktemp("stuck"), GUNICORN_CMD_ARGS=words)
    running.front = Front(tmp_path_factory.mktemp("nginx"), [running.socket_file], certificate)
    yield running
    running.front.stop()
    running.stop()


def test_a_worker_that_stands_still_is_replaced(stuck: Service, crowd: ThreadPoolExecutor) -> None:
    """R-049: who comes meanwhile waits, what it had in hand breaks off, and nobody takes that for whole."""
    long = held_open(stuck, crowd, 4, "simulate: words=4000 pace=0.02")
    (worker,) = stuck.workers
    began = time.monotonic()
    line = OverSocket(stuck.socket_file)
    line.request("GET", PATH)
    waiting = crowd.submit(ask, stuck, "simulate: words=3", timeout=60)

    assert until(lambda: is_gone(worker), 60)
    assert until(lambda: is_good(ask(stuck, "simulate: words=3")))
    took = time.monotonic() - began
    print(f"well after {took:.1f} s")  # `pytest -s` shows it
    assert took < (35 if IS_LONG else 8)
    line.close()
    assert not any(is_good(call.result()) for call in long)
    assert is_good(waiting.result())
    assert stuck.lost == 1 and "it stood still in" in stuck.noise
