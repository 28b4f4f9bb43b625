"""What the platform is sent in the Responses dialect, by model and by what was asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

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
from app.upstream.platform import Catalogue
from app.wire.openai_responses import NAME, write_request
from app.wire.openai_responses_items import short

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "app/platforms/codex.json")
HELLO = Turn("user", (Text("Hello"),))
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}


def write(request: ChatRequest, model: str = "gpt-4.1") -> dict[str, Any]:
    return write_request(request, CATALOGUE.facts(model))


def turns(*said: Turn, **more: Any) -> ChatRequest:
    return ChatRequest("m", said, **more)


FOREIGN = Opaque("anthropic_messages", {"signature": "sig"})
GEMINI = Opaque("gemini_generate", "thought-sig")


def test_foreign_signatures_are_not_sent() -> None:
    said = Turn(
        "assistant",
        (
            Thinking("Hm", FOREIGN),
            Text("A", GEMINI),
            ToolCall("c", "f", "{}", opaque=GEMINI),
            GEMINI,
        ),
    )
    heard = Turn("user", (ToolResult("c", ()),))

    assert write(turns(HELLO, said, heard))["input"][1:] == [
        {"role": "assistant", "content": "A"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ]


def test_thoughts_are_replayed_only_sealed_and_with_what_they_led_to() -> None:
    bare = {"type": "reasoning", "id": "rs_2", "summary": []}
    request = turns(
        HELLO,
        Turn("assistant", (Thinking("", Opaque(NAME, bare)), Text("A"))),
        HELLO,
        Turn("assistant", (Thinking("", Opaque(NAME, SEALED)),)),
        HELLO,
        Turn("assistant", (Thinking("", Opaque(NAME, SEALED)), ToolCall("c", "f", ""))),
        Turn("user", (ToolResult("c", (Text("1"), Text("2"))),)),
    )
    hello = {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}

    assert write(request)["input"] == [
        hello,
        {"role": "assistant", "content": "A"},
        hello,
        hello,
        SEALED,
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "1"}, {"type": "input_text", "text": "2"}],
        },
    ]


def test_where_items_are_stored_a_bare_thought_is_replayed() -> None:
    bare = {"type": "reasoning", "id": "rs_2", "summary": []}
    request = turns(
        HELLO,
        Turn("assistant", (Thinking("", Opaque(NAME, bare)), Text("A"))),
        extras=Opaque(NAME, {"store": True}),
    )

    assert write(request)["input"][1] == bare


def test_a_lone_system_message_becomes_the_input() -> None:
    """K 2.12: some programs send a developer message and nothing else."""
    written = write(turns(system=(Text("Say hi"),)))

    assert "instructions" not in written
    assert written["input"] == [
        {"role": "developer", "content": [{"type": "input_text", "text": "Say hi"}]}
    ]


def test_long_call_ids_are_shortened_alike_on_both_sides() -> None:
    long = "x" * 65
    said = Turn("assistant", (ToolCall(long, "f", "{}"),))
    items = write(turns(HELLO, said, Turn("user", (ToolResult(long, ()),))))["input"]

    assert items[1]["call_id"] == items[2]["call_id"] == short(long)
    assert len(short(long)) <= 64 and short("c") == "c" and short("")


def test_the_result_of_a_free_text_call_is_written_as_such() -> None:
    said = Turn("assistant", (ToolCall("c", "f", "go", custom=True),))
    items = write(turns(HELLO, said, Turn("user", (ToolResult("c", (Text("ok"),)),))))["input"]

    assert items[1:] == [
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "go"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Audio(Inline("audio/wav", "AAAA")),
        Video(Link("https://x.test/a.mp4")),
        Image(Stored("gemini_generate", "files/1")),
    ],
)
def test_what_the_platform_cannot_take_is_told(part: Any) -> None:
    """C-063."""
    with pytest.raises(BadRequest) as caught:
        write(turns(Turn("user", (part,))))
    assert caught.value.param == "input"


def test_files_without_a_name_get_one_and_files_of_the_vendor_keep_their_id() -> None:
    parts = (
        Document(Inline("text/csv", "YQ==")),
        Document(Stored("openai_chat", "file-1")),
        Refusal("no"),
        Image(Link("https://x.test/a"), "ultra"),
    )

    assert write(turns(Turn("user", parts)))["input"][0]["content"] == [
        {"type": "input_file", "filename": "file.csv", "file_data": "data:text/csv;base64,YQ=="},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_text", "text": "no"},
        {"type": "input_image", "image_url": "https://x.test/a", "detail": "auto"},
    ]


PLAIN = {
    "model": "m",
    "store": False,
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
    "stream": False,
}
SEALED_ONLY = {"include": ["reasoning.encrypted_content"]}


@pytest.mark.parametrize(
    ("model", "asked", "written"),
    [
        ("gpt-4.1", {}, {}),
        (
            "gpt-4.1",
            {"sampling": Sampling(temperature=0.3, top_p=0.9)},
            {"temperature": 0.3, "top_p": 0.9},
        ),
        (
            "gpt-4.1",
            {
                "sampling": Sampling(
                    stop=("x",), seed=1, top_k=2, presence_penalty=1.0, logit_bias={}
                )
            },
            {},
        ),
        ("gpt-4.1", {"reasoning": Reasoning(effort="high", visible=True)}, {}),
        ("gpt-4.1", {"max_output": 1}, {"max_output_tokens": 16}),
        ("gpt-4.1", {"max_output": 10**9}, {"max_output_tokens": 32768}),
        ("gpt-6-sol", {}, {"reasoning": {"summary": "auto"}, **SEALED_ONLY}),
        (
            "gpt-6-sol",
            {"reasoning": Reasoning("low", told=False)},
            {"reasoning": {"effort": "low"}},
        ),
        (
            "gpt-6-sol",
            {"sampling": Sampling(temperature=0.3)},
            {"reasoning": {"summary": "auto"}, **SEALED_ONLY},
        ),
        (
            "gpt-6-sol",
            {"reasoning": Reasoning(effort="none"), "sampling": Sampling(temperature=0.3)},
            {"reasoning": {"effort": "none"}, "temperature": 0.3, **SEALED_ONLY},
        ),
        (
            "gpt-6.1-sol",
            {"reasoning": Reasoning(effort="none"), "sampling": Sampling(temperature=0.3)},
            {"reasoning": {"effort": "low", "summary": "auto"}, **SEALED_ONLY},
        ),
        (
            "gpt-6-sol",
            {"reasoning": Reasoning(budget=20000, visible=False)},
            {"reasoning": {"effort": "high"}, **SEALED_ONLY},
        ),
        (
            "gpt-5-pro",
            {"reasoning": Reasoning(effort="low")},
            {"reasoning": {"effort": "high", "summary": "auto"}, **SEALED_ONLY},
        ),
        (
            "gpt-5.5",
            {"reasoning": Reasoning(effort="max")},
            {"reasoning": {"effort": "xhigh", "summary": "auto"}, **SEALED_ONLY},
        ),
        ("unheard-of", {}, SEALED_ONLY),
        (
            "unheard-of",
            {"reasoning": Reasoning(effort="max")},
            {"reasoning": {"effort": "max"}, **SEALED_ONLY},
        ),
        ("gpt-4.1", {"format": Format("json")}, {"text": {"format": {"type": "json_object"}}}),
        (
            "gpt-4.1",
            {"format": Format("schema", schema={"type": "object"}), "verbosity": "low"},
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "response",
                        "schema": {"type": "object"},
                    },
                    "verbosity": "low",
                }
            },
        ),
        ("gpt-4.1", {"verbosity": "loud", "service_tier": "standard_only"}, {}),
        (
            "gpt-4.1",
            {"user": "me", "service_tier": "flex"},
            {"safety_identifier": "me", "service_tier": "flex"},
        ),
        (
            "gpt-4.1",
            {"stream": True},
            {"stream": True, "stream_options": {"include_obfuscation": False}},
        ),
        ("gpt-4.1", {"tool_choice": ToolChoice("required")}, {}),
        ("gpt-4.1", {"extras": Opaque("anthropic_messages", {"metadata": {}})}, {}),
        (
            "gpt-4.1",
            {"extras": Opaque("openai_chat", {"metadata": {"a": "b"}, "audio": {}, "store": True})},
            {"metadata": {"a": "b"}, "store": True},
        ),
        (
            "gpt-4.1",
            {
                "extras": Opaque(
                    "openai_chat",
                    {
                        "web_search_options": {
                            "search_context_size": "low",
                            "user_location": {
                                "type": "approximate",
                                "approximate": {"city": "Oslo"},
                            },
                        }
                    },
                )
            },
            {
                "tools": [
                    {
                        "type": "web_search",
                        "search_context_size": "low",
                        "user_location": {"type": "approximate", "city": "Oslo"},
                    }
                ]
            },
        ),
    ],
)
def test_a_request_is_written_as_the_model_takes_it(
    model: str, asked: dict[str, Any], written: dict[str, Any]
) -> None:
    """K-037: what a model refuses is not sent; C-074: stop sequences are somebody else's job."""
    assert write(turns(HELLO, **asked), model) == PLAIN | written


