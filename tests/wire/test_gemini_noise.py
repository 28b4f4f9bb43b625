"""Errors of generateContent, nonsense from either side, and what Google's own library makes of our
streams.
"""

from __future__ import annotations

from typing import Any

import httpx2
import orjson
import pytest
from google import genai
from google.genai import errors, types
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.blocks import InOrder
from app.canonical.events import Closed, Delta, Event, Finished, Opened, Started, Trouble, Usage
from app.canonical.model import ModelFacts
from app.canonical.parts import Opaque
from app.errors import BadReply, BadRequest, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.gemini_generate import (
    array_tap,
    read_array_stream,
    read_error,
    read_reply,
    read_request,
    read_stream,
    tap,
    write_error,
    write_reply,
    write_request,
    write_stream,
)
from tests.nonsense import nonsense

TELLING = Telling("id1", "m", 0)
RPC = "type.googleapis.com/google.rpc."


def details(*given: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": 429, "message": "m", "status": "S", "details": list(given)}}


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        ({"error": {"code": 404, "message": "gone", "status": "NOT_FOUND"}}, ("gone", "NOT_FOUND")),
        ([{"error": {"message": "gone", "status": "NOT_FOUND"}}], ("gone", "NOT_FOUND")),
        ({"error": "gone"}, ("gone", "")),
        ("gone", ("gone", "")),
        ({"error": {"message": 5, "status": None, "details": 5}}, ("", "")),
        ({"error": None}, ("", "")),
        ([], ("", "")),
        (None, ("", "")),
    ],
)
def test_an_error_is_read_whatever_its_shape(body: Any, trouble: tuple[str, str]) -> None:
    assert read_error(404, body) == Trouble(trouble[0], 404, type=trouble[1])


@pytest.mark.parametrize(
    ("detail", "known"),
    [
        ({"@type": f"{RPC}ErrorInfo", "reason": "API_KEY_INVALID"}, {"code": "API_KEY_INVALID"}),
        ({"@type": f"{RPC}RetryInfo", "retryDelay": "51.8s"}, {"retry_after": 51.8}),
        ({"@type": f"{RPC}RetryInfo", "retryDelay": "nans"}, {}),
        ({"@type": f"{RPC}RetryInfo", "retryDelay": 5}, {}),
        ({"violations": [{"quotaId": "RequestsPerDayPerProject"}]}, {"retry_after": 3600.0}),
        ({"fieldViolations": [{"field": "contents"}]}, {"param": "contents"}),
        ({"fieldViolations": [5, {"field": 5}], "violations": 5}, {}),
    ],
)
def test_the_details_of_an_error_say_what_to_do(detail: Any, known: dict[str, Any]) -> None:
    assert read_error(429, details(detail)) == Trouble("m", 429, type="S", **known)


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (0, "INTERNAL", 500),
        (400, "INVALID_ARGUMENT", 400),
        (401, "UNAUTHENTICATED", 401),
        (413, "INVALID_ARGUMENT", 413),
        (429, "RESOURCE_EXHAUSTED", 429),
        (502, "INTERNAL", 502),
        (503, "UNAVAILABLE", 503),
    ],
)
def test_an_error_has_googles_word_for_its_status(status: int, word: str, code: int) -> None:
    assert write_error(Trouble("m", status)) == {
        "error": {"code": code, "message": "m", "status": word}
    }


def test_what_is_known_of_an_error_comes_back_from_its_details() -> None:
    trouble = Trouble("m", 429, "slow_down", "RESOURCE_EXHAUSTED", "contents", 7.5)

    assert read_error(429, write_error(trouble)) == trouble


# ---------------------------------------------------------------- nonsense

NAMES = """text thought thoughtSignature functionCall function_response functionResponse inlineData
    fileData file_data mimeType data fileUri id name args response parts role executableCode code
    codeExecutionResult output toolCall language""".split()
