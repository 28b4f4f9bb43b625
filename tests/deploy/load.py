"""Callers who ask a service again and again while something is done to it, and what they were told."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPSConnectionPool
from urllib3.connection import HTTPSConnection

from tests.platforms.callers import CALLERS, TIMEOUT, Heard
from tests.stack import Stack, until

CHAT = CALLERS[0]
MODEL = "gpt-4o"


def ask(stack: Stack, text: str, *, timeout: float = TIMEOUT) -> Heard:
    asked = CHAT.ask(MODEL, text, stream=True)
    return CHAT.call(stack.url("chatgpt"), asked, stack.licence, timeout=timeout)


def is_good(heard: Heard) -> bool:
    return heard.status == 200 and not heard.broken and CHAT.is_whole(heard)


def is_broken(call: Future[Heard]) -> bool:
    """In the midst of the answer, or before the caller heard any of it."""
    try:
        heard = call.result()
    except requests.ConnectionError:
        return True
    return heard.broken and not CHAT.is_whole(heard)


class Shaken(HTTPSConnection):
    """nginx that reloads lets go of connections that have said nothing yet, also in the midst of their
    handshake. Nothing was asked by then, and every client opens another; whatever comes after that is a failure.
    """

    def connect(self) -> None:
        for _ in range(2):
            try:
                super().connect()
                return
            except OSError:
                self.close()
        super().connect()


class ShakenPool(HTTPSConnectionPool):
    ConnectionCls = Shaken


class Load:
    """Callers who ask for this again and again, some on kept connections, until it is enough."""

    def __init__(self, stack: Stack, text: str) -> None:
        self._stack, self._text, self._enough = stack, text, threading.Event()
        self.good, self.bad, self.let_go = Counter[str](), list[str](), 0

    def call(self) -> None:
        session = requests.Session()
        adapter = HTTPAdapter()
        adapter.poolmanager.pool_classes_by_scheme = {"https": ShakenPool}
        session.mount("https://", adapter)
        body = CHAT.ask(MODEL, self._text, stream=True)
        headers = {"Authorization": f"Bearer {self._stack.licence}"}
        url = self._stack.url("chatgpt") + body[0]
        is_kept = False
        while not self._enough.is_set():
            try:
                answer = session.post(url, json=body[1], headers=headers, timeout=30)
            except requests.RequestException as error:
                # An idle connection that nginx closes as we send: it reads no more of it, so nothing was asked.
                if is_kept and isinstance(error, requests.ConnectionError):
                    self.let_go += 1
                else:
                    self.bad.append(repr(error))
                is_kept = False
                continue
            is_kept = True
            if answer.status_code == 200 and answer.text.endswith("data: [DONE]\n\n"):
                self.good[answer.headers["x-request-id"]] += 1
            else:
                self.bad.append(f"{answer.status_code} {answer.text[-200:]}")

    def stop(self) -> None:
        self._enough.set()


@contextmanager
def load(
    stack: Stack, crowd: ThreadPoolExecutor, callers: int = 6, text: str = "simulate: words=3"
) -> Iterator[Load]:
    """While the block runs, and at least one call before and after what it does."""
    loading = Load(stack, text)
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


def held_open(
    stack: Stack, crowd: ThreadPoolExecutor, count: int, text: str
) -> list[Future[Heard]]:
    """Streams, once the platform is at work on all of them."""
    stack.simulators.clear("chatgpt")
    calls = [crowd.submit(ask, stack, text) for _ in range(count)]

    def arrived() -> int:
        asked = [one["body"]["messages"] for one in stack.simulators.journal("chatgpt")]
        return asked.count([{"role": "user", "content": text}])

    assert until(lambda: arrived() == count)
    return calls


def outcomes(stack: Stack) -> dict[str, tuple[str, str]]:
    """What the ledger has of each request: the state of its row, and how it ended."""
    with sqlite3.connect(stack.folder / "tokens.db") as database:
        found = database.execute("select id, state, outcome from ledger").fetchall()
    return {row[0]: (row[1], row[2]) for row in found}
