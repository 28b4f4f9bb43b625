"""The official Google GenAI SDK for Python on every platform."""

from __future__ import annotations

from functools import cache
from typing import Any

import httpx2
import pytest
from google import genai
from google.genai import errors, types

from tests.sdk import scenes
from tests.sdk.conftest import Door, direct

BROKEN = (errors.APIError, httpx2.RemoteProtocolError)
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name=name, parameters_json_schema=schema)
            for name, schema in scenes.TOOLS.items()
        ]
    )
]


def client_of(door: Door, licence: str = "", version: str = "v1beta") -> genai.Client:
    return opened(door.url, licence or door.licence, version)


@cache
def opened(url: str, licence: str, version: str) -> genai.Client:
    """A client; making one takes longer than most calls."""
    options = types.HttpOptions(base_url=url, api_version=version, timeout=20_000)
    return genai.Client(api_key=licence, http_options=options)


@pytest.fixture
def client(door: Door) -> genai.Client:
    return client_of(door)


def config(**more: Any) -> types.GenerateContentConfig:
    off = types.AutomaticFunctionCallingConfig(disable=True)
    return types.GenerateContentConfig(automatic_function_calling=off, **more)


def thinking(door: Door, thinks: bool, **more: Any) -> dict[str, Any]:
    if thinks:
        more["thinking_config"] = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    return {
        "model": door.models.thinking if thinks else door.models.plain,
        "config": config(**more),
    }


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.feature("text, usage")
def test_text_comes_with_usage(door: Door, version: str) -> None:
    """C-224; the SDK may call either version."""
    client = client_of(door, version=version)
    reply = client.models.generate_content(model=door.models.plain, contents=scenes.SAY)
    usage = reply.usage_metadata

    assert (reply.text, reply.model_version) == (scenes.SAID, door.models.plain)
    assert reply.candidates and reply.candidates[0].finish_reason == types.FinishReason.STOP
    assert usage and usage.prompt_token_count and usage.candidates_token_count == 2
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count


@pytest.mark.feature("stream")
def test_text_streams(client: genai.Client, door: Door) -> None:
    """C-226."""
    chunks = list(
        client.models.generate_content_stream(model=door.models.plain, contents=scenes.COUNT)
    )
    last = chunks[-1]

    assert "".join(chunk.text or "" for chunk in chunks) == scenes.COUNTED and len(chunks) > 1
    assert last.candidates and last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.usage_metadata and last.usage_metadata.candidates_token_count == 9


@pytest.mark.feature("forced tool")
@direct
def test_a_tool_can_be_forced(client: genai.Client, door: Door) -> None:
    mode = types.FunctionCallingConfigMode.ANY
    calling = types.FunctionCallingConfig(mode=mode, allowed_function_names=["weather"])
    reply = client.models.generate_content(
        model=door.models.plain,
        contents="How is Lisbon?",
        config=config(tools=TOOLS, tool_config=types.ToolConfig(function_calling_config=calling)),
    )
    calls: Any = reply.function_calls
    (call,) = calls

    assert call.name == "weather" and scenes.fits("weather", call.args or {})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.feature("parallel tools and their results")
@direct
def test_two_tools_are_called_and_their_results_heard(
    client: genai.Client, door: Door, thinks: bool, streamed: bool
) -> None:
    """The answer goes back into the second turn just as it came, thought signatures included."""
    ask = thinking(door, thinks and door.name != "chatgpt", tools=TOOLS)
    contents: Any = [types.UserContent(parts=[types.Part(text=scenes.BOTH_TOOLS)])]
    if streamed:
        chunks = list(client.models.generate_content_stream(contents=contents, **ask))
        contents += [
            c.candidates[0].content for c in chunks if c.candidates and c.candidates[0].content
        ]
        calls = [call for chunk in chunks for call in chunk.function_calls or ()]
        parts = [part for content in contents[1:] for part in content.parts or ()]
        contents[1:] = [types.ModelContent(parts=parts)]
    else:
        reply = client.models.generate_content(contents=contents, **ask)
        assert reply.candidates
        contents.append(reply.candidates[0].content)
        calls = reply.function_calls or []

    assert [call.name for call in calls] == ["weather", "clock"]
    assert all(scenes.fits(call.name or "", call.args or {}) for call in calls)
    answers = [
        types.FunctionResponse(
            id=c.id, name=c.name, response={"output": scenes.RESULTS[c.name or ""]}
        )
        for c in calls
    ]
    contents.append(
        types.UserContent(parts=[types.Part(function_response=answer) for answer in answers])
    )
    second = client.models.generate_content(contents=contents, **ask).text or ""
    assert scenes.SUNNY in second and scenes.NOON in second