JSON, LOOSE = nonsense(NAMES, leaves=5), nonsense(NAMES, leaves=20)
PART = st.dictionaries(st.sampled_from(NAMES), LOOSE, max_size=3)
CONTENT = st.fixed_dictionaries(
    {"parts": st.lists(PART | LOOSE, max_size=3) | LOOSE},
    optional={"role": st.sampled_from(["user", "model"]) | LOOSE},
)
CONFIG = st.dictionaries(
    st.sampled_from(
        """temperature topK stopSequences maxOutputTokens candidateCount responseMimeType
        responseSchema responseJsonSchema thinkingConfig thinkingLevel thinkingBudget logprobs
        functionCallingConfig mode allowedFunctionNames functionDeclarations name parameters
        googleSearch type properties items anyOf""".split()
    ),
    LOOSE | st.sampled_from(["ANY", "text/x.enum", "application/json", "LOW"]),
    max_size=4,
)
BODY = st.fixed_dictionaries(
    {"model": st.just("m") | JSON, "contents": st.lists(CONTENT, max_size=3) | LOOSE},
    optional={
        name: CONFIG | LOOSE | st.lists(CONFIG, max_size=2)
        for name in """generationConfig toolConfig tools systemInstruction system_instruction
            serviceTier safetySettings cachedContent""".split()
    },
)
CANDIDATE = st.fixed_dictionaries(
    {},
    optional={
        "content": CONTENT | LOOSE,
        "finishReason": st.just("STOP") | LOOSE,
        "index": st.just(0) | LOOSE,
        "groundingMetadata": st.fixed_dictionaries({"groundingChunks": LOOSE}) | LOOSE,
    },
)
CHUNK = st.fixed_dictionaries(
    {"candidates": st.lists(CANDIDATE, max_size=2) | LOOSE},
    optional={
        "usageMetadata": st.dictionaries(st.just("promptTokenCount"), JSON) | LOOSE,
        "promptFeedback": st.dictionaries(st.just("blockReason"), LOOSE) | LOOSE,
        "error": LOOSE,
    },
)


@settings(max_examples=200, deadline=None)
@given(BODY | LOOSE.filter(lambda one: isinstance(one, dict)))
def test_no_request_leads_to_a_crash(body: Any) -> None:
    try:
        write_request(read_request(body), ModelFacts())
    except BadRequest:
        return


def test_arguments_nested_beyond_all_reason_are_the_callers_mistake() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = {"a": deep}
    for part in (
        {"functionCall": {"name": "f", "args": deep}},
        {"functionResponse": {"name": "f", "response": deep}},
    ):
        with pytest.raises(BadRequest):
            read_request({"model": "m", "contents": [{"parts": [part]}]})


@settings(max_examples=200, deadline=None)
@given(CHUNK)
def test_no_answer_leads_to_a_crash(body: dict[str, Any]) -> None:
    try:
        reply = read_reply(body)
    except BadReply:
        return
    orjson.dumps(write_reply(reply, TELLING))


@settings(max_examples=200, deadline=None)
@given(st.lists(CHUNK | LOOSE, max_size=3))
def test_no_stream_leads_to_a_crash(chunks: list[Any]) -> None:
    data = b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in chunks)
    reader, order, events = read_stream(), InOrder(), list[Event]()
    tap().feed(data)
    try:
        events = order.check(reader.feed(data))
        events += order.check(reader.finish())
    except (BadReply, BrokenTransfer):
        pass
    write_stream(TELLING).write(events)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\a1 ', max_size=60).map(str.encode))
def test_no_bytes_lead_to_a_crash(data: bytes) -> None:
    for reader in (read_stream(), read_array_stream()):
        try:
            reader.feed(data)
            reader.finish()
        except (BadReply, BrokenTransfer):
            pass
    array_tap().feed(data)
    tap().feed(b"data: " + data + b"\n\n")


# ---------------------------------------------------------------- Google's own library

EVENTS: list[Event] = [
    Started("", ""),
    Opened(0, "thinking", opaque=None),
    Delta(0, "Plan"),
    Closed(0),
    Opened(1, "text"),
    Delta(1, "Hello"),
    Closed(1),
    Opened(2, "tool_call", "a", "f", Opaque("anthropic_messages", {"signature": "sig"})),
    Delta(2, '{"x":1}'),
    Closed(2),
    Usage(5, 7, reasoning=3),
    Finished("tool_calls"),
]


def client(data: bytes) -> genai.Client:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=data, headers={"content-type": "text/event-stream"})

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    options = types.HttpOptions(base_url="http://127.0.0.1", httpx_client=transport)
    return genai.Client(api_key="key", http_options=options)


def test_googles_library_reads_our_streams_with_signs_of_life_in_them() -> None:
    writer = write_stream(TELLING)
    data = writer.open() + b"".join(writer.beat() + writer.write([event]) for event in EVENTS)
    chat = client(data).chats.create(model="m")
    chunks = list(chat.send_message_stream("hi"))
    parts = [part for one in chunks for part in one.candidates[0].content.parts]
    usage = chunks[-1].usage_metadata

    assert [part.text for part in parts] == ["Plan", "Hello", None, ""]
    assert [part.function_call.args for part in parts if part.function_call] == [{"x": 1}]
    assert (usage.prompt_token_count, usage.thoughts_token_count) == (5, 3)
    assert len(chat.get_history(curated=True)) == 1 + len(chunks)


def test_googles_library_raises_what_we_say_in_the_middle() -> None:
    writer = write_stream(TELLING)
    data = writer.write(EVENTS[:3]) + writer.beat() + writer.fail(Trouble("busy", 503))

    with pytest.raises(errors.ServerError, match="busy"):
        list(client(data).models.generate_content_stream(model="m", contents="hi"))
