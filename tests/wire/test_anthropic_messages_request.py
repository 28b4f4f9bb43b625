"""What callers send in Anthropic's Messages, read; and errors, read and written."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.events import Trouble
from app.canonical.model import ModelFacts
from app.canonical.parts import (
    Document,
    Image,
    Inline,
    Link,
    Opaque,
    Stored,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    carry,
)
from app.canonical.request import Format, Reasoning, Tool, ToolChoice, Turn
from app.errors import BadRequest
from app.wire.anthropic_messages import (
    NAME,
    find_usage,
    read_error,
    read_reply,
    read_request,
    write_error,
    write_request,
)
from tests.nonsense import nonsense

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n" + bytes(40)).decode()
FACTS = ModelFacts(thinks="adaptive", efforts=("low", "medium", "high"), max_output=64_000)
HI = {"role": "user", "content": "Hi"}


def body(*messages: Any, **rest: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 99, "messages": list(messages or (HI,)), **rest}


def said(*blocks: Any, role: str = "user") -> tuple[Any, ...]:
    return read_request(body({"role": role, "content": list(blocks)})).turns[0].parts


RICH = body(
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "See", "cache_control": {"type": "ephemeral"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
            {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
            },
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "title": "t",
            },
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "Eq0B"},
            {"type": "redacted_thinking", "data": "Zm9v"},
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_1", "name": "w", "input": {"c": "Rome"}},
            {"type": "tool_use", "id": "toolu_2", "name": "w", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": "20"},
            {
                "type": "tool_result",
                "tool_use_id": "toolu_2",
                "content": [
                    {"type": "text", "text": "21"},
                    {"type": "image", "source": {"type": "url", "url": "https://e.com/b.png"}},
                ],
                "is_error": True,
            },
            {"type": "text", "text": "Go on"},
        ],
    },
    system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    tools=[
        {
            "name": "w",
            "description": "weather",
            "input_schema": {"type": "object", "properties": {"c": {"type": "string"}}},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
    ],
    tool_choice={"type": "tool", "name": "w", "disable_parallel_tool_use": True},
    stop_sequences=["END"],
    metadata={"user_id": "u1"},
    service_tier="standard_only",
    thinking={"type": "adaptive", "display": "summarized"},
    output_config={"effort": "low"},
    stream=True,
    container="c1",
)


def test_a_rich_request_comes_out_as_it_went_in() -> None:
    assert write_request(read_request(RICH), FACTS) == RICH


def test_sampling_and_a_schema_come_out_as_they_went_in() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    closed = schema | {"additionalProperties": False}
    given = body(
        temperature=0.5,
        top_k=3,
        output_config={"format": {"type": "json_schema", "schema": closed}},
        tool_choice={"type": "any"},
        tools=[{"name": "w", "input_schema": schema}],
    )
    assert write_request(read_request(given), FACTS) == given


@pytest.mark.parametrize(
    "block, part",
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "IMAGE/PNG", "data": PNG}},
            Image(Inline("image/png", PNG)),
        ),
        (
            {"type": "image", "source": {"type": "base64", "data": PNG}},
            Image(Inline("image/png", PNG)),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "http://e.com/a"}},
            Image(Link("http://e.com/a")),
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f"}, "title": "T"},
            Document(Stored(NAME, "f"), "T"),
        ),
        ({"type": "thinking", "thinking": "a"}, Thinking("a")),
        (
            {"type": "thinking", "thinking": "a", "signature": carry(Opaque("x", 1))},
            Thinking("a", Opaque("x", 1)),
        ),
        (
            {"type": "redacted_thinking", "data": "d"},
            Thinking("", Opaque(NAME, {"type": "redacted_thinking", "data": "d"})),
        ),
        ({"type": "tool_use", "id": "i", "name": "n", "input": {}}, ToolCall("i", "n", "{}")),
        ({"type": "tool_result", "tool_use_id": "i"}, ToolResult("i", ())),
        (
            {"type": "container_upload", "file_id": "f"},
            Opaque(NAME, {"type": "container_upload", "file_id": "f"}),
        ),
    ],
)
def test_a_block_is_read_as_what_it_is(block: dict[str, Any], part: Any) -> None:
    assert said(block) == (part,)


@pytest.mark.parametrize(
    "thinking, effort, read",
    [
        (None, None, Reasoning(told=False)),
        (None, "high", Reasoning("high", told=False)),
        ({"type": "disabled"}, "high", Reasoning("none", visible=False, told=False)),
        ({"type": "enabled", "budget_tokens": 2000}, None, Reasoning(budget=2000)),
        ({"type": "adaptive"}, None, Reasoning(budget=-1)),
        ({"type": "adaptive", "display": "omitted"}, "max", Reasoning("max", visible=False)),
    ],
)
def test_thinking_is_read_in_either_currency(thinking: Any, effort: Any, read: Reasoning) -> None:
    request = read_request(body(thinking=thinking, output_config={"effort": effort}))
    assert request.reasoning == read


def test_the_rest_of_a_request_is_read() -> None:
    request = read_request(
        body(
            system="Be brief.",
            tools=[{"name": "w", "input_schema": {}, "defer_loading": True}],
            tool_choice={"type": "none"},
            output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
            context_management={"edits": []},
        )
    )
    assert request.system == (Text("Be brief."),)
    assert request.tools == (Tool("w", "", {}, opaque=Opaque(NAME, {"defer_loading": True})),)
    assert request.tool_choice == ToolChoice("none")
    assert request.format == Format("schema", schema={"type": "object"})
    assert request.extras == Opaque(NAME, {"context_management": {"edits": []}})
    assert (request.turns, request.max_output) == ((Turn("user", (Text("Hi"),)),), 99)


@pytest.mark.parametrize(
    "wrong, param",
    [
        ({}, "messages"),
        ({"messages": [HI]}, "model"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": []}, "messages"),
        (body({"role": "tool", "content": "x"}), "messages[0].role"),
        (body({"role": "user", "content": 5}), "messages[0].content"),
        (body({"role": "user", "content": ["x"]}), "messages[0].content[0]"),
        (body({"role": "user", "content": [{"text": "x"}]}), "messages[0].content[0].type"),
        (body({"role": "user", "content": [{"type": "hologram"}]}), "messages[0].content[0]"),
        (
            body({"role": "user", "content": [{"type": "text"}]}),
            "messages[0].content[0].text",
        ),
        (
            body({"role": "user", "content": [{"type": "image", "source": {"type": "ftp"}}]}),
            "messages[0].content[0].source.type",
        ),
        (
            body(
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "base64", "data": "%"}}],
                }
            ),
            "messages[0].content[0].source.data",
        ),
        (
            body(system=[{"type": "image", "source": {"type": "file", "file_id": "f"}}]),
            "system[0].type",
        ),
        (body(max_tokens=0), "max_tokens"),
        (body(temperature="warm"), "temperature"),
        (body(tools={}), "tools"),
        (body(tools=[{}]), "tools[0].name"),
        (body(tool_choice={"type": "maybe"}), "tool_choice.type"),
        (body(thinking=5), "thinking"),
        (body(metadata=[]), "metadata"),
        (body(output_config={"format": "json"}), "output_config.format"),
        (body(stop_sequences=[1]), "stop_sequences[0]"),
    ],
)
def test_a_mistake_is_told_by_its_field(wrong: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(wrong)
    assert caught.value.param == param


def test_an_unknown_part_is_named() -> None:  # C-063
    with pytest.raises(BadRequest, match="hologram"):
        said({"type": "hologram"})


@pytest.mark.parametrize(
    "value",
    [
        5,
        None,
        "x",
        [],
        {},
        {"signature": 5},
        {"call": 1},
        {"document": 5},
        {"call": "", "opaque": 1},
    ]
    + [{"type": "redacted_thinking"}, {"cache_control": 1}],
)
def test_a_forged_envelope_is_no_crash(value: Any) -> None:
    block = {"type": "thinking", "thinking": "", "signature": carry(Opaque(NAME, value))}
    messages = ({"role": "assistant", "content": [block, {"type": "text", "text": "x"}]}, HI)
    write_request(read_request(body(*messages)), FACTS)


NAMES = """type role content text source data url media_type id name input tool_use_id thinking signature
    cache_control is_error system tools tool_choice input_schema stop_sequences budget_tokens effort
    format schema output_config metadata user_id max_tokens temperature stream service_tier""".split()
VALUES = """text image document thinking redacted_thinking tool_use tool_result user assistant system base64
    url file auto any tool enabled adaptive https://e.com AAAA""".split()
