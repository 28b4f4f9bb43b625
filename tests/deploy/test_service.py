"""Services that come and go under load: what callers notice (R-041 to R-045, R-053, R-145, R-149)."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.deploy.front import Certificate, Front
from tests.deploy.service import OverSocket, Service
from tests.platforms.callers import CALLERS, Heard
from tests.stack import Simulators, Stack, until

pytestmark = pytest.mark.slow
CHAT = CALLERS[0]
MODEL = "gpt-4o"


class Pair:
    """Two services on one database behind one nginx, as deploy/install.md has them; `b` has less
    patience than `a` when it is told to stop.
    """

    def __init__(self, simulators: Simulators, folder: Path, certificate: Certificate) -> None:
        self.a = Service(simulators, folder / "state", "a")
        self.b = Service(simulators, folder / "state", "b", TOKENS_STOP_SECONDS="8")
        (folder / "nginx").mkdir()
        sockets = [self.a.socket_file, self.b.socket_file]
        self.front = self.a.front = self.b.front = Front(folder / "nginx", sockets, certificate)

    def stop(self) -> None:
        self.front.stop()
        self.a.stop()
        self.b.stop()


@pytest.fixture(scope="module")
def pair(
    simulators: Simulators, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Pair]:
    """Each test leaves both as it found them, running."""
    running = Pair(simulators, tmp_path_factory.mktemp("pair"), certificate)
    yield running
    running.stop()


def ask(stack: Stack, text: str, *, stream: bool = True) -> Heard:
    asked = CHAT.ask(MODEL, text, stream=stream)
    return CHAT.call(stack.url("chatgpt"), asked, stack.licence)


def is_good(heard: Heard) -> bool:
    return heard.status == 200 and not heard.broken and CHAT.is_whole(heard)


def is_broken(call: Future[Heard]) -> bool:
    """In the midst of the answer, or before the caller heard any of it."""
    try:
        heard = call.result()
    except requests.ConnectionError:
        return True
    return heard.broken and not CHAT.is_whole(heard)


# nginx that reloads lets go of connections that have said nothing yet, also in the midst of their handshake.
# Nothing was asked by then, and every client opens another; whatever comes after that is a failure.
ANEW = Retry(total=None, connect=0, read=0, redirect=0, status=0, other=2)


class Load:
    """Callers who ask again and again, some on kept connections, until it is enough."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._enough = stack, threading.Event()
        self.good, self.bad = Counter[str](), list[str]()

    def call(self) -> None:
        session = requests.Session()
        session.mount("https://", HTTPAdapter(max_retries=ANEW))
        body = CHAT.ask(MODEL, "simulate: words=3", stream=True)
        headers = {"Authorization": f"Bearer {self._stack.licence}"}
        url = self._stack.url("chatgpt") + body[0]
        while not self._enough.is_set():
            try:
                answer = session.post(url, json=body[1], headers=headers, timeout=30)
            except requests.RequestException as error:
                self.bad.append(repr(error))
                continue
            if answer.status_code == 200 and answer.text.endswith("data: [DONE]\n\n"):
                self.good[answer.headers["x-request-id"]] += 1
            else:
                self.bad.append(f"{answer.status_code} {answer.text[-200:]}")

    def stop(self) -> None:
        self._enough.set()


@contextmanager
def load(stack: Stack, crowd: ThreadPoolExecutor, callers: int = 6) -> Iterator[Load]:
    """While the block runs, and at least one call before and after what it does."""
    loading = Load(stack)
    running = [crowd.submit(loading.call) for _ in range(callers)]
    try:
        assert until(lambda: len(loading.good) > callers)
        yield loading
        before = len(loading.good)
        assert until(lambda: len(loading.good) > before + callers)
    finally:
        loading.stop()
        for one in running:
            one.result()


def outcomes(stack: Stack) -> dict[str, tuple[str, str]]:
    with sqlite3.connect(stack.folder / "tokens.db") as database:
        found = database.execute("select id, state, outcome from ledger").fetchall()
    return {row[0]: (row[1], row[2]) for row in found}