def test_identifiers_that_are_too_long_are_made_to_fit() -> None:
    written = write(turns(HELLO, user="u" * 100, cache_key="k" * 100))

    assert len(written["safety_identifier"]) == len(written["prompt_cache_key"]) == 64
    assert written["safety_identifier"] != written["prompt_cache_key"]


def test_a_format_without_a_schema_is_told() -> None:
    with pytest.raises(BadRequest) as caught:
        write(turns(HELLO, format=Format("schema", "n")))
    assert caught.value.param == "text.format.schema"


FUNCTION = Tool("f", schema={"type": "object"})
CUSTOM = Tool(
    "g",
    kind="custom",
    opaque=Opaque(
        "openai_chat",
        {
            "name": "g",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}},
        },
    ),
)
SEARCH = Tool("web_search", kind="hosted", opaque=Opaque(NAME, {"type": "web_search"}))
ELSEWHERE = Tool(
    "googleSearch", kind="hosted", opaque=Opaque("gemini_generate", {"googleSearch": {}})
)


def test_tools_are_written_flat() -> None:
    written = write(turns(HELLO, tools=(FUNCTION, Tool("h"), CUSTOM, SEARCH, ELSEWHERE)))

    assert written["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {
            "type": "function",
            "name": "h",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
        {
            "type": "custom",
            "name": "g",
            "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
        },
        {"type": "web_search"},
    ]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("required", ("f",)), {"type": "function", "name": "f"}),
        (ToolChoice("required", ("g",)), {"type": "custom", "name": "g"}),
        (ToolChoice("required", ("web_search",)), {"type": "web_search"}),
        (ToolChoice("required", ("gone",)), "required"),
        (
            ToolChoice("auto", ("f", "g")),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}],
            },
        ),
    ],
)
def test_a_tool_choice_is_written(choice: ToolChoice, written: Any) -> None:
    request = turns(HELLO, tools=(FUNCTION, CUSTOM, SEARCH), tool_choice=choice)

    assert write(request)["tool_choice"] == written


def test_a_model_that_refuses_to_be_forced_is_asked() -> None:
    request = turns(HELLO, tools=(FUNCTION,), tool_choice=ToolChoice("required", parallel=False))

    written = write_request(request, ModelFacts(forced_tools=False))

    assert (written["tool_choice"], written["parallel_tool_calls"]) == ("auto", False)


def test_every_listed_model_is_described() -> None:
    undescribed = ModelFacts()
    for model in CATALOGUE.models:
        facts = replace(CATALOGUE.facts(model.id), name="")
        assert facts != undescribed, model.id
        assert (facts.context, facts.max_output) == (model.context, model.max_output), model.id