@pytest.mark.feature("structured output")
@direct
def test_an_answer_can_be_given_a_form(client: genai.Client, door: Door) -> None:
    form = config(response_mime_type="application/json", response_schema=scenes.City)
    reply = client.models.generate_content(model=door.models.plain, contents="Lisbon?", config=form)

    assert isinstance(reply.parsed, scenes.City)


@pytest.mark.feature("image in base64")
@pytest.mark.feature("PDF")
@direct
def test_a_picture_and_a_document_arrive(client: genai.Client, door: Door) -> None:
    """C-225."""
    contents: Any = [
        "What is this?",
        types.Part.from_bytes(data=scenes.PNG, mime_type="image/png"),
        types.Part.from_bytes(data=scenes.PDF, mime_type="application/pdf"),
    ]
    reply = client.models.generate_content(model=door.models.plain, contents=contents)

    assert "image/png, application/pdf" in (reply.text or "")


@pytest.mark.feature("reasoning")
@direct
def test_thoughts_are_parts_of_their_own(client: genai.Client, door: Door) -> None:
    ask = thinking(door, True)
    whole = client.models.generate_content(contents=scenes.SAY, **ask)
    chunks = list(client.models.generate_content_stream(contents=scenes.SAY, **ask))

    for replies in ([whole], chunks):
        parts = [part for reply in replies for part in reply.parts or ()]
        thought = "".join(part.text or "" for part in parts if part.thought)
        assert bool(thought) == door.models.shows_thoughts
        assert "".join(part.text or "" for part in parts if not part.thought) == scenes.SAID
        usage = replies[-1].usage_metadata
        assert usage and usage.thoughts_token_count


@pytest.mark.feature("error: wrong licence")
def test_a_wrong_licence_is_a_client_error(door: Door) -> None:
    """C-034, C-038."""
    client = client_of(door, "wrong")
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=door.models.plain, contents="hello")

    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


@pytest.mark.feature("error: wrong field")
def test_a_wrong_field_is_a_client_error(client: genai.Client, door: Door) -> None:
    wrong = config(http_options=types.HttpOptions(extra_body={"contents": []}))
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=door.models.plain, contents="hello", config=wrong)

    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")


@pytest.mark.feature("error: unknown model")
def test_an_unknown_model_is_a_client_error(client: genai.Client) -> None:
    """K-089."""
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="no-such-model", contents="hello")

    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    assert "no-such-model" in str(caught.value.message)


@pytest.mark.feature("error: throttled")
def test_throttling_is_a_client_error(client: genai.Client, door: Door) -> None:
    """C-184."""
    door.mishap("throttle", seconds=7)
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model=door.models.plain, contents="hello")

    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


@pytest.mark.feature("error: outage")
def test_an_outage_is_a_server_error(client: genai.Client, door: Door) -> None:
    """C-108, C-119, C-185."""
    door.mishap("fail")
    once = config(http_options=types.HttpOptions(extra_body={"retry_attempt": 0}))
    with pytest.raises(errors.ServerError) as caught:
        client.models.generate_content(model=door.models.plain, contents="hello", config=once)

    assert caught.value.code == 502


@pytest.mark.parametrize("prompt", [scenes.CUT, scenes.TRUNCATED, scenes.ERROR])
@pytest.mark.feature("cut stream")
@direct
def test_a_stream_that_breaks_off_raises(client: genai.Client, door: Door, prompt: str) -> None:
    """R-001."""
    chunks = []
    with pytest.raises(BROKEN):
        for chunk in client.models.generate_content_stream(
            model=door.models.plain, contents=prompt
        ):
            chunks.append(chunk)

    assert scenes.COUNTED.startswith("".join(chunk.text or "" for chunk in chunks))
    assert not any(c.candidates and c.candidates[0].finish_reason for c in chunks) and chunks


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_the_sdk_lists_the_models(door: Door, version: str) -> None:
    """C-034, C-227: page by page, and one by one."""
    client = client_of(door, version=version)
    names = [model.name for model in client.models.list(config={"page_size": 2})]
    one = client.models.get(model=door.models.plain)

    assert len(names) == len(set(names)) > 2 and one.name in names
    assert one.name == f"models/{door.models.plain}"
    assert one.input_token_limit and one.output_token_limit


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_the_sdk_counts_tokens_where_the_model_says_so(door: Door, version: str) -> None:
    """C-027."""
    client = client_of(door, version=version)
    model = client.models.get(model=door.models.plain)

    def count() -> types.CountTokensResponse:
        return client.models.count_tokens(model=door.models.plain, contents=scenes.SAY)

    if "countTokens" in (model.supported_actions or ()):
        assert count().total_tokens
    else:
        with pytest.raises(errors.ClientError) as caught:
            count()
        assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
