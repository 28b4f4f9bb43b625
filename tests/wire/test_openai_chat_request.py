"""Chat requests, read in every spelling that clients use, and written as OpenAI documents them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.model import ModelFacts
from app.canonical.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Link,
    Refusal,
    Stored,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from app.canonical.request import Format, Reasoning, ToolChoice, Turn
from app.errors import BadRequest
from app.wire.names import given_twice
from app.wire.openai_chat import read_request, write_request
from tests.nonsense import nonsense

PNG = "iVBORw0KGgoAAAANSUhEUg=="
PDF = "JVBERi0xLjQK"
HELLO = {"role": "user", "content": "hello"}


def read(*messages, **more):
    return read_request({"model": "m", "messages": list(messages), **more})


def user(*parts):
    return {"role": "user", "content": list(parts)}


@pytest.mark.parametrize(
    "part, meant",
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ({"type": "input_text", "text": "a"}, Text("a")),
        ("a", Text("a")),
        (
            {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
            Image(Link("https://x/y.png"), "low"),
        ),
        ({"type": "image_url", "image_url": "http://x/y"}, Image(Link("http://x/y"))),
        ({"type": "image_url", "image_url": {"url": PNG}}, Image(Inline("image/png", PNG))),
        (
            {"type": "input_image", "image_url": f"data:image/jpg;base64,{PNG}"},
            Image(Inline("image/png", PNG)),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:video/mp4;base64,AAAA"}},
            Video(Inline("video/mp4", "AAAA")),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:audio/mp3;base64,AAAA"}},
            Audio(Inline("audio/mp3", "AAAA")),
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://x/y.mp4"}},
            Video(Link("https://x/y.mp4")),
        ),
        (
            {"type": "file_url", "file_url": {"url": "https://x/y.pdf"}},
            Document(Link("https://x/y.pdf")),
        ),
        (
            {"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}},
            Document(Inline("application/pdf", PDF), "a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "https://x/y"}}, Document(Link("https://x/y"))),
        ({"type": "file", "file": {"file_data": PNG}}, Image(Inline("image/png", PNG))),
        ({"type": "file", "file": {"file_id": "f-1"}}, Document(Stored("openai_chat", "f-1"))),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Audio(Inline("audio/mp3", "AAAA")),
        ),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
    ],
    ids=str,
)
def test_a_part_means_the_same_in_every_spelling(part, meant):
    """C-057 to C-063, C-084, K-040."""
    assert read(user(part)).turns == (Turn("user", (meant,)),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "%%%"}},
        {"type": "image_url", "image_url": {"url": "data:image/png,notbase64"}},
        {"type": "image_url", "image_url": {"url": ""}},
        {"type": "image_url"},
        {"type": "file", "file": {}},
        {"type": "hologram"},
        {"type": "text"},
        7,
    ],
    ids=str,
)
def test_a_part_that_cannot_be_is_refused_by_its_place(part):
    """C-063, C-066."""
    with pytest.raises(BadRequest) as refused:
        read(HELLO, user({"type": "text", "text": "a"}, part))

    assert refused.value.param.startswith("messages[1].content[1]")


def test_system_texts_that_lead_stand_apart_and_later_ones_in_place():
    """C-055, K-038, K-041."""
    request = read(
        {"role": "developer", "content": [{"type": "text", "text": "a"}]},
        {"role": "system", "content": "b"},
        HELLO,
        {"role": "developer", "content": "c"},
    )

    assert request.system == (Text("a"), Text("b"))
    assert [turn.role for turn in request.turns] == ["user", "system"]


def test_calls_and_results_in_both_spellings():
    """K-042, K-043."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = read(
        HELLO,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [call],
            "audio": None,
            "refusal": None,
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "assistant", "content": "", "function_call": {"name": "g", "arguments": "{}"}},
        {"role": "function", "name": "g", "content": "2"},
        functions=[{"name": "g", "parameters": {"type": "object"}}],
        function_call={"name": "g"},
    )

    said, heard, legacy, answer = request.turns[1:]
    assert said.parts == (ToolCall("c1", "f", "{}"),)
    assert heard.parts == (ToolResult("c1", (Text("1"),)),)
    (old,), (result,) = legacy.parts, answer.parts
    assert isinstance(old, ToolCall) and isinstance(result, ToolResult)
    assert old.call_id == result.call_id and result.name == "g"
    assert request.tool_choice == ToolChoice("required", ("g",))
    assert [tool.name for tool in request.tools] == ["g"]


