"""More callers than there is room for, and slow ones without number (R-100, R-145): who is honest is served."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from app.web.worker import CALL_FILES, OTHER_FILES
from tests.deploy.front import Certificate
from tests.deploy.load import CHAT, MODEL, ask, is_good
from tests.deploy.service import Service, fronted, opened, worked
from tests.stack import ROOT, TOKENS, Simulators, clean_environ, compact, until

pytestmark = pytest.mark.slow
# Reliability asks for 500 of each kind of slow clients, and for 1,000 where files are few: set SOAK_CLIENTS=500.
CLIENTS = int(os.environ.get("SOAK_CLIENTS", "60"))
IS_LONG = CLIENTS >= 500
HONEST = 50 if IS_LONG else 20
PIECES, PAUSE = 20, 0.05
FILES = 256


def head(service: Service, path: str, length: int) -> bytes:
    """Of a request, but for the empty line."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {service.licence}"]
    lines += ["Content-Type: application/json", f"Content-Length: {length}", ""]
    return "\r\n".join(lines).encode()


def listened(service: Service) -> list[float]:
    """A stream to its end: by how many seconds each event came late."""
    given = {"Authorization": f"Bearer {service.licence}"}
    query = {"pieces": str(PIECES), "pause_ms": str(int(PAUSE * 1000))}
    began, late, rest = 0.0, [], b""
    with requests.post(
        f"{service.front.url}/health/stream", params=query, headers=given, stream=True, timeout=30
    ) as answer:
        assert answer.status_code == 200, answer.text
        for piece in answer.iter_content(None):
            now = time.time()
            *events, rest = (rest + piece).split(b"\n\n")
            for event in events:
                said = json.loads(event.partition(b"data: ")[2])
                began = said.get("now", began)
                late.append(now - began - said.get("after", 0.0))
    assert len(late) == PIECES + 2, "a stream that is not whole"
    return late[:-1]  # the end does not say when it was sent


def slowest(service: Service, crowd: ThreadPoolExecutor) -> float:
    """The p99 of how late events come to the honest, all of whom are served."""
    calls = [crowd.submit(listened, service) for _ in range(HONEST)]
    late = sorted(one for call in calls for one in call.result())
    return late[len(late) * 99 // 100]


@contextmanager
def slow_clients(service: Service) -> Iterator[None]:
    """Some stop in the body of their request, some in its head, some before they have said anything."""
    begun = head(service, "/health/stream?pieces=1", 1000)
    with ExitStack() as stack:

        def sending(number: int, said: bytes) -> ssl.SSLSocket:
            """From other addresses than the honest, as the real ones would be."""
            line = stack.enter_context(opened(service.front, f"127.0.0.{2 + number % 8}"))
            line.sendall(said)
            return line

        bodies = [sending(number, begun + b"\r\nhalf") for number in range(CLIENTS)]
        heads = [sending(number, begun) for number in range(CLIENTS)]
        there = ("127.0.0.1", service.front.port)
        for _ in range(CLIENTS):
            stack.enter_context(socket.create_connection(there, timeout=15))
        assert not any(map(has_ended, [*bodies, *heads]))
        yield


def has_ended(line: ssl.SSLSocket) -> bool:
    """Whether it was answered or closed."""
    line.setblocking(False)
    try:
        line.recv(1)
    except ssl.SSLWantReadError:
        return False
    return True


def test_who_is_slow_is_slow_alone(service: Service, crowd: ThreadPoolExecutor) -> None:
    """R-100: slow heads and slow bodies stay in nginx, and the gateway does not hear of them."""
    calm = slowest(service, crowd)
    before = sum(map(connections, service.workers))
    added = []
    for _ in range(3):  # whoever else uses this machine does not do so three times
        with slow_clients(service):
            added.append(slowest(service, crowd) - calm)
            idle = before + HONEST  # that nginx may keep for later
            assert until(lambda: sum(map(connections, service.workers)) <= idle, 5)
        if added[-1] <= 0.05:
            break

    # `pytest -s` shows it
    print(f"{HONEST} streams, p99 {calm * 1000:.1f} ms; added {[round(x * 1000) for x in added]}")
    assert min(added) <= 0.05


def connections(pid: int) -> int:
    held = [one.readlink().name for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
    return sum(name.startswith("socket:") for name in held)


class Narrow(Service):
    """May have few files open."""

    command = ["sh", "-c", f'ulimit -n {FILES}; exec "$0" serve', TOKENS]


@pytest.fixture
def narrow(
    simulators: Simulators, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Service]:
    with fronted(simulators, tmp_path_factory, certificate, Narrow) as running:
        yield running


def test_without_file_descriptors_callers_wait_and_it_recovers(narrow: Service) -> None:
    """R-145: no call is let in that could not be made, and those who wait cost nothing."""
    path, body = CHAT.ask(
        MODEL, "simulate: stall seconds=2 after=1\nsimulate: words=3", stream=True
    )
    written = compact(body)
    said = head(narrow, "/chatgpt" + path, len(written)) + b"Connection: close\r\n\r\n" + written
    clients = CLIENTS * 2
    (worker,) = narrow.workers

    def crowded(stack: ExitStack) -> list[ssl.SSLSocket]:
        lines = []
        for number in range(clients):
            lines.append(
                stack.enter_context(opened(narrow.front, f"127.0.0.{2 + number % 8}", 120))
            )
            lines[-1].sendall(said)
        return lines

    narrow.simulators.clear("chatgpt")
    with ExitStack() as stack:
        lines = crowded(stack)
        places = (FILES - OTHER_FILES) // CALL_FILES
        assert until(lambda: len(narrow.simulators.journal("chatgpt")) >= places)
        spent = worked(worker)
        until(lambda: False, 1)
        spent = worked(worker) - spent
        assert all(b"data: [DONE]" in told(line) for line in lines)
    with ExitStack() as stack:
        crowded(stack)
    began = time.monotonic()
    assert is_good(ask(narrow, "simulate: words=3"))
    took = time.monotonic() - began

    print(f"{clients} clients served; {spent:.2f} s of processor in one; back after {took:.1f} s")
    assert spent <= 0.1
    assert took <= 5
    assert "Too many open files" not in narrow.noise


def test_files_are_as_many_as_may_be() -> None:
    """Not as few as a shell begins with."""
    code = "import resource as r, runpy; runpy.run_path('deploy/gunicorn.conf.py'); print(r.getrlimit(r.RLIMIT_NOFILE))"
    command = [
        "sh",
        "-c",
        'ulimit -Sn 100; ulimit -Hn 999; exec "$0" -c "$1"',
        sys.executable,
        code,
    ]
    done = subprocess.run(command, cwd=ROOT, env=clean_environ(), capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("(999, 999)\n", "")


def told(line: ssl.SSLSocket) -> bytes:
    """All that is told until the end."""
    got = b""
    while piece := line.recv(65536):
        got += piece
    return got
