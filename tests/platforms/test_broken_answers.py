"""Answers that go wrong after they have begun: never shown as whole, never begun a second time."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.models import DIRECT
from tests.platforms.callers import CALLERS, Heard
from tests.platforms.conftest import ONCE, Pair, all_of, side_by_side
from tests.stack import Stack

WORDS = 12
ALL = " ".join(f"word{number}" for number in range(1, WORDS + 1))


def _prompt(mishap: str) -> str:
    return f"simulate: {mishap}\nsimulate: words={WORDS}"


def _told_to_have_failed(pair: Pair, heard: Heard) -> bool:
    return not pair.caller.is_whole(heard) and pair.caller.failure(heard) is not None


@pytest.mark.parametrize("mishap", ["cut after=3", "truncate after=3", "truncate"])
@pytest.mark.parametrize("platform", DIRECT)
def test_a_truncated_stream_is_never_shown_as_whole(pair: Pair, mishap: str) -> None:
    """R-001, M-02, K-077: an error event, no end marker, and a transfer that breaks off."""
    heard = pair.call(_prompt(mishap), stream=True)
    line = pair.stack.line(heard.headers["x-request-id"])

    assert heard.status == 200
    assert ALL.startswith(pair.caller.texts(heard)) and pair.caller.texts(heard)
    assert heard.broken and _told_to_have_failed(pair, heard)
    assert b"[DONE]" not in heard.content
    assert (line["outcome"], len(pair.asked)) == ("upstream_truncated", 1)


@pytest.mark.parametrize("mishap", ["cut after=3", "truncate after=3", "truncate"])
@pytest.mark.parametrize("platform", DIRECT)
def test_a_truncated_array_ends_with_an_error_and_its_bracket(
    platform: str, stack: Stack, mishap: str
) -> None:
    """C-109, C-226: what the caller got is JSON, and says what happened."""
    generate = Pair(platform, CALLERS[-1], stack)
    path, body = generate.ask(_prompt(mishap), stream=True)
    asked = (path.removesuffix("?alt=sse"), body)
    heard = generate.caller.call(generate.base, asked, stack.licence)
    *chunks, last = json.loads(heard.content)
    texts = [part["text"] for each in chunks for part in each["candidates"][0]["content"]["parts"]]

    assert heard.status == 200 and heard.broken
    assert ALL.startswith("".join(texts)) and texts
    assert last["error"]["message"] and last["error"]["code"] == 502


@pytest.mark.parametrize("mishap", ["cut", "truncate", "garble"])
@pytest.mark.parametrize("platform", DIRECT)
def test_a_truncated_answer_is_an_error(pair: Pair, mishap: str) -> None:
    heard = pair.call(_prompt(mishap), query=ONCE)

    assert (heard.status, len(pair.asked)) == (502, 1)
    assert pair.caller.message(heard.json)
    assert pair.stack.line(heard.headers["x-request-id"])["outcome"].startswith("upstream_")


@pytest.mark.parametrize("pace", ["", " pace=0.05"], ids=["burst", "paced"])
def test_an_error_in_the_middle_becomes_an_error_event_of_the_callers_dialect(
    pair: Pair, pace: str
) -> None:
    """C-109, R-012, R-014: after the first word there is no second attempt."""
    heard = pair.call(_prompt("error after=2" + pace), stream=True, query=ONCE)

    if pair.is_raw and not pace and heard.status != 200:
        return  # words and error came in one read, of which nothing had gone by yet
    assert heard.status == 200
    assert ALL.startswith(pair.caller.texts(heard)) and pair.caller.texts(heard)
    assert _told_to_have_failed(pair, heard)
    assert len(pair.asked) == 1
    if pair.caller.name == "openai_chat":
        assert heard.content.endswith(b"data: [DONE]\n\n") and not heard.broken


def test_the_end_marker_after_an_error_can_be_switched_off(gateway: Callable[..., Stack]) -> None:
    """C-109."""
    stack = gateway(TOKENS_END_AFTER_ERROR="false")
    pair = Pair("claude_api", CALLERS[0], stack)
    heard = pair.call(_prompt("error after=2"), stream=True, query=ONCE)

    assert heard.status == 200 and _told_to_have_failed(pair, heard) and not heard.broken
    assert b"[DONE]" not in heard.content


def test_an_event_that_cannot_be_read_ends_a_translated_stream_and_passes_through_a_raw_one(
    pair: Pair,
) -> None:
    """R-011."""
    heard = pair.call(_prompt("garble after=2 pace=0.05"), stream=True)

    if pair.is_raw:
        garbage = [data for _, data in heard.events if data.startswith("{") and data[-1] != "}"]
        assert len(garbage) == 1
    else:
        assert ALL.startswith(pair.caller.texts(heard)) and pair.caller.texts(heard) != ALL
        assert _told_to_have_failed(pair, heard)
    assert len(pair.asked) == 1


@pytest.mark.parametrize("platform", DIRECT)
def test_an_empty_answer_is_an_error(pair: Pair, stream: bool) -> None:
    """C-113, K-078."""
    heard = pair.call("simulate: empty", stream=stream, query=ONCE)

    assert (heard.status, len(pair.asked)) == (502, 1)
    assert pair.caller.message(heard.json)
    assert pair.stack.line(heard.headers["x-request-id"])["outcome"] == "upstream_empty"


def test_an_answer_without_a_word_is_an_error_unless_it_comes_raw(pair: Pair, stream: bool) -> None:
    """C-113: complete in every respect, but nothing is said."""
    heard = pair.call("simulate: words=0", stream=stream, query=ONCE)
    whole = heard.status == 200 and (not stream or pair.caller.is_whole(heard))

    assert whole == pair.is_raw, heard.content


def test_a_stall_is_waited_for(pairs: list[Pair]) -> None:
    def call(pair: Pair) -> tuple[str, bool, bool]:
        heard = pair.call(_prompt("stall seconds=0.2 after=3"), stream=True)
        return pair.caller.texts(heard), heard.broken, pair.caller.is_whole(heard)

    assert side_by_side(pairs, call) == all_of(pairs, (ALL, False, True))
