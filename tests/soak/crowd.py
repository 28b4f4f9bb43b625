"""Callers without number who remember what they were told, and somebody who kills workers meanwhile."""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.stack import PATIENCE, compact

PATH = "/chatgpt/v1/chat/completions"


@dataclass
class Told:
    """What callers saw: the requests that were answered to the end, and how the others ended."""

    whole: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, request: str | None, end: str) -> None:
        with self.lock:
            if end == "whole" and request:
                self.whole.append(request)
            else:
                self.others[end] += 1

    @property
    def calls(self) -> int:
        return len(self.whole) + sum(self.others.values())


def crowd(port: int, licence: str, requests: int, callers: int = 16) -> Told:
    """So many requests by so many callers at once, half of them streamed."""
    told, left = Told(), iter(range(requests))
    lock = threading.Lock()

    def call() -> None:
        line: http.client.HTTPConnection | None = None
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            line = line or http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            request, end = _ask(line, licence, stream=number % 2 == 1)
            told.note(request, end)
            if end != "whole":
                line.close()
                line = None

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def _ask(line: http.client.HTTPConnection, licence: str, *, stream: bool) -> tuple[str | None, str]:
    """The request's id, and how it ended for the caller."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    headers = {"Authorization": f"Bearer {licence}", "Content-Type": "application/json"}
    try:
        line.request("POST", PATH + "?retry_attempt=0", compact(body), headers)
        answer = line.getresponse()
        read = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return None, type(error).__name__
    request = answer.headers["x-request-id"]
    if answer.status != 200:
        return request, str(answer.status)
    good = (
        read.endswith(b"data: [DONE]\n\n") and b'"error"' not in read
        if stream
        else b'"usage"' in read
    )
    return request, "whole" if good else "cut"


def workers(master: int) -> list[int]:
    """The children of gunicorn's own process."""
    try:
        found = Path(f"/proc/{master}/task/{master}/children").read_text()
    except OSError:
        return []
    return [int(pid) for pid in found.split()]


@contextmanager
def killed(master: int, seconds: float) -> Iterator[Callable[[], int]]:
    """Kills a worker every so often for as long as the block lasts; the value says how many so far."""
    done, kills, chance = threading.Event(), 0, random.Random(7)

    def kill() -> None:
        nonlocal kills
        while not done.wait(seconds):
            if found := workers(master):
                try:
                    os.kill(chance.choice(found), signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    continue  # it was quicker

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield lambda: kills
    finally:
        done.set()
        thread.join()
