"""What is sent to Anthropic is what Anthropic takes, whatever the caller asked for and whichever
model answers.

The simulator holds the vendor's rules; its `accept` is asked here directly, without a socket.
"""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.canonical.model import ModelFacts
from app.canonical.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Refusal,
    Stored,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
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
from app.platforms.claude_api import PLATFORM
from app.simulators import anthropic_models
from app.simulators.anthropic_limits import accept
from app.simulators.anthropic_thoughts import redacted, signature
from app.wire import openai_chat
from app.wire.anthropic_messages import NAME, write_request

VERSION = "2023-06-01"
MODELS = [model.id for model in PLATFORM.catalogue.models]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(40)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n" + bytes(40)).decode()
WORDS = base64.b64encode(b"a,b\n1,2\n").decode()
SCHEMA = {"type": "object", "properties": {"c": {"type": "string", "minLength": 2}}}
TOOL = Tool("w", "weather", SCHEMA)
HI = Turn("user", (Text("Hi"),))
CALL = Turn("assistant", (ToolCall("call_1", "w", '{"c":"Rome"}'),))
RESULT = Turn("user", (ToolResult("call_1", (Text("20"),)),))
RECURSIVE = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/n"}},
    "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}},
}


def asked(*turns: Turn, **rest: Any) -> ChatRequest:
    return ChatRequest(model="claude-sonnet-5", turns=turns or (HI,), **rest)


def signed(text: str) -> Thinking:
    return Thinking(text, Opaque(NAME, {"signature": signature("MODEL", text)}))


CASES: dict[str, ChatRequest] = {
    "plain": asked(),
    "system": asked(system=(Text("Be brief."), Text("  "))),
    "nothing but a system text": ChatRequest("m", (), system=(Text("Be brief."),)),
    "tools": asked(tools=(TOOL,)),
    "forced tool": asked(tools=(TOOL,), tool_choice=ToolChoice("required", ("w",))),
    "any tool": asked(tools=(TOOL,), tool_choice=ToolChoice("required")),
    "no tool": asked(tools=(TOOL,), tool_choice=ToolChoice("none")),
    "choice without tools": asked(tool_choice=ToolChoice("required", ("w",))),
    "one at a time": asked(tools=(TOOL,), tool_choice=ToolChoice("auto", parallel=False)),
    "strict tool": asked(tools=(replace(TOOL, strict=True),)),
    "strict tool that refers to itself": asked(tools=(Tool("w", "", RECURSIVE, strict=True),)),
    "tool without a schema": asked(tools=(Tool("w"),)),
    "tool with alternatives": asked(
        tools=(Tool("w", "", {"anyOf": [SCHEMA, {"type": "object"}]}),)
    ),
    "custom tool": asked(tools=(Tool("w", kind="custom"),)),
    "forced while thinking": asked(
        tools=(TOOL,),
        tool_choice=ToolChoice("required", ("w",)),
        reasoning=Reasoning(effort="high"),
    ),
    **{
        f"effort {effort}": asked(reasoning=Reasoning(effort=effort))
        for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    },
    **{
        f"budget {budget}": asked(reasoning=Reasoning(budget=budget))
        for budget in (-1, 0, 10, 5000, 10**6)
    },
    "thoughts in words": asked(reasoning=Reasoning(visible=True)),
    "little room for thought": asked(reasoning=Reasoning(effort="max"), max_output=100),
    "more room than there is": asked(max_output=10**7),
    "temperature and top_p": asked(sampling=Sampling(temperature=1.3, top_p=0.5)),
    "top_p": asked(sampling=Sampling(top_p=0.5)),
    "sampling while thinking": asked(
        sampling=Sampling(temperature=0.3, top_p=0.5, top_k=4), reasoning=Reasoning(effort="low")
    ),
    "stop": asked(sampling=Sampling(stop=("END", " "))),
    "schema": asked(format=Format("schema", schema=SCHEMA)),
    "schema that refers to itself": asked(format=Format("schema", schema=RECURSIVE)),
    "schema of a list": asked(format=Format("schema", schema={"type": "array", "items": SCHEMA})),
    "json": asked(format=Format("json")),
    "schema, effort and answer begun": asked(
        HI,
        Turn("assistant", (Text("{"),)),
        format=Format("schema", schema=SCHEMA),
        reasoning=Reasoning(effort="high"),
    ),
    "images": asked(
        Turn(
            "user",
            (
                Image(Inline("image/png", PNG)),
                Image(Inline("image/png", JPEG)),
                Image(Link("https://example.com/a.png")),
            ),
        )
    ),
    "pdf": asked(Turn("user", (Document(Inline("application/pdf", PDF), "a.pdf"), Text("Sum up")))),
    "text file": asked(Turn("user", (Document(Inline("text/csv", WORDS), "a.csv"),))),
    "system in mid-conversation": asked(HI, Turn("system", (Text("Now in French."),))),
    "system between questions": asked(HI, Turn("system", (Text("In French."),)), HI),
    "system before an answer": asked(
        HI, Turn("system", (Text("In French."),)), Turn("assistant", (Text("Oui"),)), HI
    ),
    "system first": asked(Turn("system", (Text("In French."),)), HI),
    "call and result": asked(HI, CALL, RESULT, tools=(TOOL,)),
    "call and result while thinking": asked(
        HI, CALL, RESULT, tools=(TOOL,), reasoning=Reasoning(effort="high")
    ),
    "results apart and with an image": asked(
        HI,
        Turn("assistant", (Text(""), ToolCall("a", "w", ""), ToolCall("b.c", "w", "no json"))),
        Turn("user", (ToolResult("a", ()),)),
        Turn("user", (Text("and"), ToolResult("b.c", (Image(Inline("image/png", PNG)),), True))),
        tools=(TOOL,),
    ),
    "answer begun": asked(HI, Turn("assistant", (Text("I am "),))),
    "answer first": asked(Turn("assistant", (Text("Hello"),)), HI),
    "blank texts": asked(Turn("user", (Text(" "),)), HI, Turn("assistant", (Text(""),)), HI),
    "thought replayed": asked(
        HI,
        Turn("assistant", (signed("Rome?"), *CALL.parts)),
        RESULT,
        tools=(TOOL,),
        reasoning=Reasoning(effort="medium"),
    ),
    "redacted thought replayed": asked(
        HI,
        Turn(
            "assistant",
            (
                Thinking(
                    "", Opaque(NAME, {"type": "redacted_thinking", "data": redacted("MODEL", "x")})
                ),
                *CALL.parts,
            ),
        ),
        RESULT,
        tools=(TOOL,),
        reasoning=Reasoning(budget=3000),
    ),
    "thoughts of others": asked(
        HI,
        Turn(
            "assistant", (Thinking("a"), Thinking("b", Opaque("gemini_generate", "s")), Text("c"))
        ),
        HI,
        reasoning=Reasoning(effort="low"),
    ),
    "thought signed by nobody": asked(HI, Turn("assistant", (Thinking("a", Opaque(NAME, 5)),)), HI),
    "refusal and picture said": asked(
        HI, Turn("assistant", (Refusal("No."), Image(Inline("image/png", PNG)))), HI
    ),
    "user known by mail": asked(user="ada@example.com"),
    "user with a long name": asked(user="x" * 300),
    "tiers": asked(service_tier="flex"),
}


