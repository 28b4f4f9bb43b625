"""What every platform gives every dialect: text, streams, shapes, usage, and errors in the caller's
own words.
"""

from __future__ import annotations

import json
import re

import pytest

from app.platforms import PLATFORMS
from tests.models import EVERY, MODELS
from tests.platforms.callers import Chat, Generate, Heard, Messages, Responses
from tests.platforms.conftest import Pair
from tests.stack import Json, Stack

TEXT = "Grüße aus Köln: 世界 👋🏽, e\u0301té\u2028fin"
SAY = f"simulate: say {TEXT}"


def test_every_platform_has_models_to_be_tested_with() -> None:
    assert sorted(MODELS) == EVERY
    assert all(PLATFORMS[one].images for one in PLATFORMS.keys() - MODELS.keys())


# Text.


def test_text_arrives_whole_and_unharmed(pair: Pair, stream: bool) -> None:
    """C-028, C-112, R-004, R-006."""
    heard = pair.call(SAY, stream=stream)

    assert (heard.status, heard.broken) == (200, False)
    assert (pair.caller.texts(heard) if stream else pair.caller.text(heard.json)) == TEXT
    assert not stream or (pair.caller.is_whole(heard) and pair.caller.failure(heard) is None)


def test_one_call_asks_the_platform_once(pair: Pair, stream: bool) -> None:
    pair.call("hello", stream=stream)

    assert len(pair.asked) == 1


def test_usage_is_what_the_platform_counted(pair: Pair, stream: bool) -> None:
    """C-092, R-016: told to the caller, and written to the access log."""
    heard = pair.call(SAY, stream=stream)
    told = pair.caller.stream_usage(heard) if stream else pair.caller.usage(heard.json)
    line = pair.stack.line(heard.headers["x-request-id"])

    assert told == (line["tokens_in"], line["tokens_out"]) == pair.real_usage(stream=stream)
    assert "tokens_estimated" not in line


def test_the_access_line_says_what_happened(pair: Pair, stream: bool) -> None:
    """C-264."""
    heard = pair.call(SAY, stream=stream)
    line = pair.stack.line(heard.headers["x-request-id"])
    path, _ = pair.ask(SAY, stream=stream)
    wanted = {
        "method": "POST",
        "path": f"/{pair.platform}{path.partition('?')[0]}",
        "platform": pair.platform,
        "spoken": pair.caller.name,
        "model": pair.model,
        "stream": stream,
        "attempts": 1,
        "status": 200,
    }

    assert {name: line.get(name) for name in wanted} == wanted
    assert (line.get("outcome"), line["total_ms"] >= 0) == ("ok" if stream else None, True)


def test_long_streams_lose_nothing(pair: Pair) -> None:
    words = 800
    heard = pair.call(f"simulate: words={words}", stream=True)

    assert pair.caller.texts(heard) == " ".join(f"word{n}" for n in range(1, words + 1))


def test_streams_are_not_to_be_cached_or_buffered(pair: Pair) -> None:
    """C-098, K-061."""
    headers = pair.call("hello", stream=True).headers
    wanted = ("cache-control", "x-accel-buffering", "content-length", "content-encoding")
    kind = "text/event-stream"
    kind += "" if pair.caller.name == "gemini_generate" else "; charset=utf-8"

    assert headers["content-type"] == kind
    assert [headers.get(name) for name in wanted] == ["no-cache, no-transform", "no", None, None]


# Shapes.


@pytest.fixture
def chat(platform: str, stack: Stack) -> Pair:
    return Pair(platform, Chat(), stack)


@pytest.fixture
def responses(platform: str, stack: Stack) -> Pair:
    return Pair(platform, Responses(), stack)


@pytest.fixture
def messages(platform: str, stack: Stack) -> Pair:
    return Pair(platform, Messages(), stack)


@pytest.fixture
def generate(platform: str, stack: Stack) -> Pair:
    return Pair(platform, Generate(), stack)


