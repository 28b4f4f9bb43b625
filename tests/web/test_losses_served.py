"""What a platform has no room for is told in the answer, or refused where the caller is strict."""

from __future__ import annotations

from typing import Any

import pytest

from tests.models import DIRECT
from tests.platforms.callers import CALLERS, NATIVE, Heard
from tests.platforms.conftest import Pair
from tests.stack import Stack

CHAT = NATIVE["openai_chat"]
LOST = {"seed": 7, "logit_bias": {"1": 1}, "temperature": 0.5}


def _ask(pair: Pair, *, query: str = "", stream: bool = False, **more: Any) -> Heard:
    pair.simulators.clear(pair.platform)
    path, body = pair.ask("simulate: say Hi", stream=stream)
    return pair.caller.call(pair.base, (path, body | more), pair.stack.licence, query=query)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_fields_without_room_are_listed(stack: Stack, stream: bool) -> None:
    pair = Pair("claude", CHAT, stack)
    heard = _ask(pair, stream=stream, **LOST)

    assert heard.status == 200, heard.content
    assert heard.headers["x-tokens-dropped"] == "logit_bias, seed"
    line = pair.stack.line(heard.headers["x-request-id"])
    assert line["dropped"] == ["logit_bias", "seed"]


@pytest.mark.parametrize("platform", DIRECT)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_a_plain_call_loses_nothing(platform: str, caller: Any, stack: Stack) -> None:
    for stream in (False, True):
        heard = _ask(Pair(platform, caller, stack), stream=stream, query="strict=true")

        assert heard.status == 200, heard.content
        assert "x-tokens-dropped" not in heard.headers


def test_a_licence_may_be_strict_whatever_its_calls_say(stack: Stack) -> None:
    licence = stack.tokens("licence", "add", "--strict").strip()
    pair = Pair("claude", CHAT, stack)
    path, body = pair.ask("simulate: say Hi")
    for more, status in (({}, 200), (LOST, 400), (LOST | {"strict": False}, 400)):
        heard = pair.caller.call(pair.base, (path, body | more), licence)
        assert heard.status == status, heard.content
    assert heard.json["error"]["code"] == "unsupported_fields"


@pytest.mark.parametrize("where", ["query", "body"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_strict_are_refused_before_the_platform_is_asked(
    stack: Stack, where: str, stream: bool
) -> None:
    pair = Pair("claude", CHAT, stack)
    strict = {"query": "strict=1"} if where == "query" else {"strict": True}
    heard = _ask(pair, stream=stream, **LOST, **strict)
    error = heard.json["error"]

    assert (heard.status, error["code"], pair.asked) == (400, "unsupported_fields", [])
    assert "logit_bias, seed" in error["message"] and error["param"] == "logit_bias"


def test_what_the_model_refuses_is_listed_where_nothing_is_translated(stack: Stack) -> None:
    """K-037: left out for the model's sake, which is a loss all the same."""
    pair = Pair("chatgpt", CHAT, stack)
    path, body = CHAT.ask("gpt-5.2", "hi", temperature=0.5, reasoning_effort="high")
    heard = CHAT.call(pair.base, (path, body), stack.licence)

    assert heard.status == 200, heard.content
    assert heard.headers["x-tokens-dropped"] == "temperature"


def test_a_name_that_fits_no_header_harms_nobody(stack: Stack) -> None:
    heard = _ask(Pair("gemini", CHAT, stack), **{"wörd\r\nset-cookie: a": 1})

    assert heard.status == 200
    assert heard.headers["x-tokens-dropped"] == "a field without a name"
    assert "set-cookie" not in heard.headers