def facts_of(model: str) -> ModelFacts:
    return PLATFORM.catalogue.facts(model)


@pytest.mark.parametrize("model", [*MODELS, "claude-sonnet-4-5-20250929", "claude-newest-9"])
@pytest.mark.parametrize("case", CASES)
def test_every_model_takes_what_it_is_sent(
    case: str, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(anthropic_models.LISTED, "claude-newest-9", "One we have not heard of")
    body = write_request(replace(CASES[case], model=model), facts_of(model))
    accept(_signed_by(orjson.loads(orjson.dumps(body)), model), (), version=VERSION)


def _signed_by(body: dict[str, Any], model: str) -> dict[str, Any]:
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "thinking":
                block["signature"] = signature(model, block["thinking"])
            elif block["type"] == "redacted_thinking":
                block["data"] = redacted(model, "x")
    return body


@pytest.mark.parametrize(
    "model, effort, thinking, told",
    [
        ("claude-haiku-4-5", "medium", {"type": "enabled", "budget_tokens": 8192}, None),
        ("claude-haiku-4-5", "none", None, None),
        ("claude-opus-4-5", "max", {"type": "enabled", "budget_tokens": 59904}, "high"),
        ("claude-opus-4-6", "xhigh", {"type": "adaptive", "display": "summarized"}, "high"),
        ("claude-opus-4-8", "xhigh", {"type": "adaptive", "display": "summarized"}, "xhigh"),
        ("claude-sonnet-5", "none", {"type": "disabled"}, None),
        ("claude-opus-5-5", "none", None, "low"),
        ("claude-opus-5-5", None, None, None),
    ],
)
def test_thinking_is_asked_for_in_the_currency_of_the_model(
    model: str, effort: Any, thinking: Any, told: str | None
) -> None:
    request = replace(asked(reasoning=Reasoning(effort=effort)), model=model)
    body = write_request(request, facts_of(model))
    assert body.get("thinking") == thinking
    assert body.get("output_config") == (None if told is None else {"effort": told})


def test_a_budget_leaves_room_for_the_answer() -> None:
    request = asked(reasoning=Reasoning(budget=3000), max_output=500)
    body = write_request(replace(request, model="claude-haiku-4-5"), facts_of("claude-haiku-4-5"))
    assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (3500, 3000)


def test_a_model_that_refuses_forced_tools_is_told_in_words() -> None:
    request = replace(CASES["forced tool"], model="claude-opus-5-5")
    body = write_request(request, facts_of(request.model))
    assert body["tool_choice"] == {"type": "auto"}
    assert "the tool w" in body["system"][-1]["text"]


def test_a_model_nobody_has_described_gets_what_the_caller_said() -> None:
    request = asked(
        sampling=Sampling(temperature=0.5, stop=("END",)), reasoning=Reasoning(effort="xhigh")
    )
    assert write_request(request, ModelFacts()) == {
        "model": "claude-sonnet-5",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": "Hi"}],
        "stop_sequences": ["END"],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "xhigh"},
    }


