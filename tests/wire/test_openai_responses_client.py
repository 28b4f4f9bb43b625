"""The vendor's own client reads what the Responses dialect writes."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import orjson
import pytest

from app.canonical.events import Delta, Event, Failed, Opened, Started, Trouble
from app.canonical.reply import unfold
from app.wire import openai_responses
from app.wire.dialect import Dialect, Telling
from app.wire.openai_responses import read_reply, write_reply, write_stream
from app.wire.sse import Frames

REASONING: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}],
    "encrypted_content": "gAAA",
}
MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [
        {
            "type": "output_text",
            "text": "Hello",
            "annotations": [
                {
                    "type": "url_citation",
                    "url": "https://x.test",
                    "title": "X",
                    "start_index": 0,
                    "end_index": 5,
                },
                {"type": "file_citation", "file_id": "file-1", "filename": "f", "index": 1},
            ],
            "logprobs": [],
        },
        {"type": "refusal", "refusal": "But no"},
    ],
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "wx",
    "arguments": '{"city":"Oslo"}',
    "status": "completed",
}
CUSTOM: dict[str, Any] = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "call_2",
    "name": "g",
    "input": "go",
}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 14,
}


def answer(*output: Any, **more: Any) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1.5, "model": "gpt-6-sol-2026"}
    return {**head, "status": "completed", "output": list(output), "usage": USAGE, **more}


def stream(*told: dict[str, Any]) -> bytes:
    events = [{"type": "response.created", "response": answer(status="in_progress")}, *told]
    return b"".join(
        b"event: "
        + one["type"].encode()
        + b"\ndata: "
        + orjson.dumps(one | {"sequence_number": i})
        + b"\n\n"
        for i, one in enumerate(events)
    )


def more(kind: str, at: int, delta: str, **place: int) -> dict[str, Any]:
    return {
        "type": f"response.{kind}.delta",
        "output_index": at,
        "item_id": "x",
        "delta": delta,
        **place,
    }


def _client(wire: bytes, content_type: str) -> openai.OpenAI:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=wire, headers={"content-type": content_type})

    transport = httpx2.MockTransport(handle)
    return openai.OpenAI(
        api_key="x",
        base_url="http://127.0.0.1/v1",
        http_client=httpx2.Client(transport=transport),
        max_retries=0,
        _strict_response_validation=True,
    )


def _told(*events: Event) -> bytes:
    writer = write_stream(Telling("abc", "gpt-6-sol", 1))
    return writer.open() + writer.write(list(events)) + writer.beat()


def test_the_vendors_client_follows_a_stream() -> None:
    """Its helper checks order, indexes and ids; K 2.12: strict about `cache_write_tokens`."""
    reply = read_reply(answer(REASONING, MESSAGE, CALL, CUSTOM))
    client = _client(_told(*unfold(reply)), "text/event-stream")

    with client.responses.stream(model="gpt-6-sol", input="x") as events:
        final = events.get_final_response()

    assert [item.type for item in final.output] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
    ]
    assert final.output_text == "Hello"
    assert final.usage is not None and final.usage.input_tokens_details.cache_write_tokens == 2


def test_the_vendors_client_reads_a_whole_answer() -> None:
    reply = read_reply(answer(REASONING, MESSAGE, CALL, CUSTOM))
    body = orjson.dumps(write_reply(reply, Telling("abc", "gpt-6-sol", 1)))

    response = _client(body, "application/json").responses.create(model="gpt-6-sol", input="x")

    assert (response.id, response.output_text, response.status) == (
        "resp_abc",
        "Hello",
        "completed",
    )


ASKED: dict[str, Any] = {
    "instructions": "Be brief.",
    "max_output_tokens": 99,
    "metadata": {"a": "b"},
    "parallel_tool_calls": False,
    "previous_response_id": None,
    "prompt_cache_key": "k",
    "reasoning": {"effort": "low"},
    "safety_identifier": "s",
    "temperature": 0.5,
    "text": {"format": {"type": "json_object"}},
    "tool_choice": {"type": "function", "name": "f"},
    "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}],
    "top_p": 0.9,
    "truncation": "auto",
    "user": "u",
    "input": "not repeated",
    "stream": True,
}


def test_an_answer_repeats_its_request_as_the_vendors_does() -> None:
    """C-220: in the first events of a stream, in its last, and in a whole answer."""
    told = ASKED | {
        "max_tool_calls": None,
        "reasoning": {"effort": "low", "summary": None},
        "text": {"format": {"type": "json_object"}, "verbosity": "medium"},
        "top_logprobs": 0,
    }
    del told["input"], told["stream"]
    telling = Telling("abc", "gpt-6-sol", 1, asked=ASKED)
    reply = read_reply(answer(MESSAGE))
    writer = write_stream(telling)
    wire = writer.open() + writer.write(unfold(reply))
    frames = [orjson.loads(data) for _, data in Frames().feed(wire)]

    for response in (
        *(frames[i]["response"] for i in (0, 1, -1)),
        write_reply(reply, telling),
    ):
        assert {name: response[name] for name in told} == told
    client = _client(orjson.dumps(write_reply(reply, telling)), "application/json")
    assert client.responses.create(model="m", input="x").temperature == 0.5


def test_a_request_that_says_nothing_is_repeated_with_the_vendors_defaults() -> None:
    for asked in ({}, {"text": None, "tools": None}, {"text": "odd", "reasoning": 7}):
        response = write_stream(Telling("abc", "m", 1, asked=asked)).response
        assert (response["temperature"], response["top_p"], response["tools"]) == (1.0, 1.0, [])
        assert (response["metadata"], response["truncation"]) == ({}, "disabled")
        assert response["text"] == {"format": {"type": "text"}, "verbosity": "medium"}
        assert response["reasoning"] == {"effort": None, "summary": None}


def test_the_vendors_client_raises_on_an_error_in_a_stream() -> None:
    wire = _told(Started("x", "m"), Opened(0, "text"), Delta(0, "Hi"), Failed(Trouble("Oops", 500)))
    stream = _client(wire, "text/event-stream").responses.create(model="m", input="x", stream=True)

    with pytest.raises(openai.APIError, match="Oops"):
        list(stream)


def test_the_module_is_a_dialect() -> None:
    dialect: Dialect = openai_responses
    facts = (
        dialect.NAME,
        dialect.STOP_FIELD,
        dialect.MOST_STOPS,
        dialect.STREAM_END,
        dialect.INLINES,
    )

    assert facts == ("openai_responses", "", 0, b"", frozenset())
