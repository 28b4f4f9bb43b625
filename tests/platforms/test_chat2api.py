"""Chat2API mode: the caller brings the platform's token, and hears the platform's own words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from app.simulators.simulator import EDGE_PAGE
from tests.models import DIRECT, MODELS
from tests.platforms.callers import NATIVE, Heard, hear
from tests.platforms.conftest import Pair, all_of, side_by_side
from tests.stack import PATIENCE, Stack, compact

TOKEN = "brought-token-77c0"
IDS = re.compile(rb"req_\w+")


def _brought(pair: Pair, text: str, *, stream: bool, token: str = TOKEN, **more: str) -> Heard:
    headers = {"tokens-authorization": pair.stack.licence, "authorization": f"Bearer {token}"}
    return pair.call(text, stream=stream, headers=headers | more)


def _at_the_platform(pair: Pair, token: str) -> Heard:
    """What the platform itself answers to the request it got last, signed with this token."""
    entry = pair.asked[-1]
    base = pair.simulators.bases[pair.platform].removesuffix("/v1")
    url = base + entry["path"] + (f"?{entry['query']}" if entry["query"] else "")
    given = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
    names = {name for name in entry["headers"] if "........" in entry["headers"][name]}
    given |= {name: f"Bearer {token}" if name == "authorization" else token for name in names}
    body = compact(entry["body"])
    return hear(requests.post(url, data=body, headers=given, stream=True, timeout=PATIENCE))


def test_the_answer_is_told_in_the_callers_dialect(pair: Pair, stream: bool) -> None:
    """C-041, C-047, C-050."""
    heard = _brought(pair, "simulate: say Hello", stream=stream)

    assert heard.status == 200
    assert (pair.caller.texts(heard) if stream else pair.caller.text(heard.json)) == "Hello"
    assert len(pair.asked) == 1


@pytest.mark.parametrize("ending", ["revoked", "throttled", "broke"])
def test_a_refusal_comes_back_byte_for_byte_after_one_attempt(
    pair: Pair, stream: bool, ending: str
) -> None:
    """C-042, C-043, C-044: status, content type and body; only the platform's request ids differ,
    as they must.
    """
    token = f"{TOKEN}-{ending}"
    heard = _brought(pair, "hello", stream=stream, token=token)
    assert len(pair.asked) == 1
    real = _at_the_platform(pair, token)

    assert (heard.status, heard.headers["content-type"]) == (
        real.status,
        real.headers["content-type"],
    )
    assert IDS.sub(b"", heard.content) == IDS.sub(b"", real.content)
    assert real.status >= 400


def test_even_a_page_of_html_comes_back_byte_for_byte(pair: Pair, stream: bool) -> None:
    """C-044, R-013."""
    heard = _brought(pair, "simulate: html", stream=stream)

    assert (heard.status, heard.headers["content-type"]) == (502, "text/html")
    assert heard.content == EDGE_PAGE
    assert len(pair.asked) == 1


def test_a_failure_is_not_tried_again_whatever_the_call_asks_for(pair: Pair, stream: bool) -> None:
    """C-043."""
    headers = {"tokens-authorization": pair.stack.licence, "authorization": TOKEN}
    heard = pair.call("simulate: fail", stream=stream, headers=headers, query="retry_attempt=5")

    assert (heard.status, len(pair.asked)) == (500, 1)


def test_a_wrong_licence_is_our_401_before_anything_is_asked(pair: Pair, stream: bool) -> None:
    """C-045."""
    more = {"tokens-authorization": "Bearer wrong"}
    heard = _brought(pair, "hello", stream=stream, **more)

    assert (heard.status, pair.asked) == (401, [])
    assert heard.json["request_id"] == heard.headers["x-request-id"]


def test_a_missing_platform_token_is_401_and_says_so(pair: Pair) -> None:
    """C-046."""
    headers = {"tokens-authorization": pair.stack.licence, "authorization": ""}
    heard = pair.call("hello", headers=headers)

    assert (heard.status, pair.asked) == (401, [])
    assert "platform token" in pair.caller.message(heard.json)


@pytest.mark.parametrize("platform", DIRECT)
def test_a_broken_stream_is_not_shown_as_whole_here_either(pair: Pair) -> None:
    """R-001."""
    prompt = "simulate: cut after=2\nsimulate: words=9"
    heard = _brought(pair, prompt, stream=True)

    assert heard.broken and not pair.caller.is_whole(heard)
    assert len(pair.asked) == 1


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize("platform", DIRECT)
def test_an_error_in_the_stream_is_told_in_the_platforms_own_words(pair: Pair, after: int) -> None:
    """C-044, C-048: in the stream that the platform has begun, also where it is all there is."""
    prompt = f"simulate: error after={after}\nsimulate: words=9"
    heard = _brought(pair, prompt, stream=True)
    real = _at_the_platform(pair, TOKEN)
    assert (heard.status, real.status) == (200, 200)
    failure, own = pair.caller.failure(heard), pair.native.failure(real)

    assert failure is not None and own is not None
    assert pair.caller.message(failure) == pair.native.message(own)
    assert not pair.caller.is_whole(heard)


@pytest.mark.parametrize("after", [0, 2])
def test_one_event_holds_the_platforms_own_error_object_and_is_the_last(
    pair: Pair, after: int
) -> None:
    """C-048: one alone, with nothing behind it but what ends a stream. Google's clients take no other
    vendor's object for an error, so there it is one of the details. Where the platform has no object
    but mere words, those are told in the dialect's own way, and where nothing is changed on the way,
    the platform may say it twice.
    """
    heard = _brought(pair, f"simulate: error after={after}\nsimulate: words=9", stream=True)
    own = _own_error(pair)
    told = [one for one in heard.data if own in _objects(one)]
    marks = {"openai_chat": ["[DONE]"]}.get(pair.caller.name, [])

    assert heard.status == 200
    if pair.is_raw or isinstance(own, str):
        assert told and not pair.caller.is_whole(heard)
    else:
        assert heard.data[-1:] == told
    assert [data for _, data in heard.events if not data.startswith("{")] == marks


@pytest.fixture
def hasty(pairs: list[Pair], gateway: Callable[..., Stack]) -> list[Pair]:
    """In front of a gateway that soon has had enough of silence."""
    stack = gateway(TOKENS_SILENCE_SECONDS="1")
    return [pair.on(stack) for pair in pairs if pair.platform in DIRECT]


def test_a_platform_that_falls_silent_is_not_a_stream_that_ends_well(hasty: list[Pair]) -> None:
    """R-001: those are no words of the platform's, so they are ours."""

    def call(pair: Pair) -> tuple[bool, bool]:
        heard = _brought(pair, "simulate: stall after=2 seconds=9\nsimulate: words=9", stream=True)
        failure = pair.caller.failure(heard)
        told = failure is not None and "silent" in pair.caller.message(failure)
        return told, pair.caller.is_whole(heard)

    assert side_by_side(hasty, call) == all_of(hasty, (True, False))


def _own_error(pair: Pair) -> Any:
    """What the platform calls its error in a stream."""
    if MODELS[pair.platform].agents:
        return {"code": "internal_error", "message": "The agent stopped working."}
    real = _at_the_platform(pair, TOKEN)
    native = NATIVE["gemini_generate"] if ":stream" in pair.asked[-1]["path"] else pair.native
    found = native.failure(real)
    assert found is not None
    error = found["error"]
    return error if isinstance(error, dict) else str(error)


def _objects(value: Any) -> Iterator[Any]:
    """The value, and all that it holds."""
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _objects(one)