@pytest.mark.parametrize(
    "turns, part",
    [
        ((HI, CALL), "call_1 have no result"),
        ((HI, CALL, HI), "call_1 have no result"),
        ((HI, RESULT), "call_1 answer no call"),
        ((RESULT,), "call_1 answer no call"),
    ],
)
def test_a_call_and_its_result_belong_together(turns: tuple[Turn, ...], part: str) -> None:
    with pytest.raises(BadRequest) as caught:
        write_request(asked(*turns), ModelFacts())
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "part",
    [
        Audio(Inline("audio/wav", WORDS)),
        Image(Inline("image/bmp", base64.b64encode(b"BM" + bytes(40)).decode())),
        Document(Inline("application/zip", base64.b64encode(b"PK\x03\x04\xff").decode())),
        Document(Stored("openai_chat", "file-1")),
    ],
)
def test_what_the_platform_cannot_read_is_refused_by_name(part: Part) -> None:
    with pytest.raises(BadRequest):
        write_request(asked(Turn("user", (part,))), ModelFacts())


def test_a_system_text_stays_where_it_was_said() -> None:
    request = CASES["system in mid-conversation"]
    new = write_request(request, facts_of("claude-opus-5"))["messages"]
    assert new == [
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": "Now in French."},
    ]
    old = write_request(request, facts_of("claude-sonnet-5"))["messages"]
    assert [block["text"] for block in old[0]["content"]] == ["Hi", "Now in French."]


def test_the_worked_example_is_written_as_the_vendor_wants_it() -> None:
    request = openai_chat.read_request(
        {
            "model": "claude-sonnet-5",
            "max_completion_tokens": 2000,
            "temperature": 1.3,
            "reasoning_effort": "low",
            "parallel_tool_calls": False,
            "stop": ["END", " "],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": "Use tools."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "Compare"},
                        {
                            "type": "image_url",
                            "image_url": {"url": f"data:image/jpg;base64,{JPEG}"},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [_called("call_1", '{"c":"Rome"}'), _called("call.2", "")],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "20"},
                {"role": "tool", "tool_call_id": "call.2", "content": ""},
                {"role": "user", "content": "go on"},
            ],
            "tools": [{"type": "function", "function": {"name": "w", "parameters": _PARAMETERS}}],
        }
    )
    body = write_request(request, facts_of("claude-sonnet-5"))
    second = body["messages"][1]["content"][1]["id"]
    picture = {"type": "base64", "media_type": "image/jpeg", "data": JPEG}
    assert body == {
        "model": "claude-sonnet-5",
        "max_tokens": 2000,
        "stop_sequences": ["END"],
        "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Use tools."}],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low"},
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "tools": [{"name": "w", "input_schema": _PARAMETERS}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Compare"},
                    {"type": "image", "source": picture},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "w", "input": {"c": "Rome"}},
                    {"type": "tool_use", "id": second, "name": "w", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "20"},
                    {"type": "tool_result", "tool_use_id": second},
                    {"type": "text", "text": "go on"},
                ],
            },
        ],
    }


_PARAMETERS = {"type": "object", "properties": {"c": {"type": "string"}}}


def _called(call_id: str, arguments: str) -> dict[str, Any]:
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": "w", "arguments": arguments},
    }
