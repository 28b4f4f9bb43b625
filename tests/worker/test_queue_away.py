"""A worker whose Redis goes away and comes back: its log says so once each."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.media.queue import BACK, LOST
from tests.redis_server import RedisServer
from tests.stack import TOKENS, clean_environ, until

TRIES = 40


class Door:
    """Stands where Redis was, lets nobody in and counts who knocks."""

    def __init__(self, port: int) -> None:
        self.knocks = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._refuse, daemon=True).start()

    def _refuse(self) -> None:
        try:
            while True:
                self._listener.accept()[0].close()
                self.knocks += 1
        except OSError:
            return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server(tmp_path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@contextmanager
def worker(tmp_path, redis_url: str, log) -> Iterator[subprocess.Popen[bytes]]:
    environ = clean_environ() | {
        "TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/tokens.db",
        "TOKENS_SEAL_FILE": f"{tmp_path}/seal.key",
        "TOKENS_COUNTERS_FILE": f"{tmp_path}/counters",
        "TOKENS_JOURNAL_FILE": f"{tmp_path}/journal",
        "TOKENS_SPOOL_FOLDER": f"{tmp_path}/spool",
        "TOKENS_MEDIA_FOLDER": f"{tmp_path}/media",
        "TOKENS_LINK_FILE": f"{tmp_path}/link.key",
        "TOKENS_WEBHOOK_FILE": f"{tmp_path}/webhook.key",
        "TOKENS_REDIS_URL": redis_url,
    }
    with log.open("wb") as written:
        child = subprocess.Popen([TOKENS, "worker"], env=environ, stderr=written)
        try:
            yield child
        finally:
            child.kill()
            child.wait()


@pytest.mark.slow
def test_a_queue_that_is_lost_is_told_once_and_so_is_its_return(tmp_path, server):
    log = tmp_path / "log"

    def said(words: str) -> int:
        return sum(one["message"] == words for one in map(json.loads, log.read_text().splitlines()))

    with worker(tmp_path, server.url, log) as child:
        assert until(lambda: server.client.info()["blocked_clients"], 60), log.read_text()
        server.kill()
        door = Door(server.port)
        assert until(lambda: door.knocks >= TRIES, 60)
        assert said(LOST) == 1 and said(BACK) == 0
        door.close()
        server.start()
        assert until(lambda: said(BACK), 60)
        child.terminate()
        assert child.wait(60) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]

    assert said(LOST) == said(BACK) == 1
    assert [line for line in lines if "trace" in line] == []
    assert len(lines) < 10, lines
