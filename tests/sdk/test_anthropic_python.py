"""The official Anthropic SDK for Python on every platform."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import anthropic
import httpx2
import pytest

from tests.sdk import scenes
from tests.sdk.conftest import Door, direct
from tests.sdk.scenes import Json

TOOLS: Any = [{"name": name, "input_schema": schema} for name, schema in scenes.TOOLS.items()]
BROKEN = (anthropic.APIError, httpx2.RemoteProtocolError)
ONCE: Any = {"extra_query": {"retry_attempt": "0"}}


@pytest.fixture
def client(door: Door) -> anthropic.Anthropic:
    return opened(door.url, door.licence)


@cache
def opened(url: str, licence: str) -> anthropic.Anthropic:
    """A client; making one takes longer than most calls."""
    return anthropic.Anthropic(base_url=url, api_key=licence, max_retries=0, timeout=20)


def asked(door: Door, text: Any, *, thinks: bool = False) -> Json:
    ask: Json = {
        "model": door.models.thinking if thinks else door.models.plain,
        "max_tokens": 4000,
        "messages": [{"role": "user", "content": text}],
    }
    return ask | {"thinking": {"type": "enabled", "budget_tokens": 1024}} if thinks else ask


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Any) -> list[Any]:
    return [block for block in message.content if block.type == "tool_use"]


@pytest.mark.feature("text, usage")
def test_text_comes_with_usage(client: anthropic.Anthropic, door: Door) -> None:
    """C-213."""
    message = client.messages.create(**asked(door, scenes.SAY))

    assert (text_of(message), message.stop_reason) == (scenes.SAID, "end_turn")
    assert (message.role, message.model) == ("assistant", door.models.plain)
    assert message.usage.input_tokens > 0 and message.usage.output_tokens == 2


@pytest.mark.feature("stream")
def test_text_streams_into_the_whole_message(client: anthropic.Anthropic, door: Door) -> None:
    """C-214."""
    with client.messages.stream(**asked(door, scenes.COUNT)) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()

    assert "".join(pieces) == scenes.COUNTED == text_of(message) and len(pieces) > 1
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 9)
    assert message.usage.input_tokens > 0


def test_a_system_prompt_may_come_in_blocks(client: anthropic.Anthropic, door: Door) -> None:
    """C-212."""
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    message = client.messages.create(**asked(door, scenes.SAY), system=system)

    assert text_of(message) == scenes.SAID


@pytest.mark.feature("forced tool")
@direct
def test_a_tool_can_be_forced(client: anthropic.Anthropic, door: Door) -> None:
    message = client.messages.create(
        **asked(door, "How is Lisbon?"),
        tools=TOOLS,
        tool_choice={"type": "tool", "name": "weather"},
    )
    (call,) = calls_of(message)

    assert (call.name, message.stop_reason) == ("weather", "tool_use") and call.id
    assert scenes.fits("weather", call.input)


@pytest.mark.feature("parallel tools and their results")
@direct
def test_two_tools_are_called_and_their_results_heard(
    client: anthropic.Anthropic, door: Door, thinks: bool
) -> None:
    """The answer goes back into the second turn just as it came, signatures included."""
    ask = asked(door, scenes.BOTH_TOOLS, thinks=thinks and door.name != "chatgpt")
    first = client.messages.create(**ask, tools=TOOLS)
    calls = calls_of(first)

    assert [call.name for call in calls] == ["weather", "clock"]
    assert all(scenes.fits(call.name, call.input) for call in calls)
    assert first.stop_reason == "tool_use"
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": scenes.RESULTS[call.name]}
        for call in calls
    ]
    ask["messages"] += [
        {
            "role": "assistant",
            "content": [block.model_dump(exclude_none=True) for block in first.content],
        },
        {"role": "user", "content": results},
    ]
    second = text_of(client.messages.create(**ask, tools=TOOLS))
    assert scenes.SUNNY in second and scenes.NOON in second


@pytest.mark.feature("streamed tools")
@direct
def test_arguments_stream_in_pieces_that_add_up(client: anthropic.Anthropic, door: Door) -> None:
    """R-023."""
    pieces: dict[int, str] = {}
    with client.messages.stream(**asked(door, scenes.BOTH_TOOLS), tools=TOOLS) as stream:
        for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                pieces[event.index] = pieces.get(event.index, "") + event.delta.partial_json
        message = stream.get_final_message()

    calls = calls_of(message)
    assert [call.name for call in calls] == ["weather", "clock"]
    assert [call.input for call in calls] == [json.loads(pieces[i]) for i in sorted(pieces)]
    assert all(scenes.fits(call.name, call.input) for call in calls)


@pytest.mark.feature("structured output")
@direct
def test_an_answer_can_be_given_a_form(client: anthropic.Anthropic, door: Door) -> None:
    message = client.messages.parse(**asked(door, "Lisbon?"), output_format=scenes.City)

    assert isinstance(message.parsed_output, scenes.City)


@pytest.mark.feature("image in base64")
@pytest.mark.feature("PDF")
@direct
def test_a_picture_and_a_document_arrive(client: anthropic.Anthropic, door: Door) -> None:
    def source(media_type: str, data: bytes) -> Json:
        encoded = base64.b64encode(data).decode()
        return {"type": "base64", "media_type": media_type, "data": encoded}

    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": source("image/png", scenes.PNG)},
        {"type": "document", "source": source("application/pdf", scenes.PDF)},
    ]
    message = client.messages.create(**asked(door, content))

    assert "image/png, application/pdf" in text_of(message)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.feature("reasoning")
def test_thoughts_are_blocks_of_their_own(
    client: anthropic.Anthropic, door: Door, streamed: bool
) -> None:
    ask = asked(door, scenes.SAY, thinks=True)
    if streamed:
        with client.messages.stream(**ask) as stream:
            message: Any = stream.get_final_message()
    else:
        message = client.messages.create(**ask)
    thoughts = [block.thinking for block in message.content if block.type == "thinking"]

    assert text_of(message) == scenes.SAID
    assert any(thoughts) == door.models.shows_thoughts
    assert message.content[-1].type == "text"


@pytest.mark.feature("error: wrong licence")
def test_a_wrong_licence_is_an_authentication_error(door: Door) -> None:
    """C-218."""
    client = opened(door.url, "wrong")
    with pytest.raises(anthropic.AuthenticationError) as caught:
        client.messages.create(**asked(door, "hello"))

    error: Any = caught.value.body
    assert (caught.value.status_code, error["error"]["type"]) == (401, "authentication_error")


def test_the_licence_may_come_as_a_bearer_token(door: Door) -> None:
    """C-228: as Claude Code sends it."""
    client = anthropic.Anthropic(
        base_url=door.url, auth_token=door.licence, api_key=None, max_retries=0
    )

    assert text_of(client.messages.create(**asked(door, scenes.SAY))) == scenes.SAID


@pytest.mark.parametrize("wrong", [{"messages": []}, {"system": 3}, {"tools": 3}])
@pytest.mark.feature("error: wrong field")
def test_a_wrong_field_is_a_bad_request(
    client: anthropic.Anthropic, door: Door, wrong: Json
) -> None:
    """C-218."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**asked(door, "hello") | wrong)

    error: Any = caught.value.body
    assert (caught.value.status_code, error["error"]["type"]) == (400, "invalid_request_error")
    assert next(iter(wrong)) in error["error"]["message"]


