"""Who dies or stands still is replaced, by gunicorn's arbiter or by systemd (R-045, R-049, R-050)."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.deploy.load import CHAT, held_open, load
from tests.deploy.pair import Pair
from tests.deploy.service import Service
from tests.deploy.test_units import UNITS, unit
from tests.stack import until

pytestmark = pytest.mark.slow
BACK_SECONDS = 5.0


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
