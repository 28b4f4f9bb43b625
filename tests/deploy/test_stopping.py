"""What callers notice when the gateway is told to stop, and when a worker makes room for another."""

from __future__ import annotations

import http.client
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.models import MODELS
from tests.platforms.callers import CALLERS, Asked, Caller, Heard
from tests.stack import KEY, Simulators, Stack, until

pytestmark = pytest.mark.slow
MODEL, DRAWS = "gpt-4o", "gemini-3-pro-image"
PICTURE: Asked = ("/v1/images/generations", {"model": DRAWS, "prompt": "a cat", "stream": True})
STOPS = "the gateway stops"
STALLS = "simulate: stall seconds=60 after=3\nsimulate: words=9"
# Reliability asks for 200 streams of twenty seconds: set SOAK_CLIENTS=200.
STREAMS = int(os.environ.get("SOAK_CLIENTS", "32"))
WORDS = 200 if STREAMS >= 200 else 30
Begin = Callable[..., Stack]


@pytest.fixture
def begin(simulators: Simulators, tmp_path: Path) -> Iterator[Begin]:
    """Starts a gateway that the test ends."""
    begun: list[Stack] = []

    def start(**settings: str) -> Stack:
        begun.append(Stack(simulators, tmp_path / str(len(begun)), **settings))
        return begun[-1]

    yield start
    for one in begun:
        one.stop()


@pytest.fixture(scope="module")
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max(64, STREAMS)) as pool:
        yield pool


def terminate(stack: Stack) -> float:
    """Tells it to stop, and gives the moment."""
    os.kill(stack.pid, signal.SIGTERM)
    return time.monotonic()


def ended(stack: Stack) -> bool:
    return bool(until(lambda: not _runs(stack.pid), 25))


def _runs(pid: int) -> bool:
    """Whether there is such a process; one that has ended and waits to be asked for its code is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def line_to(stack: Stack) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", int(stack.environ["TOKENS_PORT"]), timeout=20)


def send(stack: Stack, caller: Caller, text: str, *, stream: bool = True) -> Heard:
    asked = caller.ask(MODEL, text, stream=stream)
    return caller.call(stack.url("chatgpt"), asked, stack.licence)


def bring(stack: Stack, caller: Caller, text: str) -> Heard:
    """The same in Chat2API mode, to a platform that speaks the caller's dialect."""
    asked = caller.ask(MODELS["codex"].plain, text, stream=True)
    headers = {"tokens-authorization": stack.licence}
    return caller.call(stack.url("codex"), asked, KEY, headers=headers)


def rows(stack: Stack) -> list[tuple[Any, ...]]:
    with sqlite3.connect(stack.folder / "tokens.db") as database:
        found = database.execute("select id, state, outcome, output, estimated from ledger")
        return found.fetchall()


def in_hand(stack: Stack, count: int) -> bool:
    """Whether the platform has so many calls, or had."""
    return bool(until(lambda: len(stack.simulators.journal("chatgpt")) >= count))


def test_idle_connections_do_not_hold_up_the_end(begin: Begin) -> None:
    """A call that is on its way by one of them is answered all the same."""
    stack = begin()
    idle, used = line_to(stack), line_to(stack)
    for line in (idle, used):
        line.request("GET", "/health")
        assert line.getresponse().read()
    terminated = terminate(stack)
    assert until(lambda: requests_refused(stack))

    used.request("GET", "/health")
    answer = used.getresponse()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert ended(stack) and 4 < time.monotonic() - terminated < 9


def requests_refused(stack: Stack) -> bool:
    line = line_to(stack)
    try:
        line.connect()
    except ConnectionRefusedError:
        return True
    finally:
        line.close()
    return False


