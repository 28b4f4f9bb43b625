"""Who dies or stands still is replaced, by gunicorn's arbiter or by systemd (R-045, R-049, R-050)."""

from __future__ import annotations

import base64
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.deploy.front import Certificate
from tests.deploy.load import CHAT, ask, held_open, is_good, load, outcomes
from tests.deploy.pair import Pair
from tests.deploy.scarcity import scarce
from tests.deploy.service import OverSocket, Service, fronted, worked
from tests.deploy.stuck import CLASS, PATH
from tests.deploy.test_units import UNITS, unit
from tests.stack import Simulators, until

pytestmark = pytest.mark.slow
BACK_SECONDS = 5.0
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(10 << 20)).decode()
KILLS = 3
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


@pytest.fixture(scope="module")
def twofold(
    simulators: Simulators, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Service]:
    """A service with two workers that can be made to stand still, and are then given little time."""
    words = f"--worker-class {CLASS}"
    if not IS_LONG:
        words += " --timeout 3"
    more = {"TOKENS_WORKERS": "2", "GUNICORN_CMD_ARGS": words}
    with fronted(simulators, tmp_path_factory, certificate, **more) as running:
        yield running


def test_workers_that_stand_still_are_replaced(twofold: Service, crowd: ThreadPoolExecutor) -> None:
    """R-049: who comes meanwhile waits, what it had in hand breaks off, and nobody takes that for whole."""
    long = held_open(twofold, crowd, 4, "simulate: words=4000 pace=0.02")
    workers, lost = twofold.workers, twofold.lost
    began = time.monotonic()
    lines = [OverSocket(twofold.socket_file) for _ in workers]
    for line in lines:  # the second is for the other worker: who stands still takes none
        before = {pid: worked(pid) for pid in workers}
        line.request("GET", PATH)
        assert until(lambda: any(worked(pid) > before[pid] + 0.3 for pid in workers))
    waiting = crowd.submit(ask, twofold, "simulate: words=3", timeout=60)

    assert until(lambda: all(map(is_gone, workers)), 60)
    assert until(lambda: is_good(ask(twofold, "simulate: words=3")))
    took = time.monotonic() - began
    print(f"well after {took:.1f} s")  # `pytest -s` shows it
    assert took < (35 if IS_LONG else 8)
    for line in lines:
        line.close()
    assert not any(is_good(call.result()) for call in long)
    assert is_good(waiting.result())
    assert until(
        lambda: twofold.lost - lost == 2
    )  # whoever comes in the place of the dead counts them
    assert "it stood still in" in twofold.noise


def test_who_has_most_dies_alone_where_memory_is_scarce(
    twofold: Service, crowd: ThreadPoolExecutor
) -> None:
    """R-050, R-044: the service is up, and what was told is in the ledger."""
    arbiter, lost = twofold.pid, twofold.lost
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    hungry = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": [shown] * 2}]}
    enough = threading.Event()

    def eat() -> None:
        while not enough.is_set():
            with suppress(requests.ConnectionError):
                CHAT.call(
                    twofold.url("claude_api"), ("/v1/chat/completions", hungry), twofold.licence
                )

    with load(twofold, crowd, 2, "simulate: words=3 pace=0.05") as loading:
        with scarce(twofold, 100 << 20) as killed:
            eating = [crowd.submit(eat) for _ in range(2)]
            try:
                assert until(lambda: len(killed) >= KILLS)
            finally:
                enough.set()
                for one in eating:
                    one.result()
        assert until(lambda: twofold.lost - lost == len(killed))

    print(f"{len(loading.good)} served, {len(loading.bad)} broken, {len(killed)} killed")
    assert arbiter not in killed and twofold.pid == arbiter
    assert len(loading.bad) <= 2 * len(killed), loading.bad  # what each caller had in hand
    rows = outcomes(twofold)
    assert {rows[one] for one in loading.good} == {("charged", "ok")}
    assert set(loading.good.values()) == {1}
