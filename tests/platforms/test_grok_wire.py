"""Grok's dialect by itself: what is written, and what is made of its answers, however they are cut."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.canonical.events import Delta, Failed, Finished, Usage
from app.canonical.model import ModelFacts
from app.errors import BadAttachment, RequestRefused, UpstreamError
from app.platforms import grok_search_wire, grok_wire
from app.wire import openai_chat
from app.wire.openai_chat_custom import INPUT
from tests.stack import Json

FACTS = ModelFacts(name="grok-4.3")
USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 1,
    "total_tokens": 241,
    "completion_tokens_details": {"reasoning_tokens": 228},
}


def written(*messages: Json, wire: Any = grok_wire, **more: Any) -> Json:
    body = {"model": "grok-4.3", "messages": list(messages), **more}
    found: Json = wire.write_request(openai_chat.read_request(body), FACTS)
    return found


def user(content: Any = "hi") -> Json:
    return {"role": "user", "content": content}


def test_messages_are_what_the_schema_knows() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}}
    told = written(
        {"role": "developer", "content": "Be brief."},
        user(""),
        {"role": "assistant", "content": None, "tool_calls": [call, custom]},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "tool", "tool_call_id": "d", "content": "done"},
        {"role": "assistant", "refusal": "No.", "content": None},
        user(),
    )["messages"]

    assert [one["role"] for one in told][:2] == ["system", "assistant"]  # nothing is dropped
    assert all(one["content"] or one["role"] == "assistant" for one in told)
    calls = next(one for one in told if one.get("tool_calls"))
    assert calls["content"] == ""
    assert calls["tool_calls"][1]["function"] == {"name": "g", "arguments": '{"input":"x"}'}
    assert {"role": "assistant", "content": "No."} in told


def test_sound_is_refused_by_name() -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}

    with pytest.raises(BadAttachment) as told:
        written(user([{"type": "text", "text": "hi"}, sound]))
    assert told.value.param == "messages[0].content"


@pytest.mark.parametrize("tools", [[{"type": "web_search"}], []])
def test_no_tools_are_no_list_of_tools(tools: list[Json]) -> None:
    body = written(user(), tools=tools, tool_choice="auto", parallel_tool_calls=False)

    assert not body.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_a_choice_among_tools_is_as_near_as_it_gets() -> None:
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    tools = [
        {"type": "function", "function": function},
        {"type": "custom", "custom": {"name": "g"}},
    ]
    some = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": some}}
    body = written(user(), tools=tools, tool_choice=allowed)

    assert body["tool_choice"] == "required"
    assert body["tools"][1]["function"]["parameters"] == INPUT


def test_searching_keeps_functions_and_leaves_out_what_is_not_supported() -> None:
    function = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = written(
        user(), wire=grok_search_wire, tools=[function], metadata={"a": "b"}, verbosity="low"
    )

    assert [tool["type"] for tool in body["tools"]] == ["web_search", "x_search", "function"]
    assert not body.keys() & {"metadata", "text", "truncation"}


def test_a_reply_counts_thoughts_and_keeps_links() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm."}
    body = {
        "choices": [{"message": message, "finish_reason": "end_turn"}],
        "usage": USAGE,
        "citations": ["https://example.com/a", 5],
    }
    reply = grok_wire.read_reply(body)

    assert reply.reason == "stop" and [one.url for one in reply.citations] == [
        "https://example.com/a"
    ]
    assert reply.usage == grok_wire.find_usage(body) == Usage(12, 229, reasoning=228)


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 12, "completion_tokens": 229, "total_tokens": 241},
        {**USAGE, "completion_tokens": 229},
        {**USAGE, "completion_tokens_details": None},
    ],
)
def test_a_count_that_needs_no_correction_has_none(usage: Json) -> None:
    found = grok_wire.find_usage({"usage": usage})

    assert found is not None and found.output == usage["completion_tokens"]


@pytest.mark.parametrize("cut", [1, 5, 1000])
def test_a_stream_is_read_wherever_it_is_cut(cut: int) -> None:
    chunks = [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "He"}}]},
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "llo"}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ]
    data = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in chunks)
    data += b"data: [DONE]\n\n"
    reader = grok_wire.read_stream()
    events = [e for at in range(0, len(data), cut) for e in reader.feed(data[at : at + cut])]

    assert "".join(e.text for e in events if isinstance(e, Delta)) == "Hello"
    assert Usage(12, 229, reasoning=228) in events
    assert events[-1] == Finished("stop") and reader.done


@pytest.mark.parametrize("cut", [7, 1000])
def test_an_error_in_place_of_a_stream_is_one(cut: int) -> None:
    data = json.dumps({"code": grok_wire.UNAVAILABLE, "error": "Later."}).encode()
    reader = grok_wire.read_stream()
    events = [e for at in range(0, len(data), cut) for e in reader.feed(data[at : at + cut])]

    (failed,) = events
    assert isinstance(failed, Failed) and (failed.trouble.status, failed.trouble.message) == (
        503,
        "Later.",
    )


@pytest.mark.parametrize(
    "code, kind", [(grok_wire.UNAVAILABLE, UpstreamError), ("invalid-argument", RequestRefused)]
)
def test_an_error_in_place_of_a_reply_is_one(code: str, kind: type[UpstreamError]) -> None:
    with pytest.raises(kind):
        grok_wire.read_reply({"code": code, "error": "words"})


@pytest.mark.parametrize(
    "status, words, meant, code",
    [
        (400, "Incorrect API key provided: xa***ed.", 400, "invalid_api_key"),
        (403, "Content violates usage guidelines.", 400, "content_policy_violation"),
        (403, "out of credits", 403, "some-code"),
        (422, "Failed to deserialize", 400, "some-code"),
        (503, "at capacity", 503, "some-code"),
    ],
)
def test_what_its_errors_mean(status: int, words: str, meant: int, code: str) -> None:
    trouble = grok_wire.read_error(status, {"code": "some-code", "error": words})

    assert (trouble.status, trouble.code, trouble.message) == (meant, code, words)
