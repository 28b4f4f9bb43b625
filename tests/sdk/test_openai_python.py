"""The official OpenAI SDK for Python, Chat Completions, on every platform."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx2
import openai
import pytest

from tests.sdk import scenes
from tests.sdk.conftest import Door, direct
from tests.sdk.scenes import Json

ONCE: Any = {"extra_query": {"retry_attempt": "0"}}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": schema}}
    for name, schema in scenes.TOOLS.items()
]
BROKEN = (openai.APIError, httpx2.RemoteProtocolError)


@pytest.fixture
def client(door: Door) -> openai.OpenAI:
    return opened(door.url, door.licence)


@cache
def opened(url: str, licence: str) -> openai.OpenAI:
    """A client; making one takes longer than most calls."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=licence, max_retries=0, timeout=20)


def said(text: str) -> Any:
    return [{"role": "user", "content": text}]


def thinking(door: Door, thinks: bool) -> Json:
    """The model to ask, and what makes it think."""
    if not thinks:
        return {"model": door.models.plain}
    return {"model": door.models.thinking, "reasoning_effort": "high"}


@pytest.mark.feature("text, usage")
def test_text_comes_with_usage(client: openai.OpenAI, door: Door) -> None:
    """C-087 to C-093."""
    reply = client.chat.completions.create(model=door.models.plain, messages=said(scenes.SAY))
    (choice,) = reply.choices

    assert (choice.message.content, choice.finish_reason) == (scenes.SAID, "stop")
    assert (reply.model, choice.message.tool_calls) == (door.models.plain, None)
    assert reply.usage is not None and reply.usage.prompt_tokens > 0
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens


@pytest.mark.feature("stream")
def test_text_streams_without_a_chunk_that_has_no_choice(client: openai.OpenAI, door: Door) -> None:
    """C-104: read as the access document reads it."""
    stream = client.chat.completions.create(
        model=door.models.plain, messages=said(scenes.COUNT), stream=True
    )
    deltas = [chunk.choices[0].delta.content for chunk in stream]

    assert "".join(delta or "" for delta in deltas) == scenes.COUNTED
    assert deltas[0] is None and deltas[-1] is None and None not in deltas[1:-1]


@pytest.mark.feature("stream")
def test_usage_streams_where_it_is_asked_for(client: openai.OpenAI, door: Door) -> None:
    """C-105."""
    with client.chat.completions.stream(
        model=door.models.plain,
        messages=said(scenes.COUNT),
        stream_options={"include_usage": True},
    ) as stream:
        final = stream.get_final_completion()

    assert final.choices[0].message.content == scenes.COUNTED
    assert final.usage is not None and final.usage.completion_tokens == 9


@pytest.mark.feature("forced tool")
@direct
def test_a_tool_can_be_forced(client: openai.OpenAI, door: Door) -> None:
    """C-075, C-096."""
    reply = client.chat.completions.create(
        model=door.models.plain,
        messages=said("How is Lisbon?"),
        tools=TOOLS,
        tool_choice={"type": "function", "function": {"name": "weather"}},
    )
    choice = reply.choices[0]
    calls: Any = choice.message.tool_calls
    (call,) = calls

    assert call.type == "function" and call.id
    assert call.function.name == "weather"
    assert scenes.fits("weather", json.loads(call.function.arguments))
    assert choice.message.content is None
    assert choice.finish_reason in ("tool_calls", "stop")


@pytest.mark.feature("parallel tools and their results")
@direct
def test_two_tools_are_called_and_their_results_heard(
    client: openai.OpenAI, door: Door, thinks: bool
) -> None:
    """C-075: the answer goes back into the second turn just as it came, sealed thoughts
    included.
    """
    if thinks and door.name == "chatgpt":
        ask: Json = {"model": door.models.thinking, "reasoning_effort": "low"}
    else:
        ask = thinking(door, thinks)
    first = client.chat.completions.create(
        messages=said(scenes.BOTH_TOOLS), tools=TOOLS, **ask
    ).choices[0]
    calls: Any = first.message.tool_calls or ()

    assert first.finish_reason == "tool_calls"
    assert [call.function.name for call in calls] == ["weather", "clock"]
    assert all(scenes.fits(c.function.name, json.loads(c.function.arguments)) for c in calls)
    turns: Any = [
        *said(scenes.BOTH_TOOLS),
        first.message.model_dump(exclude_none=True),
        *(
            {"role": "tool", "tool_call_id": c.id, "content": scenes.RESULTS[c.function.name]}
            for c in calls
        ),
    ]
    second = client.chat.completions.create(messages=turns, tools=TOOLS, **ask)
    told = second.choices[0].message.content or ""
    assert scenes.SUNNY in told and scenes.NOON in told


@pytest.mark.feature("streamed tools")
@direct
def test_arguments_stream_in_pieces_that_add_up(client: openai.OpenAI, door: Door) -> None:
    """K-075, R-023."""
    stream = client.chat.completions.create(
        model=door.models.plain, messages=said(scenes.BOTH_TOOLS), tools=TOOLS, stream=True
    )
    calls: dict[int, Json] = {}
    finish = []
    for chunk in stream:
        choice = chunk.choices[0]
        finish += [choice.finish_reason] if choice.finish_reason else []
        for piece in choice.delta.tool_calls or ():
            function = piece.function
            assert function is not None
            if piece.index not in calls:
                assert piece.id and piece.type == "function" and function.name
                calls[piece.index] = {"id": piece.id, "name": function.name, "arguments": ""}
            else:
                assert piece.id is None and function.name is None
            calls[piece.index]["arguments"] += function.arguments or ""

    assert [call["name"] for _, call in sorted(calls.items())] == ["weather", "clock"]
    assert all(scenes.fits(c["name"], json.loads(c["arguments"])) for c in calls.values())
    assert len({call["id"] for call in calls.values()}) == 2 and finish == ["tool_calls"]