def test_a_chat_completion_has_the_documented_shape(chat: Pair) -> None:
    """C-087 to C-094, C-097, K-053 to K-059."""
    heard = chat.call("simulate: say Hi there")
    reply = heard.json
    usage = reply["usage"]

    assert heard.headers["content-type"] == "application/json"
    assert re.fullmatch(r"foaicmpl-\w{8,}", reply["id"])
    assert (reply["object"], type(reply["created"])) == ("chat.completion", int)
    assert (reply["model"], "error" in reply) == (chat.model, False)
    (choice,) = reply["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert (choice["message"]["role"], choice["message"]["content"]) == ("assistant", "Hi there")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


def test_a_chat_stream_has_the_documented_shape(chat: Pair) -> None:
    """C-098 to C-105, K-061 to K-079."""
    heard = chat.call("simulate: say Hi there", stream=True)
    first, *middle, last, usage = chunks = heard.data

    assert heard.content.endswith(b"data: [DONE]\n\n") and heard.content.count(b"[DONE]") == 1
    assert {name for name, _ in heard.events} == {""}
    same = {(c["id"], c["created"], c["model"], c["object"]) for c in chunks}
    assert [one[2:] for one in same] == [(chat.model, "chat.completion.chunk")]
    assert re.fullmatch(r"foaicmpl-\w{8,}", first["id"])
    assert _choice(first) == (0, {"role": "assistant"}, None)
    assert [_choice(chunk) for chunk in middle] == [
        (0, {"content": piece}, None) for piece in ("Hi", " there")
    ]
    assert _choice(last) == (0, {}, "stop")
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] > 0


def test_a_chat_stream_without_the_wish_has_no_usage_and_no_chunk_without_a_choice(
    chat: Pair,
) -> None:
    """C-104, R-017: the examples of the access document index `choices[0]` without a look."""
    path, body = chat.ask("hello", stream=True)
    del body["stream_options"]
    heard = chat.caller.call(chat.base, (path, body), chat.stack.licence)
    line = chat.stack.line(heard.headers["x-request-id"])

    assert all(len(chunk["choices"]) == 1 for chunk in heard.data)
    assert not any(chunk.get("usage") for chunk in heard.data)
    assert line["tokens_out"] > 0 and "tokens_estimated" not in line


def _choice(chunk: Json) -> tuple[int, Json, str | None]:
    (choice,) = chunk["choices"]
    return choice["index"], choice["delta"], choice["finish_reason"]


def test_a_message_has_the_documented_shape(messages: Pair) -> None:
    """C-213."""
    reply = messages.call("simulate: say Hi there").json
    (block,) = reply["content"]

    assert reply["id"].startswith("msg_")
    assert {name: reply[name] for name in ("type", "role", "model", "stop_reason")} == {
        "type": "message",
        "role": "assistant",
        "model": messages.model,
        "stop_reason": "end_turn",
    }
    assert (block["type"], block["text"], reply["stop_sequence"]) == ("text", "Hi there", None)
    assert {type(reply["usage"][name]) for name in ("input_tokens", "output_tokens")} == {int}


