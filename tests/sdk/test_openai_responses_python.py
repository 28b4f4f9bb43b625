"""The official OpenAI SDK for Python, Responses, on every platform."""

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
    {"type": "function", "name": name, "parameters": schema, "strict": True}
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


def thinking(door: Door, thinks: bool) -> Json:
    """The model to ask, and what makes it think. Nothing is kept by the platform, so thoughts
    travel sealed.
    """
    if not thinks:
        return {"model": door.models.plain}
    effort = "low" if door.name == "chatgpt" else "high"
    return {
        "model": door.models.thinking,
        "reasoning": {"effort": effort, "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }


def calls_of(reply: Any) -> list[Any]:
    return [item for item in reply.output if item.type == "function_call"]


@pytest.mark.feature("text, usage")
def test_text_comes_with_usage(client: openai.OpenAI, door: Door) -> None:
    """C-219, C-220."""
    reply = client.responses.create(model=door.models.plain, input=scenes.SAY)

    assert (reply.output_text, reply.status, reply.error) == (scenes.SAID, "completed", None)
    assert reply.usage is not None and reply.usage.input_tokens > 0
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    assert reply.usage.input_tokens_details.cached_tokens == 0
    assert reply.usage.output_tokens_details.reasoning_tokens == 0


@pytest.mark.feature("stream")
def test_text_streams_into_the_whole_answer(client: openai.OpenAI, door: Door) -> None:
    """C-220."""
    with client.responses.stream(model=door.models.plain, input=scenes.COUNT) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()

    assert "".join(deltas) == scenes.COUNTED == final.output_text and len(deltas) > 1
    assert final.usage is not None and final.usage.output_tokens == 9


@pytest.mark.feature("forced tool")
@direct
def test_a_tool_can_be_forced(client: openai.OpenAI, door: Door) -> None:
    reply = client.responses.create(
        model=door.models.plain,
        input="How is Lisbon?",
        tools=TOOLS,
        tool_choice={"type": "function", "name": "weather"},
    )
    (call,) = calls_of(reply)

    assert (call.name, call.status) == ("weather", "completed") and call.call_id
    assert scenes.fits("weather", json.loads(call.arguments))


@pytest.mark.feature("parallel tools and their results")
@direct
def test_two_tools_are_called_and_their_results_heard(
    client: openai.OpenAI, door: Door, thinks: bool
) -> None:
    """The answer goes back into the second turn just as it came, sealed reasoning included."""
    ask = thinking(door, thinks)
    turns: Any = [{"role": "user", "content": scenes.BOTH_TOOLS}]
    first = client.responses.create(input=turns, tools=TOOLS, **ask)
    calls = calls_of(first)

    assert [call.name for call in calls] == ["weather", "clock"]
    assert all(scenes.fits(call.name, json.loads(call.arguments)) for call in calls)
    turns += [item.model_dump(exclude_none=True) for item in first.output]
    turns += [
        {"type": "function_call_output", "call_id": c.call_id, "output": scenes.RESULTS[c.name]}
        for c in calls
    ]
    second = client.responses.create(input=turns, tools=TOOLS, **ask)
    assert scenes.SUNNY in second.output_text and scenes.NOON in second.output_text


@pytest.mark.feature("streamed tools")
@direct
def test_arguments_stream_in_pieces_that_add_up(client: openai.OpenAI, door: Door) -> None:
    """R-023."""
    pieces: dict[int, str] = {}
    done: dict[int, str] = {}
    stream = client.responses.create(
        model=door.models.plain, input=scenes.BOTH_TOOLS, tools=TOOLS, stream=True
    )
    final: Any = None
    for event in stream:
        if event.type == "response.function_call_arguments.delta":
            pieces[event.output_index] = pieces.get(event.output_index, "") + event.delta
        elif event.type == "response.function_call_arguments.done":
            done[event.output_index] = event.arguments
        elif event.type == "response.completed":
            final = event.response

    calls = calls_of(final)
    assert pieces == done and len(done) == 2
    assert [call.arguments for call in calls] == [done[index] for index in sorted(done)]
    assert all(scenes.fits(call.name, json.loads(call.arguments)) for call in calls)


@pytest.mark.feature("structured output")
@direct
def test_an_answer_can_be_given_a_form(client: openai.OpenAI, door: Door) -> None:
    reply = client.responses.parse(
        model=door.models.plain, input="Lisbon?", text_format=scenes.City
    )

    assert isinstance(reply.output_parsed, scenes.City)


@pytest.mark.feature("image in base64")
@pytest.mark.feature("PDF")
@direct
def test_a_picture_and_a_document_arrive(client: openai.OpenAI, door: Door) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": scenes.PNG_URL, "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": scenes.PDF_URL},
    ]
    reply = client.responses.create(
        model=door.models.plain, input=[{"role": "user", "content": content}]
    )

    assert "image/png, application/pdf" in reply.output_text


@pytest.mark.feature("reasoning")
@direct
def test_thoughts_come_as_an_item_of_their_own(client: openai.OpenAI, door: Door) -> None:
    ask = thinking(door, True)
    reply = client.responses.create(input=scenes.SAY, **ask)
    thoughts = [item for item in reply.output if item.type == "reasoning"]
    words = "".join(part.text for item in thoughts for part in item.summary)

    assert reply.output_text == scenes.SAID
    assert bool(words) == door.models.shows_thoughts
    assert reply.usage and reply.usage.output_tokens_details.reasoning_tokens


@pytest.mark.feature("error: wrong licence")
def test_a_wrong_licence_is_an_authentication_error(door: Door) -> None:
    """C-038."""
    client = opened(door.url, "wrong")
    with pytest.raises(openai.AuthenticationError) as caught:
        client.responses.create(model=door.models.plain, input="hello")

    assert (caught.value.status_code, caught.value.code) == (401, "invalid_api_key")


@pytest.mark.parametrize("wrong", [{"input": 3}, {"temperature": "warm"}, {"tools": 3}])
@pytest.mark.feature("error: wrong field")
def test_a_wrong_field_is_a_bad_request(client: openai.OpenAI, door: Door, wrong: Json) -> None:
    """C-182."""
    ask: Any = {"model": door.models.plain, "input": "hello", **wrong}
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(**ask)

    assert (caught.value.status_code, caught.value.type) == (400, "invalid_request_error")
    assert next(iter(wrong)) in caught.value.message


@pytest.mark.feature("error: unknown model")
def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    """K-089."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="no-such-model", input="hello")

    assert "no-such-model" in caught.value.message


@pytest.mark.feature("error: throttled")
def test_throttling_is_a_rate_limit_error(client: openai.OpenAI, door: Door) -> None:
    """C-184."""
    door.mishap("throttle", seconds=7)
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=door.models.plain, input="hello")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.feature("error: outage")
def test_an_outage_is_an_internal_server_error(
    client: openai.OpenAI, door: Door, stream: bool
) -> None:
    """C-108, C-185."""
    door.mishap("fail")
    ask: Any = {"model": door.models.plain, "input": "hello", "stream": stream}
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.create(**ask, **ONCE)

    assert caught.value.status_code == 502


@pytest.mark.parametrize("prompt", [scenes.CUT, scenes.TRUNCATED, scenes.ERROR])
@pytest.mark.feature("cut stream")
@direct
def test_a_stream_that_breaks_off_is_never_complete(
    client: openai.OpenAI, door: Door, prompt: str
) -> None:
    """R-001, K-077: it raises, or says `response.failed` where the SDK leaves that to its user."""
    kinds, text = [], ""
    try:
        stream: Any = client.responses.create(model=door.models.plain, input=prompt, stream=True)
        for event in stream:
            kinds.append(event.type)
            text += event.delta if event.type == "response.output_text.delta" else ""
        raised = False
    except BROKEN:
        raised = True

    assert raised or "response.failed" in kinds
    assert "response.completed" not in kinds
    assert scenes.COUNTED.startswith(text) and text
