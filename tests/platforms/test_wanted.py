"""What a caller does not want told is not told, whichever platform answers in whatever dialect."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from app.platforms import PLATFORMS
from app.wire import openai_chat
from tests.models import DIRECT, MODELS
from tests.platforms.callers import NATIVE, Caller, Heard
from tests.platforms.conftest import Pair
from tests.stack import Json, Stack, compact

SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMES = ("get_weather", "get_time")


def chat_tools() -> Json:
    tools = [{"type": "function", "function": {"name": n, "parameters": SCHEMA}} for n in NAMES]
    return {"tools": tools, "parallel_tool_calls": False}


def responses_tools() -> Json:
    tools = [{"type": "function", "name": name, "parameters": SCHEMA} for name in NAMES]
    return {"tools": tools, "parallel_tool_calls": False}


def messages_tools() -> Json:
    tools = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    return {"tools": tools, "tool_choice": choice}


TOOLS: dict[str, Callable[[], Json]] = {  # two tools, one call at a time
    "openai_chat": chat_tools,
    "openai_responses": responses_tools,
    "anthropic_messages": messages_tools,
}


def calls(caller: Caller, heard: Heard) -> list[str]:
    """The names of the tools that are called, streamed or whole."""
    told = heard.data or [heard.json]
    match caller.name:
        case "openai_chat":
            said = [c.get("message") or c["delta"] for one in told for c in one["choices"][:1]]
            made = [call["function"] for one in said for call in one.get("tool_calls") or ()]
        case "openai_responses":
            made = (told[-1].get("response") or told[-1])["output"]
        case _:
            made = [one["content_block"] for one in told if "content_block" in one]
            made = made or told[0]["content"]
    return [one["name"] for one in made if one.get("name")]


@pytest.mark.parametrize("dialect", TOOLS)
@pytest.mark.parametrize("platform", DIRECT)
def test_one_call_at_a_time_is_one_call_on_every_platform(
    platform: str, dialect: str, stack: Stack, stream: bool
) -> None:
    """C-075: also where the platform has no such switch."""
    pair = Pair(platform, NATIVE[dialect], stack)
    text = "Tell me with get_weather and get_time about Oslo."
    asked = pair.ask(text, stream=stream, **TOOLS[dialect]())
    heard = pair.caller.call(pair.base, asked, stack.licence)

    assert heard.status == 200, heard.content
    assert calls(pair.caller, heard) == ["get_weather"]


# JSON.


@pytest.mark.parametrize("platform", DIRECT)
def test_a_json_object_is_what_comes_where_one_is_wanted(
    platform: str, stack: Stack, stream: bool
) -> None:
    """C-079: also where the platform can only be asked for one in words."""
    pair = Pair(platform, NATIVE["openai_chat"], stack)
    wanted = {"response_format": {"type": "json_object"}}
    asked = pair.ask("Give me some JSON.", stream=stream, **wanted)
    heard = pair.caller.call(pair.base, asked, stack.licence)

    assert heard.status == 200, heard.content
    said = pair.caller.texts(heard) if stream else pair.caller.text(heard.json)
    assert isinstance(json.loads(said), dict)


# Log probabilities.


def test_to_ask_for_log_probabilities_does_no_harm(
    platform: str, stack: Stack, stream: bool
) -> None:
    """C-078, K-037: whoever speaks Chat Completions gives them; the others are not asked, because
    some of their models would refuse.
    """
    pair = Pair(platform, NATIVE["openai_chat"], stack)
    stack.simulators.clear(platform)
    asked = pair.ask("simulate: say Hi", stream=stream, logprobs=True, top_logprobs=1)
    heard = pair.caller.call(pair.base, asked, stack.licence)
    gives = PLATFORMS[platform].chat.dialect is openai_chat

    assert heard.status == 200, heard.content
    assert (b'"logprob"' in heard.content) is gives
    assert (b"logprobs" in compact(pair.asked[0]["body"])) is gives


# Thoughts.

ASKED: dict[str, Json] = {  # how the native dialects ask for thoughts in words
    "openai_responses": {"reasoning": {"effort": "medium", "summary": "auto"}},
    "anthropic_messages": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    "gemini_generate": {
        "generationConfig": {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 2000}}
    },
}
THOUGHTFUL = sorted(name for name in MODELS if MODELS[name].shows_thoughts)


def thinks(heard: Heard) -> bool:
    """Whether anything of a thought is in the answer, sealed ones included."""
    marks = (b'"type":"thinking"', b'"type":"reasoning"', b"reasoning_summary", b'"thought":true')
    return any(mark in heard.content.replace(b": ", b":") for mark in marks)


@pytest.mark.parametrize("name", THOUGHTFUL)
@pytest.mark.parametrize("dialect", ASKED)
def test_thoughts_are_closed_off_in_native_dialects_too(
    name: str, dialect: str, stack: Stack, stream: bool
) -> None:
    """C-127; where bytes pass untouched, they stay (C-215, C-221)."""
    caller = NATIVE[dialect]
    pair = Pair(name, caller, stack)
    model = MODELS[name].thinking
    asked = caller.ask(model, "simulate: say Hi", stream=stream, **ASKED[dialect])
    told = caller.call(pair.base, asked, stack.licence)
    closed = caller.call(pair.base, asked, stack.licence, query="close_reasoning_content=true")

    assert (told.status, closed.status) == (200, 200), closed.content
    assert thinks(told)
    assert thinks(closed) is pair.is_raw
    assert (caller.texts(closed) if stream else caller.text(closed.json)) == "Hi"


@pytest.mark.parametrize("name", THOUGHTFUL)
def test_a_caller_who_never_asked_for_thinking_gets_no_thoughts(
    name: str, stack: Stack, stream: bool
) -> None:
    """Anthropic's clients expect them only where they switched thinking on."""
    pair = Pair(name, NATIVE["anthropic_messages"], stack)
    heard = pair.caller.call(
        pair.base,
        pair.caller.ask(MODELS[name].thinking, "simulate: say Hi", stream=stream),
        stack.licence,
    )

    assert heard.status == 200 and not thinks(heard)
    assert (pair.caller.texts(heard) if stream else pair.caller.text(heard.json)) == "Hi"


@pytest.mark.parametrize("config", [None, {}, {"includeThoughts": False}])
def test_googles_callers_hear_thoughts_only_if_they_ask(
    stack: Stack, stream: bool, config: Json | None
) -> None:
    """As at Google's own API: on a platform that tells thoughts unasked."""
    caller = NATIVE["gemini_generate"]
    pair = Pair("codex", caller, stack)
    more = {} if config is None else {"generationConfig": {"thinkingConfig": config}}
    asked = caller.ask("gpt-5.2", "simulate: say Hi", stream=stream, **more)
    heard = caller.call(pair.base, asked, stack.licence)

    assert heard.status == 200 and b'"thought"' not in heard.content
