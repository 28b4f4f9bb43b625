"""Callers who hang up, and platforms that take their time.

Waiting is what these tests do most, so all pairs wait side by side; what is compared names the pair
it belongs to.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
import requests

from tests.models import DIRECT, EVERY, MODELS
from tests.platforms.callers import CALLERS, hear
from tests.platforms.conftest import Pair, all_of, side_by_side
from tests.platforms.line import Line
from tests.stack import Json, Stack, until

SOON = 2.0  # seconds in which a platform must be let go
PAUSE = (
    2.0  # seconds of silence: long enough for us, and over soon enough for the platform to notice
)
LONG = "simulate: words=4000 pace=0.02"
STALL = f"simulate: stall seconds={PAUSE} after=3\nsimulate: words=400"
SLOW = f"simulate: slow seconds={PAUSE}\nsimulate: words=400"


class Leaving:
    """What platforms and access log notice of callers who hang up, from now on."""

    def __init__(self, pairs: list[Pair]) -> None:
        self._stack = pairs[0].stack
        self._seen = len(self._stack.log)
        self._before = self._hangups()

    def noticed(self, callers: int, seconds: float) -> dict[str, int]:
        """How many readers each platform missed: what is known in the end, or when the time is
        up.
        """
        wanted = dict.fromkeys(EVERY, callers)
        until(lambda: self._missed() == wanted, seconds)
        return self._missed()

    def lines(self, number: int) -> list[Json]:
        until(lambda: len(self._stack.log) >= self._seen + number)
        return self._stack.log[self._seen :]

    def _missed(self) -> dict[str, int]:
        return {name: now - self._before[name] for name, now in self._hangups().items()}

    def _hangups(self) -> dict[str, int]:
        return {name: self._stack.simulators.hangups(name) for name in EVERY}


@pytest.mark.feature("hang-up")
def test_hanging_up_while_words_flow_ends_the_call_to_the_platform(pair: Pair) -> None:
    """C-110, K-080, R-025, M-04."""
    before, seen = pair.simulators.hangups(pair.platform), len(pair.stack.log)
    line = Line(pair, LONG)
    line.wait_for(b"word3")
    line.hang_up()

    assert until(lambda: pair.simulators.hangups(pair.platform) == before + 1, SOON)
    assert until(lambda: len(pair.stack.log) > seen)
    told = pair.stack.log[-1]
    assert (told["outcome"], told["status"]) == ("caller_gone", 200)


def test_hanging_up_while_the_platform_is_silent_ends_the_call_to_it(pairs: list[Pair]) -> None:
    """R-026, M-05: noticed without a word from either side; the platform is let go before it speaks
    again.
    """
    leaving = Leaving(pairs)
    lines = [Line(pair, STALL) for pair in pairs]
    for line in lines:
        line.wait_for(b"word1")
    for line in lines:
        line.hang_up()

    assert leaving.noticed(len(CALLERS), SOON) == dict.fromkeys(EVERY, len(CALLERS))
    told = leaving.lines(len(pairs))
    assert {line["outcome"] for line in told} == {"caller_gone"}
    assert [line for line in told if line["total_ms"] >= 1000 * PAUSE] == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_hanging_up_before_the_first_byte_ends_the_call_to_the_platform(
    pairs: list[Pair], stream: bool
) -> None:
    """R-026, R-027."""
    leaving = Leaving(pairs)
    lines = [Line(pair, SLOW, stream=stream) for pair in pairs]
    simulators = pairs[0].simulators
    assert until(lambda: all(len(simulators.journal(name)) == len(CALLERS) for name in EVERY))
    for line in lines:
        line.hang_up()

    assert leaving.noticed(len(CALLERS), SOON) == dict.fromkeys(EVERY, len(CALLERS))
    told = leaving.lines(len(pairs))
    assert {line["outcome"] for line in told} == {"caller_gone"}
    assert [line for line in told if line["total_ms"] >= 1000 * PAUSE] == []


def test_a_caller_who_only_stops_sending_still_gets_the_stream(pairs: list[Pair]) -> None:
    """R-028."""

    def call(pair: Pair) -> bool:
        line = Line(pair, "simulate: stall seconds=0.5 after=1\nsimulate: words=9")
        line.wait_for(b"\r\n\r\n")
        line.half_close()
        line.wait_for(b"word9")
        return True

    assert side_by_side(pairs, call) == all_of(pairs, True)


@pytest.fixture
def brisk(pairs: list[Pair], gateway: Callable[..., Stack]) -> list[Pair]:
    """With little patience: heartbeats at once, and answers begun before the platform has
    answered.
    """
    stack = gateway(TOKENS_HEARTBEAT_SECONDS="0.2", TOKENS_GRACE_SECONDS="0.1")
    return [pair.on(stack) for pair in pairs]


def _beats(content: bytes) -> list[bytes]:
    """Signs of life: comments, the dialect's own events for it, or blank lines where there is
    neither.
    """
    own = (b":", b"event: ping", b"event: response.in_progress")
    named = [line for line in content.splitlines() if line.startswith(own)]
    return named or re.findall(rb"(?<=\n\n)\n\n", content.replace(b"\r", b""))


def test_silence_is_bridged_by_signs_of_life(brisk: list[Pair]) -> None:
    """C-107, K-066: no comment begins with `ping`, which one client takes for the end."""

    def call(pair: Pair) -> tuple[bool, bool, bool]:
        heard = pair.call(STALL, stream=True)
        beats = _beats(heard.content)
        fatal = [beat for beat in beats if beat.startswith((b": ping", b":ping"))]
        return len(beats) >= 2, not fatal, pair.caller.is_whole(heard)

    assert side_by_side(brisk, call) == all_of(brisk, (True, True, True))


def test_a_stream_is_begun_before_the_platform_has_answered(brisk: list[Pair]) -> None:
    """C-106, K-062: the header timeout of a client does not run while a model thinks."""

    def call(pair: Pair) -> tuple[int, bool, bool]:
        began = time.monotonic()
        with pair.caller.send(pair.base, pair.ask(SLOW, stream=True), pair.stack.licence) as answer:
            waited = time.monotonic() - began
            heard = hear(answer)
        return heard.status, waited < PAUSE, pair.caller.is_whole(heard)

    assert side_by_side(brisk, call) == all_of(brisk, (200, True, True))


def test_a_failure_after_the_early_beginning_is_an_error_event(brisk: list[Pair]) -> None:
    """C-109: the status is gone by then, so the stream says it."""

    brisk = [pair for pair in brisk if pair.platform in DIRECT]

    def call(pair: Pair) -> tuple[int, bool, bool]:
        heard = pair.call("simulate: silence seconds=0.8", stream=True, query="retry_attempt=0")
        return heard.status, pair.caller.is_whole(heard), pair.caller.failure(heard) is not None

    assert side_by_side(brisk, call) == all_of(brisk, (200, False, True))


def test_a_connection_may_be_idle_for_longer_than_sending_may_take(
    gateway: Callable[..., Stack],
) -> None:
    stack = gateway(TOKENS_SEND_SECONDS="0.2")
    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {stack.licence}"
        used = []
        for pause in (0.0, 0.6):
            until(lambda: False, pause)
            path, body = CALLERS[0].ask(MODELS["chatgpt"].plain, "hello")
            answer = session.post(stack.url("chatgpt") + path, json=body, stream=True, timeout=10)
            used.append(answer.raw.connection.sock.getsockname())
            assert answer.content

    assert used[0] == used[1] and "Traceback" not in stack.noise


def test_who_takes_nothing_more_is_let_go(gateway: Callable[..., Stack]) -> None:
    """R-034: it is the caller's affair, so nothing is said of it in the log of what went wrong."""
    stack = gateway(TOKENS_SEND_SECONDS="0.2")
    pair = Pair("chatgpt", CALLERS[0], stack)
    seen, left = len(stack.log), stack.simulators.hangups("chatgpt")
    line = Line(pair, "simulate: words=20000", room=4096)
    line.wait_for(b"word1")

    assert until(lambda: stack.simulators.hangups("chatgpt") == left + 1)
    assert until(lambda: len(stack.log) > seen)
    assert stack.log[-1]["outcome"] == "caller_gone" and "Traceback" not in stack.noise
    line.hang_up()