@pytest.mark.feature("error: unknown model")
def test_an_unknown_model_is_not_found(client: anthropic.Anthropic, door: Door) -> None:
    """K-089."""
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.create(**asked(door, "hello") | {"model": "no-such-model"})

    assert "no-such-model" in caught.value.message


@pytest.mark.feature("error: throttled")
def test_throttling_is_a_rate_limit_error(client: anthropic.Anthropic, door: Door) -> None:
    """C-184."""
    door.mishap("throttle", seconds=7)
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(**asked(door, "hello"))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.feature("error: outage")
def test_an_outage_is_an_internal_server_error(
    client: anthropic.Anthropic, door: Door, stream: bool
) -> None:
    """C-108, C-185."""
    door.mishap("fail")
    with pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(**asked(door, "hello"), stream=stream, **ONCE)

    assert caught.value.status_code == 502


@pytest.mark.parametrize("prompt", [scenes.CUT, scenes.TRUNCATED, scenes.ERROR])
@pytest.mark.feature("cut stream")
@direct
def test_a_stream_that_breaks_off_raises(
    client: anthropic.Anthropic, door: Door, prompt: str
) -> None:
    """R-001."""
    pieces: list[str] = []
    with pytest.raises(BROKEN):
        with client.messages.stream(**asked(door, prompt)) as stream:
            pieces.extend(stream.text_stream)

    assert scenes.COUNTED.startswith("".join(pieces)) and pieces


def test_the_sdk_lists_the_models(client: anthropic.Anthropic, door: Door) -> None:
    """K-034."""
    listed = list(client.models.list(limit=4))

    assert door.models.plain in [model.id for model in listed]
    assert client.models.retrieve(listed[0].id) == listed[0]
