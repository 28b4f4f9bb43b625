"""Callers who hang up, and platforms that take their time."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.platforms.callers import hear
from tests.platforms.conftest import Pair
from tests.stack import Json, Stack, compact, until

SOON = 2.0  # seconds in which a platform must be let go
LONG = "simulate: words=4000 pace=0.02"


class Line:
    """A caller's bare connection, which can be hung up at any moment."""

    def __init__(self, pair: Pair, text: str, *, stream: bool) -> None:
        path, body = pair.ask(text, stream=stream)
        parts = urlsplit(pair.base)
        assert parts.hostname and parts.port
        self._sock = socket.create_connection((parts.hostname, parts.port), timeout=10)
        raw = compact(body)
        head = (
            f"POST {parts.path}{path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"authorization: Bearer {pair.stack.licence}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(raw)}\r\n\r\n"
        )
        self._sock.sendall(head.encode() + raw)

    def wait_for(self, words: bytes) -> None:
        got = b""
        while words not in got:
            piece = self._sock.recv(65536)
            assert piece, got
            got += piece

    def half_close(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def read(self) -> tuple[int, bytes]:
        answer = http.client.HTTPResponse(self._sock)
        answer.begin()
        return answer.status, answer.read()

    def hang_up(self) -> None:
        self._sock.close()


def _until_asked(pair: Pair) -> None:
    assert until(lambda: pair.asked)


def _let_go(pair: Pair, before: int, lines: int) -> tuple[bool, Json]:
    """Whether the platform noticed in time that its reader left, and the access line of the call."""
    began = time.monotonic()
    noticed = until(lambda: pair.simulators.hangups(pair.platform) > before, 10)
    in_time = time.monotonic() - began < SOON
    until(lambda: len(pair.stack.log) > lines)
    return noticed and in_time, pair.stack.log[-1]


def test_hanging_up_while_words_flow_ends_the_call_to_the_platform(pair: Pair) -> None:
    """C-110, R-025, M-04."""
    before, lines = pair.simulators.hangups(pair.platform), len(pair.stack.log)
    line = Line(pair, LONG, stream=True)
    line.wait_for(b"word3")
    line.hang_up()
    in_time, told = _let_go(pair, before, lines)

    assert in_time
    assert (told["outcome"], told["status"]) == ("caller_gone", 200)


def test_hanging_up_while_the_platform_is_silent_ends_the_call_to_it(pair: Pair) -> None:
    """R-026, M-05: noticed without a word from either side; the platform is let go before it speaks again."""
    before, lines = pair.simulators.hangups(pair.platform), len(pair.stack.log)
    line = Line(pair, "simulate: stall seconds=1.7 after=3\nsimulate: words=400", stream=True)
    line.wait_for(b"word1")
    line.hang_up()
    in_time, told = _let_go(pair, before, lines)

    assert in_time
    assert told["outcome"] == "caller_gone" and told["total_ms"] < 1700


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_hanging_up_before_the_first_byte_ends_the_call_to_the_platform(
    pair: Pair, stream: bool
) -> None:
    """R-026, R-027."""
    before, lines = pair.simulators.hangups(pair.platform), len(pair.stack.log)
    line = Line(pair, "simulate: slow seconds=1.7\nsimulate: words=400", stream=stream)
    _until_asked(pair)
    line.hang_up()
    in_time, told = _let_go(pair, before, lines)

    assert in_time
    assert told["outcome"] == "caller_gone" and told["total_ms"] < 1700


def test_a_caller_who_only_stops_sending_still_gets_the_stream(pair: Pair) -> None:
    """R-028."""
    line = Line(pair, "simulate: stall seconds=0.5 after=1\nsimulate: words=9", stream=True)
    _until_asked(pair)
    line.half_close()
    status, content = line.read()

    assert status == 200 and b"word9" in content


@pytest.fixture
def brisk(pair: Pair, gateway: Callable[..., Stack]) -> Pair:
    """With little patience: heartbeats at once, and answers begun before the platform has answered."""
    return pair.on(gateway(TOKENS_HEARTBEAT_SECONDS="0.2", TOKENS_GRACE_SECONDS="0.1"))


def _beats(pair: Pair, content: bytes) -> list[bytes]:
    """Signs of life: comment lines, or the dialect's own event for it."""
    lines = content.splitlines()
    return [line for line in lines if line.startswith(b":") or line == b"event: ping"]


def test_silence_is_bridged_by_signs_of_life(brisk: Pair) -> None:
    """C-107, K-066: no comment begins with `ping`, which one client takes for the end."""
    heard = brisk.call("simulate: stall seconds=1.5 after=2\nsimulate: words=9", stream=True)
    beats = _beats(brisk, heard.content)

    assert len(beats) >= 2
    assert not [beat for beat in beats if beat.startswith((b": ping", b":ping"))]
    assert brisk.caller.texts(heard).endswith("word9") and brisk.caller.is_whole(heard)


def test_a_stream_is_begun_before_the_platform_has_answered(brisk: Pair) -> None:
    """C-106, K-062: the header timeout of a client does not run while a model thinks."""
    asked = brisk.ask("simulate: slow seconds=1.5\nsimulate: words=9", stream=True)
    began = time.monotonic()
    with brisk.caller.send(brisk.base, asked, brisk.stack.licence) as answer:
        headers_after = time.monotonic() - began
        heard = hear(answer)

    assert (heard.status, headers_after < 1.0) == (200, True)
    assert brisk.caller.texts(heard).endswith("word9") and brisk.caller.is_whole(heard)
    assert _beats(brisk, heard.content) or b'"role":"assistant"' in heard.content