def test_streams_come_to_their_end_when_it_stops(begin: Begin, crowd: ThreadPoolExecutor) -> None:
    """R-041."""
    stack = begin(TOKENS_WORKERS="2")
    stack.simulators.clear("chatgpt")
    text, each = f"simulate: words={WORDS} pace=0.1", STREAMS // len(CALLERS)
    calls = [crowd.submit(send, stack, caller, text) for caller in CALLERS for _ in range(each)]
    assert in_hand(stack, len(calls))
    terminate(stack)

    heard = [call.result() for call in calls]

    assert [one.status for one in heard] == [200] * len(calls)
    assert not any(one.broken for one in heard)
    assert all(CALLERS[place // each].is_whole(one) for place, one in enumerate(heard))
    assert ended(stack)
    assert {row[1:3] for row in rows(stack)} == {("charged", "ok")}


def test_what_takes_too_long_is_told_so_and_breaks_off(
    begin: Begin, crowd: ThreadPoolExecutor
) -> None:
    """R-042: in every dialect, pictures too; what was said by then is charged."""
    stack = begin(TOKENS_STOP_SECONDS="2", TOKENS_GRACE_SECONDS="0")
    stack.simulators.clear("chatgpt", "gemini")
    streams = {one.name: crowd.submit(send, stack, one, STALLS) for one in CALLERS}
    wholes = {one.name: crowd.submit(send, stack, one, STALLS, stream=False) for one in CALLERS}
    stack.simulators.mishap("gemini", "stall", 2, seconds=60.0)
    pictures = [
        crowd.submit(CALLERS[0].call, stack.url("gemini"), asked, stack.licence)
        for asked in (CALLERS[0].ask(DRAWS, "a cat", stream=True), PICTURE)
    ]
    stack.simulators.clear("codex")
    brought = crowd.submit(bring, stack, CALLERS[1], STALLS)
    assert in_hand(stack, 8) and until(lambda: len(stack.simulators.journal("gemini")) == 2)
    assert until(lambda: stack.simulators.journal("codex"))
    terminated = terminate(stack)

    for caller in CALLERS:
        heard = streams[caller.name].result()
        failure = caller.failure(heard)
        assert heard.broken and not caller.is_whole(heard), caller.name
        assert failure is not None and STOPS in caller.message(failure), caller.name
        assert b"[DONE]" not in heard.content
        refused = wholes[caller.name].result()
        assert (refused.status, refused.broken) == (503, False), caller.name
        assert STOPS in caller.message(refused.json)
        assert refused.headers["x-should-retry"] == "false"
    for heard in (one.result() for one in pictures):
        assert heard.broken and STOPS.encode() in heard.content, heard
        assert b"[DONE]" not in heard.content
    own = brought.result()  # whose bytes pass untouched, up to our own end of them
    failure = CALLERS[1].failure(own)
    assert own.broken and failure is not None and STOPS in CALLERS[1].message(failure)
    assert ended(stack) and time.monotonic() - terminated < 8
    assert {row[2] for row in rows(stack)} == {"interrupted"}
    assert sorted(row[1] for row in rows(stack)) == ["charged"] * 5 + ["released"] * 6
    assert sum(line["outcome"] == "interrupted" for line in stack.log if "outcome" in line) == 11
    assert "Traceback" not in stack.noise


def test_chats_about_films_are_told_so_too(begin: Begin, crowd: ThreadPoolExecutor) -> None:
    """R-042: the film goes on, and who waited for all of it is told its name."""
    stack = begin(TOKENS_STOP_SECONDS="1")
    films = [("sora", "sora-2"), ("flow", "gemini-omni-1.1-flash")]
    prompt = "A boat\nsimulate: takes=900"
    streams, wholes = [], []
    for name, model in films:
        stack.simulators.clear(name)
        for caller in CALLERS:
            asked = caller.ask(model, prompt, stream=True)
            streams.append(crowd.submit(caller.call, stack.url(name), asked, stack.licence))
        asked = CALLERS[0].ask(model, prompt)
        wholes.append(crowd.submit(CALLERS[0].call, stack.url(name), asked, stack.licence))
    for name, _ in films:
        assert until(lambda: len(stack.simulators.posts(name)) > len(CALLERS))
    terminated = terminate(stack)

    for caller, call in zip(CALLERS * len(films), streams):
        heard = call.result()
        failure = caller.failure(heard)
        assert heard.broken and not caller.is_whole(heard), caller.name
        assert failure is not None and STOPS in caller.message(failure), caller.name
    for call in wholes:
        heard = call.result()
        assert (heard.status, heard.broken) == (200, False)
        assert "still being made" in CALLERS[0].text(heard.json)
    assert ended(stack) and time.monotonic() - terminated < 8
    assert [line["outcome"] for line in stack.log if "outcome" in line].count("interrupted") == 8