def test_a_message_stream_has_the_documented_order(messages: Pair) -> None:
    """C-214."""
    heard = messages.call("simulate: say Hi there", stream=True)
    told = [(name, event) for name, event in zip(_names(heard), heard.data, strict=True)]
    kinds = [event["type"] for _, event in told if event["type"] != "ping"]

    assert all(name == event["type"] for name, event in told)
    assert kinds == [
        "message_start",
        "content_block_start",
        *["content_block_delta"] * kinds.count("content_block_delta"),
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert [event["delta"]["stop_reason"] for name, event in told if name == "message_delta"] == [
        "end_turn"
    ]


def test_a_response_has_the_documented_shape(responses: Pair) -> None:
    """C-220, K-113: on every platform."""
    reply = responses.call("simulate: say Hi there").json
    (item,) = reply["output"]
    (part,) = item["content"]

    assert reply["id"].startswith("resp_") and item["id"].startswith("msg_")
    assert (reply["object"], reply["status"]) == ("response", "completed")
    assert (reply["model"], reply.get("error")) == (responses.model, None)
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert (part["type"], part["text"]) == ("output_text", "Hi there")
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


def test_a_response_stream_has_the_documented_events(responses: Pair) -> None:
    """C-220: every event is named as its data says, and numbered without a gap."""
    heard = responses.call("simulate: say Hi there", stream=True)
    kinds = [event["type"] for event in heard.data]
    final = heard.data[-1]["response"]

    assert kinds == _names(heard)
    assert [event["sequence_number"] for event in heard.data] == list(range(len(kinds)))
    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert responses.caller.text(final) == "Hi there"
    assert (final["status"], final["model"]) == ("completed", responses.model)


def test_a_response_repeats_its_request(responses: Pair, stream: bool) -> None:
    """C-220."""
    more = {"instructions": "Be brief.", "max_output_tokens": 99, "metadata": {"a": "b"}}
    more |= {"parallel_tool_calls": False, "temperature": 0.5, "top_p": 0.75, "user": "u"}
    asked = responses.ask("simulate: say Hi there", stream=stream, **more)
    heard = responses.caller.call(responses.base, asked, responses.stack.licence)
    told = [each["response"] for each in heard.data if "response" in each] or [heard.json]

    assert len(told) == (3 if stream else 1)
    for response in told:
        assert {name: response[name] for name in more} == more
        assert (response["tools"], response["tool_choice"]) == ([], "auto")
        assert (response["truncation"], response["previous_response_id"]) == ("disabled", None)


def test_generated_content_has_the_documented_shape(generate: Pair) -> None:
    """C-224."""
    reply = generate.call("simulate: say Hi there").json
    (candidate,) = reply["candidates"]
    usage = reply["usageMetadata"]

    assert candidate["content"] == {"role": "model", "parts": [{"text": "Hi there"}]}
    assert (candidate["finishReason"], reply["modelVersion"]) == ("STOP", generate.model)
    assert reply["responseId"]
    assert usage["totalTokenCount"] == sum(generate.caller.usage(reply)) > 0


def test_generated_content_streams_as_events_and_as_an_array(generate: Pair) -> None:
    """C-226: the same chunks, framed as asked."""
    path, body = generate.ask("simulate: say Hi there", stream=True)
    events = generate.caller.call(generate.base, (path, body), generate.stack.licence)
    array = generate.caller.call(
        generate.base, (path.removesuffix("?alt=sse"), body), generate.stack.licence
    )
    chunks = json.loads(array.content)

    assert array.headers["content-type"].startswith("application/json")
    assert [_without_ids(chunk) for chunk in chunks] == [_without_ids(c) for c in events.data]
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    assert b"[DONE]" not in events.content


def _without_ids(chunk: Json) -> Json:
    return {
        name: value for name, value in chunk.items() if name not in ("responseId", "createTime")
    }


def _names(heard: Heard) -> list[str]:
    return [name for name, data in heard.events if data.startswith("{")]


# Errors before the answer begins.


def test_a_wrong_licence_is_401_in_the_callers_dialect(pair: Pair, stream: bool) -> None:
    """C-038, C-218; nothing is asked of the platform."""
    heard = pair.call("hello", stream=stream, licence="wrong-licence")
    wanted = {"anthropic_messages": "authentication_error", "gemini_generate": "UNAUTHENTICATED"}

    assert heard.status == 401
    assert pair.caller.code(heard.json) == wanted.get(pair.caller.name, "invalid_api_key")
    assert pair.asked == [] and "wrong-licence" not in heard.content.decode()


def test_an_unknown_model_is_404_in_the_callers_dialect(pair: Pair, stream: bool) -> None:
    """K-089."""
    asked = pair.caller.ask("no-such-model", "hello", stream=stream)
    heard = pair.caller.call(pair.base, asked, pair.stack.licence)
    wanted = {"anthropic_messages": "not_found_error", "gemini_generate": "NOT_FOUND"}

    assert heard.status == 404
    assert pair.caller.code(heard.json) == wanted.get(pair.caller.name, "model_not_found")
    assert "no-such-model" in pair.caller.message(heard.json)
    assert len(pair.asked) == 1


def test_a_body_that_is_not_json_is_400_in_the_callers_dialect(pair: Pair) -> None:
    """C-080, K-049."""
    path, _ = pair.ask("hello")
    heard = pair.caller.call(pair.base, (path, "not an object"), pair.stack.licence)  # type: ignore[arg-type]

    assert heard.status == 400
    assert "JSON" in pair.caller.message(heard.json)
    assert (heard.headers["x-should-retry"], pair.asked) == ("false", [])


def test_a_message_without_content_is_told_before_the_platform_is_asked(
    pair: Pair, stream: bool
) -> None:
    """C-052. On its own routes a platform is to judge for itself (C-215, C-221)."""
    path, body = pair.ask("hello", stream=stream)
    said = next(body[name] for name in ("messages", "contents", "input") if name in body)
    if isinstance(said, str):
        said = body["input"] = [{"role": "user", "content": said}]
    del said[0]["parts" if "contents" in body else "content"]
    heard = pair.caller.call(pair.base, (path, body), pair.stack.licence)
    place = {"openai_responses": "input[0].content", "gemini_generate": "contents[0].parts"}

    assert (heard.status, len(pair.asked)) == (400, int(pair.is_raw))
    if not pair.is_raw:
        assert place.get(pair.caller.name, "messages[0].content") in heard.content.decode()


def test_every_answer_has_a_request_id(pair: Pair, stream: bool) -> None:
    """C-188, K-091."""
    ids = {pair.call("hello", stream=stream).headers["x-request-id"] for _ in range(2)}
    refused = pair.call("hello", stream=stream, licence="wrong")

    assert len(ids) == 2
    assert refused.json["request_id"] == refused.headers["x-request-id"]