ANY_JSON = nonsense(NAMES, VALUES, beyond=True)
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(VALUES)},
        optional={name: ANY_JSON for name in NAMES[3:16]},
    ),
    max_size=3,
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": BLOCKS | ANY_JSON}
    ),
    max_size=3,
)


@settings(max_examples=250, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), ANY_JSON, max_size=5), MESSAGES | ANY_JSON)
def test_nonsense_from_a_caller_is_refused_and_never_a_crash(
    given_body: Any, messages: Any
) -> None:
    for wrong in (given_body, {"model": "m", **given_body, "messages": messages}):
        try:
            write_request(read_request(wrong), FACTS)
        except BadRequest as error:
            assert error.param


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_a_status_has_its_type(status: int, kind: str) -> None:  # C-218
    assert write_error(Trouble("No.", status, type="server_error")) == {
        "type": "error",
        "error": {"type": kind, "message": "No."},
    }


def test_a_type_of_another_vendor_does_not_outdo_the_status() -> None:  # K-089
    wrong = Trouble("No.", 404, type="invalid_request_error")
    assert write_error(wrong)["error"]["type"] == "not_found_error"
    silent = Trouble("No.", type="overloaded_error")
    assert write_error(silent)["error"]["type"] == "overloaded_error"


def test_a_context_too_long_is_told_in_the_words_clients_look_for() -> None:
    trouble = Trouble("too many tokens", 400, code="context_length_exceeded")
    assert write_error(trouble)["error"]["message"] == "prompt is too long: too many tokens"