@pytest.mark.feature("structured output")
@direct
def test_an_answer_can_be_given_a_form(client: openai.OpenAI, door: Door) -> None:
    """C-079."""
    reply = client.chat.completions.parse(
        model=door.models.plain, messages=said("Lisbon?"), response_format=scenes.City
    )

    assert isinstance(reply.choices[0].message.parsed, scenes.City)


@pytest.mark.feature("image in base64")
@pytest.mark.feature("PDF")
@direct
def test_a_picture_and_a_document_arrive(client: openai.OpenAI, door: Door) -> None:
    """C-058 to C-061, C-083."""
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": scenes.PNG_URL}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": scenes.PDF_URL}},
    ]
    reply = client.chat.completions.create(
        model=door.models.plain, messages=[{"role": "user", "content": content}]
    )

    assert "image/png, application/pdf" in (reply.choices[0].message.content or "")


@pytest.mark.feature("reasoning")
@direct
def test_thoughts_are_told_apart_from_the_answer(client: openai.OpenAI, door: Door) -> None:
    """C-128, C-130."""
    ask = thinking(door, True)
    reply = client.chat.completions.create(messages=said(scenes.SAY), **ask)
    thought = getattr(reply.choices[0].message, "reasoning_content", None)

    assert reply.choices[0].message.content == scenes.SAID
    assert bool(thought) == door.models.shows_thoughts
    details = reply.usage and reply.usage.completion_tokens_details
    assert details and details.reasoning_tokens

    streamed, answer = "", ""
    for chunk in client.chat.completions.create(messages=said(scenes.SAY), stream=True, **ask):
        delta = chunk.choices[0].delta
        piece = getattr(delta, "reasoning_content", None) or ""
        assert not (piece and delta.content)
        streamed, answer = streamed + piece, answer + (delta.content or "")
    assert (streamed, answer) == (thought or "", scenes.SAID)


def test_thoughts_can_come_inline_or_not_at_all(client: openai.OpenAI, door: Door) -> None:
    """C-127, C-129."""
    ask = {**thinking(door, True), "messages": said(scenes.SAY)}
    inline = client.chat.completions.create(
        **ask, extra_query={"return_reasoning_content": "false"}
    )
    none = client.chat.completions.create(**ask, extra_body={"close_reasoning_content": True})
    text = inline.choices[0].message.content or ""

    assert text.endswith(scenes.SAID)
    assert text.startswith("<think>") == ("</think>" in text) == door.models.shows_thoughts
    assert none.choices[0].message.content == scenes.SAID
    assert "reasoning_content" not in none.choices[0].message.model_dump()


@pytest.mark.feature("error: wrong licence")
def test_a_wrong_licence_is_an_authentication_error(door: Door) -> None:
    """C-038, C-183."""
    client = opened(door.url, "wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model=door.models.plain, messages=said("hello"))

    assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")
    assert caught.value.request_id


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"messages": []}, "messages"),
        ({"temperature": "warm"}, "temperature"),
        ({"tools": 3}, "tools"),
    ],
)
@pytest.mark.feature("error: wrong field")
def test_a_wrong_field_is_a_bad_request(
    client: openai.OpenAI, door: Door, wrong: Any, field: str
) -> None:
    """C-052, C-182."""
    ask = {"model": door.models.plain, "messages": said("hello"), **wrong}
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**ask)

    assert (caught.value.status_code, caught.value.type) == (400, "invalid_request_error")
    assert field in caught.value.message


@pytest.mark.feature("error: unknown model")
def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    """K-089."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="no-such-model", messages=said("hello"))

    assert (caught.value.status_code, caught.value.code) == (404, "model_not_found")
    assert "no-such-model" in caught.value.message


@pytest.mark.feature("error: throttled")
def test_throttling_is_a_rate_limit_error(client: openai.OpenAI, door: Door) -> None:
    """C-184."""
    door.mishap("throttle", seconds=7)
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=door.models.plain, messages=said("hello"))

    assert caught.value.status_code == 429


@pytest.mark.parametrize("kind", ["fail", "overload", "html"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.feature("error: outage")
def test_an_outage_is_an_internal_server_error(
    client: openai.OpenAI, door: Door, kind: str, stream: bool
) -> None:
    """C-108, C-185."""
    door.mishap(kind)
    ask: Any = {"model": door.models.plain, "messages": said("hello"), "stream": stream}
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(**ask, **ONCE)

    assert caught.value.status_code == 502


@pytest.mark.parametrize("prompt", [scenes.CUT, scenes.TRUNCATED, scenes.ERROR])
@pytest.mark.feature("cut stream")
@direct
def test_a_stream_that_breaks_off_raises(client: openai.OpenAI, door: Door, prompt: str) -> None:
    """C-109, R-001, K-077: some words came, then an exception, never an end."""
    chunks: list[Any] = []
    with pytest.raises(BROKEN):
        for chunk in client.chat.completions.create(
            model=door.models.plain, messages=said(prompt), stream=True
        ):
            chunks.append(chunk.choices[0])

    assert scenes.COUNTED.startswith("".join(one.delta.content or "" for one in chunks))
    assert {one.finish_reason for one in chunks} == {None} and len(chunks) > 1


def test_the_sdk_lists_the_models(client: openai.OpenAI, door: Door) -> None:
    """C-013, K-027, K-032, K-033."""
    listed = client.models.list().data
    ids = [model.id for model in listed]

    assert ids == sorted(set(ids)) and ids
    assert {(model.object, type(model.created)) for model in listed} == {("model", int)}
    assert client.models.retrieve(ids[0]) == listed[0]
