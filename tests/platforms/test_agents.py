"""Cells of the matrix where a chat is an agent at work: what it cannot do is refused or left out, and
said.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.models import EVERY, MODELS
from tests.platforms.callers import CALLERS, Caller, Heard
from tests.platforms.conftest import Pair
from tests.platforms.test_features import LIMITS, WORDS
from tests.sdk.scenes import PDF, PNG, WEATHER
from tests.stack import Json, Stack

AGENTS = [name for name in EVERY if MODELS[name].agents]

TOOLS: dict[str, Json] = {
    "openai_chat": {
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}],
        "tool_choice": "required",
    },
    "openai_responses": {
        "tools": [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": True}],
        "tool_choice": "required",
    },
    "anthropic_messages": {
        "tools": [{"name": "weather", "input_schema": WEATHER}],
        "tool_choice": {"type": "any"},
    },
    "gemini_generate": {
        "tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": WEATHER}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    },
}
SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMS: dict[str, Json] = {
    "openai_chat": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}}
    },
    "openai_responses": {
        "text": {"format": {"type": "json_schema", "name": "c", "schema": SCHEMA}}
    },
    "anthropic_messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "gemini_generate": {
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
        }
    },
}


def _file(caller: Caller, kind: str, data: bytes) -> Json:
    """A question about a file, as the dialect asks it."""
    held = base64.b64encode(data).decode()
    url, is_image = f"data:{kind};base64,{held}", kind.startswith("image/")
    match caller.name:
        case "openai_chat":
            file = {"type": "file", "file": {"filename": "a.pdf", "file_data": url}}
            part = {"type": "image_url", "image_url": {"url": url}} if is_image else file
            return {"messages": [{"role": "user", "content": [part]}]}
        case "openai_responses":
            file = {"type": "input_file", "filename": "a.pdf", "file_data": url}
            part = {"type": "input_image", "image_url": url} if is_image else file
            return {"input": [{"role": "user", "content": [part]}]}
        case "anthropic_messages":
            source = {"type": "base64", "media_type": kind, "data": held}
            part = {"type": "image" if is_image else "document", "source": source}
            return {"messages": [{"role": "user", "content": [part]}]}
    parts = [{"inlineData": {"mimeType": kind, "data": held}}]
    return {"contents": [{"role": "user", "parts": parts}]}


@pytest.fixture(params=AGENTS)
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _ask(pair: Pair, text: str, more: Json, *, stream: bool = False) -> Heard:
    path, body = pair.ask(text, stream=stream)
    return pair.caller.call(pair.base, (path, body | more), pair.stack.licence)


@pytest.mark.feature("forced tool", "refused")
@pytest.mark.feature("parallel tools and their results", "refused")
@pytest.mark.feature("streamed tools", "refused")
def test_tools_of_the_callers_are_refused(pair: Pair, stream: bool) -> None:
    """C-028: by a code of its own, before an agent is set to work."""
    heard = _ask(pair, "How is Lisbon?", TOOLS[pair.caller.name], stream=stream)

    assert (heard.status, pair.asked) == (400, [])
    assert "cannot call tools" in pair.caller.message(heard.json)
    if pair.caller.name.startswith("openai"):
        assert pair.caller.code(heard.json) == "tools_not_supported"


@pytest.mark.feature("PDF", "refused")
def test_a_document_is_refused(pair: Pair) -> None:
    heard = _ask(pair, "", _file(pair.caller, "application/pdf", PDF))

    assert (heard.status, pair.asked) == (400, [])
    assert "no other files" in pair.caller.message(heard.json)


@pytest.mark.feature("image in base64")
def test_a_picture_arrives(pair: Pair) -> None:
    heard = _ask(pair, "", _file(pair.caller, "image/png", PNG))

    assert heard.status == 200, heard.content
    assert "image/png" in pair.caller.text(heard.json)


@pytest.mark.feature("limit on the answer")
def test_a_limit_is_left_out_and_said_to_be(pair: Pair) -> None:
    heard = _ask(pair, f"simulate: say {WORDS}", LIMITS[pair.caller.name])

    assert pair.caller.text(heard.json) == WORDS
    assert heard.headers["x-tokens-dropped"].startswith("max")


@pytest.mark.feature("structured output")
def test_a_form_is_asked_for_in_words_and_not_promised(pair: Pair) -> None:
    heard = _ask(pair, 'simulate: say {"city": "Oslo"}', FORMS[pair.caller.name])
    (order,) = pair.asked

    assert pair.caller.text(heard.json) == '{"city": "Oslo"}'
    assert heard.headers["x-tokens-dropped"]
    assert '"city"' in order["body"]["prompt"]["text"].partition("simulate:")[0]


@pytest.mark.feature("reasoning")
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
def test_thoughts_are_told_apart_from_the_answer(
    platform: str, caller: Caller, stack: Stack, stream: bool
) -> None:
    """C-128: where the model thinks; how hard is not for the caller to say."""
    asks: dict[str, Any] = {
        "anthropic_messages": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "gemini_generate": {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}},
    }
    path, body = caller.ask(MODELS[platform].thinking, "simulate: say Hi", stream=stream)
    asked = (path, body | asks.get(caller.name, {}))
    heard = caller.call(stack.url(platform), asked, stack.licence)

    assert (caller.texts(heard) if stream else caller.text(heard.json)) == "Hi"
    assert b"The caller has sent" in heard.content.replace(b'"delta":', b"") or (
        stream and b"caller" in heard.content
    )


@pytest.mark.feature("cut stream")
@pytest.mark.parametrize("mishap", ["cut after=3", "truncate after=3", "empty"])
def test_a_stream_that_breaks_off_is_taken_up_again(pair: Pair, mishap: str, stream: bool) -> None:
    """R-001: the agent works on, so nothing is lost and nothing is told twice."""
    heard = pair.call(f"simulate: {mishap}\nsimulate: words=9", stream=stream)
    text = pair.caller.texts(heard) if stream else pair.caller.text(heard.json)

    assert text == " ".join(f"word{number}" for number in range(1, 10))
    assert (heard.broken, len(pair.asked)) == (False, 1)
    assert not stream or pair.caller.is_whole(heard)
