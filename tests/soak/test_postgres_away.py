"""R-144: PostgreSQL is restarted, hangs, throws us out or lets us wait, and nobody is told what is not so.

Meanwhile calls are refused with 503 and told when to come back, whoever needs no database is served, and
once it is there again all is well within seconds; what callers were told and what the ledger has are the
same, and no row stays open (R-056).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
import requests

from app.storage.database import Database
from tests.postgres_server import PostgresServer
from tests.soak.books import check_sums, states
from tests.soak.crowd import PATH, Told, crowd
from tests.stack import PATIENCE, Stack, until

pytestmark = pytest.mark.slow
HELLO = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
LONG = {"role": "user", "content": "simulate: words=150 pace=0.05"}
HURRIED = "--worker-class tests.soak.hurried.HurriedWorker"
REQUESTS = 400
THROW_OUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> ''"
BACK_SECONDS = 5.0
WAIT_SECONDS = 9.0  # nobody waits longer for a database that does not answer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@pytest.fixture(scope="module")
def stack(
    server: PostgresServer, simulators: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("away")
    more = {"TOKENS_DATABASE_URL": server.url, "GUNICORN_CMD_ARGS": HURRIED}
    stack = Stack(simulators, folder, TOKENS_WORKERS="2", **more)
    yield stack
    stack.stop()


@pytest.fixture(scope="module")
def licence(stack: Stack) -> str:
    """With limits, so that something is held back for each call."""
    return stack.new_licence("--tpd", "1000000000", "--credit", "1000000")


def ask(stack: Stack, licence: str, body: Any = HELLO) -> requests.Response:
    headers = {"Authorization": f"Bearer {licence}"}
    return requests.post(
        stack.url() + PATH + "?retry_attempt=0", json=body, headers=headers, timeout=WAIT_SECONDS
    )


def check_back(stack: Stack, licence: str) -> None:
    began = time.monotonic()
    assert until(lambda: ask(stack, licence).status_code == 200)
    assert time.monotonic() - began < BACK_SECONDS


def check_books(server: PostgresServer, told: Told) -> None:
    with closing(Database(server.url)) as database:
        assert until(lambda: "open" not in states(database).values(), 30.0)
        found = states(database)
        assert [name for name in told.whole if found.get(name) != "charged"] == []
        check_sums(database)


@contextmanager
def crowded(server: PostgresServer, stack: Stack, licence: str) -> Iterator[Told]:
    """Callers who ask from before to after; the value is there when they are through."""
    told = Told()

    def call() -> None:
        heard = crowd(int(stack.environ["TOKENS_PORT"]), licence, REQUESTS, callers=8)
        told.whole += heard.whole
        told.others.update(heard.others)

    thread = threading.Thread(target=call)
    with closing(Database(server.url)) as database:
        before = len(states(database))
        thread.start()
        assert until(lambda: len(states(database)) > before + 8)  # some have been served by then
    try:
        yield told
    finally:
        thread.join()


def check_refusal(answer: requests.Response) -> None:
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "database_unavailable"
    assert int(answer.headers["retry-after"]) > 0


@contextmanager
def gone(server: PostgresServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


def test_it_is_restarted(server: PostgresServer, stack: Stack, licence: str) -> None:
    with crowded(server, stack, licence) as told:
        with gone(server):
            for _ in range(4):
                check_refusal(ask(stack, licence))
        check_back(stack, licence)
    assert told.whole and told.others["503"], told
    check_books(server, told)


def test_it_throws_us_out_again_and_again(
    server: PostgresServer, stack: Stack, licence: str
) -> None:
    """In the midst of transactions, and between them."""
    with crowded(server, stack, licence) as told:
        for _ in range(40):
            server.tell(THROW_OUT)
        check_back(stack, licence)
    assert told.whole, told
    check_books(server, told)


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@contextmanager
def locked(server: PostgresServer) -> Iterator[None]:
    """Somebody has begun something, and goes to lunch; then is thrown out."""
    with psycopg.connect(server.url) as foreign:
        foreign.execute("LOCK TABLE ledger IN EXCLUSIVE MODE")
        yield
        server.tell(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'"
        )
        foreign.close()


@pytest.mark.parametrize("holds", [frozen, locked])
def test_it_lets_us_wait(
    server: PostgresServer,
    stack: Stack,
    licence: str,
    holds: Callable[[PostgresServer], Any],
) -> None:
    headers = {"Authorization": f"Bearer {licence}"}
    body = {"model": "gpt-4o", "messages": [LONG], "stream": True}
    with requests.post(
        stack.url() + PATH, json=body, headers=headers, stream=True, timeout=WAIT_SECONDS
    ) as answer:
        pieces = answer.iter_content(None)
        assert next(pieces)
        with holds(server):
            asking = [
                threading.Thread(target=lambda: heard.append(ask(stack, licence))) for _ in range(4)
            ]
            heard: list[requests.Response] = []
            for thread in asking:
                thread.start()
            gaps, last = [], time.monotonic()
            while any(thread.is_alive() for thread in asking):
                health = requests.get(stack.url() + "/v1/models", timeout=PATIENCE)
                assert health.status_code in (200, 401, 404)
                gaps.append(time.monotonic() - last)
                last = time.monotonic()
        rest = b"".join(pieces)
    assert max(gaps) < 1.0  # no worker stands still
    assert len(heard) == len(asking)
    for one in heard:
        check_refusal(one)
    check_back(stack, licence)
    assert b"data: " in rest
    told = Told()
    if rest.endswith(b"data: [DONE]\n\n") and b'"error"' not in rest:
        told.whole.append(answer.headers["x-request-id"])
    check_books(server, told)
