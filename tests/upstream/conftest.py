"""A scripted platform and a transport that calls it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from app.errors import CallerGone
from app.upstream.transport import Answer, Deadlines, Leash, Transport
from tests.upstream.rawserver import RawServer, Script, until


class Client:
    """Calls one server, with one transport. Keeps every answer, so that none is left open."""

    def __init__(self, server: RawServer, **settings: Any) -> None:
        self.server = server
        names = Deadlines.__dataclass_fields__
        deadlines = Deadlines(**{name: settings.pop(name) for name in names if name in settings})
        self.transport = Transport(deadlines, **settings)
        self._answers: list[Answer] = []

    def open(
        self,
        method: str = "POST",
        body: bytes | None = b"{}",
        *,
        url: str = "",
        headers: dict[str, str] | None = None,
        leash: Leash | None = None,
        **options: Any,
    ) -> Answer:
        answer = self.transport.open(
            method, url or self.server.url, headers or {}, body, leash=leash, **options
        )
        self._answers.append(answer)
        return answer

    def fetch(self, *arguments: Any, **options: Any) -> bytes:
        """The whole body; the connection goes back to the pool."""
        answer = self.open(*arguments, **options)
        try:
            return answer.read(1 << 28, 5)
        finally:
            answer.close()

    def close(self) -> None:
        for answer in self._answers:
            answer.close()
        self.transport.close()


@contextmanager
def gone_at_once(look: Callable[[], object] = lambda: True) -> Iterator[Leash]:
    """Pulls a leash a moment after `look` has found something. The block has to end at once, for
    that reason.
    """
    leash, pulled = Leash(), []

    def pull() -> None:
        until(look)
        gevent.sleep(0.03)
        pulled.append(time.monotonic())
        leash.pull()

    puller = gevent.spawn(pull)
    with pytest.raises(CallerGone), gevent.Timeout(4):
        yield leash
    puller.join()
    assert time.monotonic() - pulled[0] < 0.5


def pieces(answer: Answer) -> Iterator[bytes]:
    """Everything up to the clean end."""
    while (data := answer.next(5)) != b"":
        assert data is not None, "nothing came for five seconds"
        yield data


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Starts a server that follows these scripts, one a connection. It is stopped, and what went
    wrong in it is told.
    """
    running: list[RawServer] = []

    def start(*scripts: Script, **options: Any) -> RawServer:
        running.append(RawServer(*scripts, **options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def call(serve: Callable[..., RawServer]) -> Iterator[Callable[..., Client]]:
    """A client of a server that follows these scripts."""
    clients: list[Client] = []

    def start(*scripts: Script, context: Any = None, **settings: Any) -> Client:
        clients.append(Client(serve(*scripts, context=context), **settings))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