@pytest.mark.parametrize(
    "more, field, meant",
    [
        ({"max_tokens": 5}, "max_output", 5),
        ({"max_output_tokens": "6", "max_tokens": 5}, "max_output", 5),
        ({"max_completion_tokens": 7, "max_tokens": 5}, "max_output", 7),
        ({"reasoning_effort": "low"}, "reasoning", Reasoning("low")),
        ({"reasoning": {"effort": "high", "max_tokens": 9}}, "reasoning", Reasoning("high", 9)),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, "reasoning", Reasoning(budget=9)),
        ({"thinking": {"type": "disabled"}}, "reasoning", Reasoning("none")),
        ({"enable_thinking": False}, "reasoning", Reasoning("none")),
        ({"response_format": {"type": "text"}}, "format", None),
        ({"response_format": {"type": "json_object"}}, "format", Format("json")),
        (
            {"tool_choice": "none", "parallel_tool_calls": False},
            "tool_choice",
            ToolChoice("none", (), False),
        ),
        ({"stop": "x"}, "sampling.stop", ("x",)),
        ({"stop": ["x", "", "y"]}, "sampling.stop", ("x", "y")),
        ({"temperature": "0.7"}, "sampling.temperature", 0.7),
        ({"safety_identifier": "u"}, "user", "u"),
        ({"n": 3}, "variants", 3),
    ],
    ids=str,
)
def test_a_field_means_the_same_in_every_spelling(more, field, meant):
    """C-069 to C-075, C-079, K-036, K-039, K-044, K-045."""
    found = read(HELLO, **more)
    for name in field.split("."):
        found = getattr(found, name)

    assert found == meant


def test_what_was_read_is_written_as_openai_documents_it():
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            user(
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {
                    "type": "file",
                    "file": {
                        "file_data": f"data:application/pdf;base64,{PDF}",
                        "filename": "a.pdf",
                    },
                },
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ),
            {
                "role": "assistant",
                "content": "b",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"x":1}'},
                    },
                    {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "free"}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
            {"role": "tool", "tool_call_id": "c2", "content": "2"},
        ],
        "metadata": {"k": "v"},
        "temperature": 0.5,
        "stop": ["x"],
        "max_completion_tokens": 9,
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": schema, "strict": True},
        },
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": schema, "strict": True},
            },
            {"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "safety_identifier": "u",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "verbosity": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    assert write_request(read_request(body), ModelFacts()) == body


def test_identifiers_that_are_too_long_are_made_to_fit():
    """Claude Code sends 150 letters as the user's."""
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "safety_identifier": "u" * 150,
        "prompt_cache_key": "k" * 65,
    }
    written = write_request(read_request(body), ModelFacts())

    assert len(written["safety_identifier"]) == len(written["prompt_cache_key"]) == 64
    assert written["safety_identifier"] != written["prompt_cache_key"]


ANY = nonsense(
    "role content type text image_url url file file_data tool_calls function name id custom".split(),
    beyond=True,
)
FIELDS = st.sampled_from(
    """model messages tools functions tool_choice function_call response_format reasoning thinking stop
    max_tokens temperature n logit_bias stream user""".split()
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(FIELDS, ANY, max_size=6), st.lists(ANY, max_size=3))
def test_whatever_comes_in_is_read_or_refused(body, messages):
    """R-098: nothing else."""
    try:
        request = read_request({"model": "m", "messages": messages} | body)
        write_request(request, ModelFacts())
    except BadRequest:
        return


@pytest.mark.parametrize(
    "raw, name",
    [
        (b'{"model":"a","x":{"model":"b"},"messages":[{"model":"c"}]}', ""),
        (b'{"model":"a","x":1,"model":"b"}', "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model"),
        (b'{"x":"\\"model\\":","model":"a","model2":"b"}', ""),
        (b'{"x":"{[\\"","y":{"model":1},"model":"a","stream":1,"stream":2}', "stream"),
    ],
)
def test_a_name_that_stands_twice_at_the_top_is_found(raw, name):
    """R-098, S-041."""
    assert given_twice(raw) == name