def held_open(
    stack: Stack, crowd: ThreadPoolExecutor, count: int, text: str
) -> list[Future[Heard]]:
    """Streams, once the platform is at work on all of them."""
    stack.simulators.clear("chatgpt")
    calls = [crowd.submit(ask, stack, text) for _ in range(count)]
    assert until(lambda: len(stack.simulators.journal("chatgpt")) == count)
    return calls


def test_one_after_the_other_is_restarted_and_nobody_notices(
    pair: Pair, crowd: ThreadPoolExecutor
) -> None:
    """R-041, R-053: calls and streams, through nginx with connections that are kept."""
    long = held_open(pair.a, crowd, 12, "simulate: words=40 pace=0.1")
    with load(pair.a, crowd) as loading:
        for one in (pair.a, pair.b):
            assert one.terminate().wait(30) == 0
            one.begin()

    assert loading.bad == []
    assert all(is_good(call.result()) for call in long)
    rows = outcomes(pair.a)
    assert {rows[request] for request in loading.good} == {("charged", "ok")}


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
    long = held_open(pair.a, crowd, 8, "simulate: words=150 pace=0.1")
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


def test_an_arbiter_that_is_killed_takes_its_workers_along_and_leaves_room(
    pair: Pair, crowd: ThreadPoolExecutor
) -> None:
    """R-045: what systemd starts then begins where it listened before, and the other has gone on."""
    orphans = pair.a.workers
    os.kill(pair.a.pid, signal.SIGKILL)
    with load(pair.b, crowd, 2):
        assert until(lambda: not any(Path(f"/proc/{one}/cmdline").exists() for one in orphans), 5)
        assert pair.a.socket_file.exists()
        began = time.monotonic()
        pair.a.begin()
        assert time.monotonic() - began < 10
    assert set(pair.a.workers).isdisjoint(orphans)


@pytest.fixture(scope="module")
def recycling(simulators: Simulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway without nginx whose workers are replaced after some calls: not as we ship it, but as
    somebody may have it.
    """
    words = "--max-requests 80 --max-requests-jitter 40"
    running = Stack(
        simulators,
        tmp_path_factory.mktemp("recycling"),
        TOKENS_WORKERS="2",
        GUNICORN_CMD_ARGS=words,
    )
    yield running
    running.stop()


def workers_of(stack: Stack) -> set[int]:
    children = Path(f"/proc/{stack.pid}/task/{stack.pid}/children").read_text()
    return set(map(int, children.split()))


def test_new_workers_on_a_hang_up_lose_nothing(recycling: Stack, crowd: ThreadPoolExecutor) -> None:
    """R-043."""
    stack = recycling
    first = workers_of(stack)
    long = held_open(stack, crowd, 8, "simulate: words=30 pace=0.1")
    with load(stack, crowd) as loading:
        os.kill(stack.pid, signal.SIGHUP)
        assert until(
            lambda: len(workers_of(stack) - first) == 2 and not workers_of(stack) & first, 25
        )

    assert loading.bad == []
    assert all(is_good(call.result()) for call in long)


def test_workers_that_are_replaced_after_so_many_calls_lose_nothing(
    recycling: Stack, crowd: ThreadPoolExecutor
) -> None:
    """R-043."""
    stack = recycling
    first = workers_of(stack)
    with load(stack, crowd) as loading:
        assert until(lambda: not workers_of(stack) & first, 30)

    assert loading.bad == []


def test_without_file_descriptors_callers_wait_and_it_recovers(
    simulators: Simulators, tmp_path: Path, crowd: ThreadPoolExecutor
) -> None:
    """R-145."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, most[1]))  # the gateway inherits it
    try:
        stack = Stack(simulators, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    try:
        lines: list[socket.socket] = []
        for _ in range(150):
            lines.append(socket.create_connection(("127.0.0.1", int(stack.environ["TOKENS_PORT"]))))
        (worker,) = workers_of(stack)
        assert until(lambda: len(list(Path(f"/proc/{worker}/fd").iterdir())) >= 100)
        spent = _cpu(worker)
        until(lambda: False, 1)
        assert _cpu(worker) - spent < 0.1
        for line in lines:
            line.close()
        began = time.monotonic()
        assert is_good(ask(stack, "simulate: words=3"))
        assert time.monotonic() - began < 5
        assert stack.noise.count("Too many open files") < 30
    finally:
        stack.stop()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
