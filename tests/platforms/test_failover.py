"""A platform that refuses, throttles or fails before it has said anything: another attempt, unseen
by the caller.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.models import DIRECT
from tests.platforms.conftest import ONCE, Pair
from tests.stack import KEY, Stack, key_settings

TEXT = "Hello over there"
SAY = f"simulate: say {TEXT}"


def _said(pair: Pair, *, stream: bool) -> str:
    heard = pair.call(SAY, stream=stream)
    assert (heard.status, heard.broken) == (200, False), heard.content
    return pair.caller.texts(heard) if stream else pair.caller.text(heard.json)


@pytest.mark.parametrize("fate", ["throttled", "revoked"])
def test_a_key_that_is_turned_away_gives_way_to_the_next(
    pair: Pair, stream: bool, fate: str, gateway: Callable[..., Stack]
) -> None:
    """C-125, C-126."""
    keys = key_settings(f"sim-{fate},sim-good")
    pair = pair.on(gateway(**keys, TOKENS_STICKY_SECONDS="0"))

    assert _said(pair, stream=stream) == TEXT
    assert len(pair.asked) == 2
    assert pair.stack.log[-1]["attempts"] == 2


@pytest.mark.parametrize(
    "kind, stream",
    [("html", False), ("cut", False), *((k, True) for k in ("fail", "empty", "cut", "error"))],
)
@pytest.mark.parametrize("platform", DIRECT)
def test_what_fails_before_the_first_word_is_tried_again(
    pair: Pair, stream: bool, kind: str
) -> None:
    """C-113, C-124, C-126, R-012, R-013, R-015: one answer, one beginning, as if nothing had
    happened.

    What passes untouched has begun with its first event, so there only what comes before that
    counts.
    """
    if stream and pair.is_raw and kind in ("cut", "error"):
        kind = "fail"
    pair.mishap(kind)
    heard = pair.call(SAY, stream=stream)

    assert (heard.status, heard.broken) == (200, False), heard.content
    assert (pair.caller.texts(heard) if stream else pair.caller.text(heard.json)) == TEXT
    assert len(pair.asked) == 2
    assert not stream or pair.caller.beginnings(heard) == 1


def test_retry_attempt_counts_the_repetitions(pair: Pair, stream: bool) -> None:
    """C-118, C-123."""
    pair.mishap("fail", times=2)
    heard = pair.call(SAY, stream=stream, query="retry_attempt=1")

    assert (heard.status, len(pair.asked)) == (502, 2)
    wanted = {"anthropic_messages": "api_error", "gemini_generate": "INTERNAL"}
    assert pair.caller.code(heard.json) == wanted.get(pair.caller.name, "upstream_error")


def test_throttling_is_told_with_the_time_to_wait_when_no_key_is_left(
    pair: Pair, stream: bool
) -> None:
    """C-184, K-087."""
    pair.mishap("throttle", seconds=3)
    heard = pair.call(SAY, stream=stream)
    wanted = {"anthropic_messages": "rate_limit_error", "gemini_generate": "RESOURCE_EXHAUSTED"}

    assert (heard.status, len(pair.asked)) == (429, 1)
    assert pair.caller.code(heard.json) == wanted.get(pair.caller.name, "rate_limit_exceeded")
    assert heard.headers["retry-after"] == "3"


@pytest.mark.parametrize("kind", ["refuse", "forbid"])
def test_trouble_with_our_own_key_is_told_in_neutral_words(
    pair: Pair, stream: bool, kind: str
) -> None:
    """K-093: never in words that make a relay take the whole channel out of service."""
    pair.mishap(kind)
    heard = pair.call(SAY, stream=stream)
    words = heard.content.decode().lower()

    assert (heard.status, len(pair.asked)) == (503, 1)
    assert not [word for word in ("invalid_api_key", "permission", "balance", KEY) if word in words]


def test_a_fault_in_the_request_is_not_tried_again(pair: Pair, stream: bool) -> None:
    """C-126, C-185: the platform's status comes through."""
    asked = pair.caller.ask("no-such-model", "hello", stream=stream)
    heard = pair.caller.call(pair.base, asked, pair.stack.licence)

    assert (heard.status, len(pair.asked)) == (404, 1)


@pytest.mark.parametrize("kind", ["fail", "overload", "html", "empty"])
@pytest.mark.parametrize("platform", DIRECT)
def test_an_error_before_the_stream_keeps_its_status(pair: Pair, kind: str) -> None:
    """C-108, R-012."""
    pair.mishap(kind)
    heard = pair.call(SAY, stream=True, query=ONCE)

    assert (heard.status, heard.headers["content-type"]) == (502, "application/json")
    assert pair.caller.message(heard.json)


def test_an_error_in_a_stream_without_words_is_told_as_what_it_was(pair: Pair) -> None:
    """R-012: the platform did not answer with the status that its error speaks of."""
    heard = pair.call(f"simulate: error\n{SAY}", stream=True, query=ONCE)
    told = pair.caller.failure(heard) if heard.status == 200 else heard.json

    assert told is not None
    assert "answered with status" not in pair.caller.message(told)


@pytest.mark.parametrize("mishap", ["error", "garble", "cut"])
@pytest.mark.parametrize("platform", DIRECT)
def test_what_fails_each_time_before_the_first_word_is_told_as_what_it_was(
    pair: Pair, mishap: str
) -> None:
    """C-124, R-012: the last failure is the reason, not that the attempts are used up; and nothing
    was said.
    """
    if pair.is_raw:
        return  # the first event that passes untouched has begun the answer
    heard = pair.call(f"simulate: {mishap}\n{SAY}", stream=True, query="retry_attempt=1")
    line = pair.stack.line(heard.headers["x-request-id"])

    assert len(pair.asked) == line["attempts"] == 2
    assert line["outcome"].startswith("upstream_")
    told = pair.caller.failure(heard) if heard.status == 200 else heard.json
    assert told is not None
    assert b"no_available_key" not in heard.content and b"overloaded_error" not in heard.content
    assert not line.get("tokens_out")
