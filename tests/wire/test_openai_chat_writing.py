"""Chat requests as they go to a platform, for models that differ, and fields that are wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.canonical.model import ModelFacts
from app.canonical.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Link,
    Opaque,
    Refusal,
    Stored,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
)
from app.canonical.request import (
    ChatRequest,
    Format,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
    Turn,
)
from app.errors import BadRequest
from app.wire import fields
from app.wire.openai_chat import read_request, write_request
from app.wire.openai_chat_patch import patch_request

HELLO = Turn("user", (Text("hello"),))
PLAIN = ChatRequest("m", (HELLO,))
BASE = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOLS = {"tools": [{"type": "function", "function": FUNCTION}]}
FORCED = {"type": "function", "function": {"name": "f"}}


def written(facts: ModelFacts = ModelFacts(), **more) -> dict:
    """What is written beyond the least there can be."""
    body = write_request(replace(PLAIN, **more), facts)
    return {name: value for name, value in body.items() if BASE.get(name) != value}


@pytest.mark.parametrize(
    "facts, more, told",
    [
        (ModelFacts(), {}, {}),
        (ModelFacts(), {"max_output": 9}, {"max_completion_tokens": 9}),
        (ModelFacts(modern_limit=False), {"max_output": 9}, {"max_tokens": 9}),
        (ModelFacts(max_output=5), {"max_output": 9}, {"max_completion_tokens": 5}),
        (ModelFacts(), {"reasoning": Reasoning("xhigh")}, {"reasoning_effort": "xhigh"}),
        (
            ModelFacts(efforts=("low", "high")),
            {"reasoning": Reasoning("xhigh")},
            {"reasoning_effort": "high"},
        ),
        (
            ModelFacts(efforts=("low", "high")),
            {"reasoning": Reasoning("medium")},
            {"reasoning_effort": "low"},
        ),
        (ModelFacts(), {"reasoning": Reasoning(budget=9)}, {}),
        *(
            (
                ModelFacts(efforts=("none", "low", "medium", "high")),
                {"reasoning": Reasoning(budget=budget)},
                {"reasoning_effort": effort},
            )
            for budget, effort in [
                (0, "none"),
                (9, "low"),
                (4096, "medium"),
                (16384, "high"),
                (-1, "medium"),
            ]
        ),
        (
            ModelFacts(refuses=frozenset({"seed"}), refuses_thinking=frozenset({"temperature"})),
            {"sampling": Sampling(temperature=1.0, seed=1, top_p=0.5)},
            {"top_p": 0.5},
        ),
        (
            ModelFacts(refuses_thinking=frozenset({"temperature"})),
            {"sampling": Sampling(temperature=1.0), "reasoning": Reasoning("none")},
            {"temperature": 1.0, "reasoning_effort": "none"},
        ),
        (ModelFacts(), {"variants": 2}, {"n": 2}),
        (ModelFacts(), {"format": Format("json")}, {"response_format": {"type": "json_object"}}),
        (
            ModelFacts(),
            {"format": Format("schema", schema={"type": "object"})},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}},
                }
            },
        ),
        (ModelFacts(), {"tool_choice": ToolChoice("required")}, {}),
        *(
            (ModelFacts(), {"tools": (Tool("f"),), "tool_choice": choice}, TOOLS | told)
            for choice, told in [
                (None, {}),
                (ToolChoice(), {"tool_choice": "auto"}),
                (ToolChoice("none"), {"tool_choice": "none"}),
                (ToolChoice("auto", (), True), {"parallel_tool_calls": True}),
                (ToolChoice("required", ("f",)), {"tool_choice": FORCED}),
                (
                    ToolChoice("auto", ("f",)),
                    {
                        "tool_choice": {
                            "type": "allowed_tools",
                            "allowed_tools": {"mode": "auto", "tools": [FORCED]},
                        }
                    },
                ),
            ]
        ),
        (
            ModelFacts(),
            {"tools": (Tool("web", kind="hosted", opaque=Opaque("openai_chat", {"type": "web"})),)},
            {"tools": [{"type": "web"}]},
        ),
        (ModelFacts(), {"tools": (Tool("web", kind="hosted", opaque=Opaque("other", {})),)}, {}),
        (
            ModelFacts(),
            {"tools": (Tool("g", "d", kind="custom"),)},
            {"tools": [{"type": "custom", "custom": {"name": "g", "description": "d"}}]},
        ),
        (
            ModelFacts(),
            {"extras": Opaque("openai_chat", {"store": True, "odd": 1})},
            {"store": True},
        ),
        (ModelFacts(), {"extras": Opaque("other", {"store": True})}, {}),
    ],
)
def test_a_request_is_written_as_the_model_takes_it(facts, more, told):
    """C-069 to C-079, K-035 to K-039, K-043, C-133."""
    assert written(facts, **more) == told


def messages(*parts, role="user", name="") -> list[dict]:
    told: list[dict] = write_request(ChatRequest("m", (Turn(role, parts, name),)), ModelFacts())[
        "messages"
    ]
    return told


@pytest.mark.parametrize(
    "part, told",
    [
        (Text("a"), "a"),
        (Refusal("a"), "a"),
        (
            Image(Link("https://x"), "low"),
            {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
        ),
        (
            Image(Inline("image/png", "AA==")),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        ),
        (Document(Stored("openai_chat", "f-1")), {"type": "file", "file": {"file_id": "f-1"}}),
        (
            Document(Inline("application/pdf", "AA==")),
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "file.pdf"},
            },
        ),
        *(
            (
                Audio(Inline(kind, "AA==")),
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": form}},
            )
            for kind, form in [
                ("audio/mpeg", "mp3"),
                ("audio/mp3", "mp3"),
                ("audio/x-wav", "wav"),
                ("audio/wav", "wav"),
            ]
        ),
    ],
    ids=str,
)
def test_a_part_is_written_as_openai_documents_it(part, told):
    content = told if isinstance(told, str) else [told]

    assert messages(part, name="n") == [{"role": "user", "content": content, "name": "n"}]


@pytest.mark.parametrize("part", [Video(Link("https://x")), Audio(Link("https://x"))])
def test_what_the_dialect_has_no_place_for_is_refused_by_its_type(part):
    """C-063."""
    with pytest.raises(BadRequest, match=type(part).__name__.lower()):
        messages(part)


def test_attachments_of_a_result_follow_in_a_message_of_the_user():
    image = Image(Link("https://x"))

    assert messages(
        ToolResult("c1", (image,)), ToolResult("c2", (Text("a"), Text("b"))), Text("so?")
    ) == [
        {"role": "tool", "tool_call_id": "c1", "content": "(see the attachment below)"},
        {"role": "tool", "tool_call_id": "c2", "content": "a\nb"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://x"}},
                {"type": "text", "text": "so?"},
            ],
        },
    ]


def test_thoughts_and_what_is_others_own_are_left_out():
    nothing = [{"role": "user", "content": ""}]

    assert messages(Thinking("hm"), role="assistant") == nothing
    assert messages(Opaque("other", {}), Text("")) == nothing
    assert messages(Thinking("hm"), Refusal("no"), ToolCall("c", "f", ""), role="assistant") == [
        {
            "role": "assistant",
            "content": None,
            "refusal": "no",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        }
    ]


@pytest.mark.parametrize(
    "more, param",
    [
        ({"messages": []}, "messages"),
        ({"messages": "x"}, "messages"),
        ({"messages": None}, "messages"),
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{"role": []}]}, "messages[0].role"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "tool_calls": 5}]}, "messages[0].tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]},
            "messages[0].tool_calls[0].function",
        ),
        ({"temperature": True}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": 2**60}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stop": [5]}, "stop[0]"),
        ({"stream_options": 5}, "stream_options"),
        ({"logit_bias": []}, "logit_bias"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning_effort": ["low"]}, "reasoning_effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name"),
        ({"functions": [{"name": "f", "parameters": []}]}, "functions[0].parameters"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function.name"),
        ({"tool_choice": {"type": "custom", "custom": {}}}, "tool_choice.custom.name"),
        ({"tool_choice": {"function": 5}}, "tool_choice.function"),
        ({"tool_choice": {"function": {"name": 5}}}, "tool_choice.function.name"),
        ({"tool_choice": {"name": 5}}, "tool_choice.name"),
        ({"tool_choice": {"allowed_tools": {}}}, "tool_choice.allowed_tools.tools"),
        (
            {"tool_choice": {"allowed_tools": {"tools": [FORCED, {"type": "function"}]}}},
            "tool_choice.allowed_tools.tools[1].function.name",
        ),
        ({"n": 0}, "n"),
        ({"user": 5}, "user"),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(more, param):
    """C-052, C-053, R-098."""
    with pytest.raises(BadRequest) as refused:
        read_request(BASE | more)
    assert refused.value.param == param and param in str(refused.value)


def test_allowed_tools_and_hosted_ones_are_read():
    allowed = {"mode": "required", "tools": [FORCED, {"type": "custom", "custom": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    request = read_request(BASE | {"tools": [{"type": "web"}], "tool_choice": choice})

    assert request.tool_choice == ToolChoice("required", ("f", "g"))
    assert request.tools == (
        Tool("web", kind="hosted", opaque=Opaque("openai_chat", {"type": "web"})),
    )


def test_a_mark_for_a_cache_travels_with_its_text():
    """K-036."""
    mark = {"type": "ephemeral"}
    part = {"type": "text", "text": "a", "cache_control": mark}
    request = read_request({"model": "m", "messages": [{"role": "user", "content": [part]}]})

    assert request.turns[0].parts == (
        Text("a", Opaque("anthropic_messages", {"cache_control": mark})),
    )


@pytest.mark.parametrize(
    "body, facts",
    [
        (BASE | {"stop": ["a"]}, ModelFacts(refuses=frozenset({"stop"}))),
        (BASE | {"reasoning_effort": "max"}, ModelFacts(efforts=("low",))),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "http://x"}}],
                    }
                ]
            },
            ModelFacts(),
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "text", "text": "a", "cache_control": {}}],
                    }
                ]
            },
            ModelFacts(),
        ),
        ({"messages": [{"role": "user", "content": []}]}, ModelFacts()),
        ({"messages": [{"role": "user", "content": "a", "tool_calls": 5}]}, ModelFacts()),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "a"}], "tool_calls": 5}
                ]
            },
            ModelFacts(),
        ),
    ],
    ids=str,
)
def test_what_a_patch_cannot_do_is_left_to_the_translation(body, facts):
    assert patch_request(BASE | body, "m", facts) is None


def test_a_picture_that_openai_opens_itself_is_left_where_it_is():
    url = {"url": "https://x/y.png", "detail": "low"}
    content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": url}]
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}

    assert patch_request(body, "n", ModelFacts()) == body | {"model": "n"}


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize(
    "value, number",
    [
        (None, None),
        (1, 1),
        (1.5, 1.5),
        ("1.5", 1.5),
        ("2", 2),
        (" 3 ", 3),
        (-1, -1),
        (2**53, 2**53),
    ],
)
def test_a_number_may_come_as_text(value, number):
    """K-045."""
    assert fields.optional_number({"x": value}, "x") == number


@pytest.mark.parametrize(
    "value",
    [True, "x", "", [], {}, float("nan"), float("inf"), "nan", "inf", "1e400", 2**53 + 1, 10**400],
)
def test_what_is_no_number_is_refused(value):
    for read in (fields.optional_number, fields.optional_int):
        with pytest.raises(BadRequest):
            read({"x": value}, "x")


@pytest.mark.parametrize(
    "value, counted",
    [(0, 0), (10**12, 10**12), (-1, 0), (10**12 + 1, 0), (True, 0), (1.0, 0), ("1", 0), (None, 0)],
)
def test_a_count_that_cannot_be_is_nothing(value, counted):
    """R-016."""
    assert fields.count(value) == counted and fields.is_count(value) is (
        counted == value and value is not True
    )