@pytest.mark.parametrize(
    "told, trouble",
    [
        (
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "max_tokens: no"},
            },
            Trouble("max_tokens: no", 400, "", "invalid_request_error", "max_tokens"),
        ),
        (
            {"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}},
            Trouble("prompt is too long: 9 tokens > 8 maximum", 400, "context_length_exceeded"),
        ),
        (
            {"error": {"message": "Your credit balance is too low to go on"}},
            Trouble("Your credit balance is too low to go on", 400, "authentication_error"),
        ),
        ({"error": "words"}, Trouble("words", 400)),
        ([{"error": {"message": "in a list"}}], Trouble("in a list", 400)),
        ({"error": {"message": 5, "type": []}}, Trouble("", 400)),
        (None, Trouble("", 400)),
        ([], Trouble("", 400)),
        (5, Trouble("", 400)),
    ],
)
def test_any_error_body_can_be_read(told: Any, trouble: Trouble) -> None:
    assert read_error(400, told) == trouble


def test_usage_of_a_whole_answer_is_found() -> None:
    usage = {"input_tokens": 1, "cache_read_input_tokens": 2, "output_tokens": 3}
    found = find_usage({"usage": usage | {"cache_creation_input_tokens": None}})
    assert found is not None and (found.input, found.output, found.cached) == (3, 3, 2)
    assert find_usage({}) is None


def test_a_whole_answer_is_read() -> None:
    reply = read_reply(
        {
            "id": "msg_1",
            "model": "m",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "S"},
                {"type": "text", "text": "Hi", "citations": None},
                {"type": "tool_use", "id": "t", "name": "w", "input": {"a": 1}},
            ],
            "stop_reason": "stop_sequence",
            "stop_sequence": "END",
            "usage": {"input_tokens": 1, "output_tokens": 2},
        }
    )
    assert reply.parts == (
        Thinking("", Opaque(NAME, {"signature": "S"})),
        Text("Hi"),
        ToolCall("t", "w", '{"a":1}'),
    )
    assert (reply.reason, reply.stop_sequence) == ("stop_sequence", "END")
