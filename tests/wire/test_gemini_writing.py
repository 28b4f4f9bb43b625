"""Requests as they are written for Google, who refuses what other platforms take."""

from __future__ import annotations

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
    Part,
    Stored,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
    carry,
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
from app.wire import openai_chat
from app.wire.gemini_generate import NAME, takes_link, write_request

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "app/platforms/google.json")
ANY = ModelFacts()
NEW = CATALOGUE.facts("gemini-3.8-flash")
OLD = CATALOGUE.facts("gemini-2.5-flash")
ANTHROPIC = Opaque("anthropic_messages", {"signature": "sig"})


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def asked(*turns: Turn, **more: Any) -> ChatRequest:
    return ChatRequest("m", turns or (Turn("user", (Text("hi"),)),), **more)


def test_the_worked_example_of_two_parallel_calls() -> None:
    google = {"google": {"thought_signature": carry(Opaque(NAME, {"thoughtSignature": "QUJD"}))}}
    function = {"name": "w", "arguments": '{"c":"Rome"}'}
    chat = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Rome and Oslo?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": function, "extra_content": google},
                    {
                        "id": "c2",
                        "type": "function",
                        "function": function | {"arguments": '{"c":"Oslo"}'},
                    },
                ],
            },
            {"role": "tool", "tool_call_id": "c2", "content": '{"t":4}'},
            {"role": "tool", "tool_call_id": "c1", "content": "20 degrees"},
        ],
        "reasoning_effort": "low",
        "tool_choice": "required",
        "tools": [{"type": "function", "function": {"name": "w"}}],
    }

    assert write_request(openai_chat.read_request(chat), NEW) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            user({"text": "Weather in Rome and Oslo?"}),
            model(
                {
                    "functionCall": {"id": "c1", "name": "w", "args": {"c": "Rome"}},
                    "thoughtSignature": "QUJD",
                },
                {"functionCall": {"id": "c2", "name": "w", "args": {"c": "Oslo"}}},
            ),
            user(
                {
                    "functionResponse": {
                        "id": "c1",
                        "name": "w",
                        "response": {"output": "20 degrees"},
                    }
                },
                {"functionResponse": {"id": "c2", "name": "w", "response": {"t": 4}}},
            ),
        ],
        "generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}},
        "tools": [{"functionDeclarations": [{"name": "w"}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    }


def test_a_result_has_the_name_of_the_call_before_it_though_its_id_is_used_again() -> None:
    request = asked(
        Turn("user", (Text("hi"),)),
        Turn("assistant", (ToolCall("1", "f", "{}"),)),
        Turn("user", (ToolResult("1", (Text("a"),)),)),
        Turn("assistant", (ToolCall("1", "g", "{}"), ToolCall("1", "h", "{}"))),
        Turn("user", (ToolResult("1", (Text("b"),)), ToolResult("1", (Text("c"),)))),
    )
    contents = write_request(request, ANY)["contents"]

    assert [contents[2], contents[4]] == [
        user({"functionResponse": {"id": "1", "name": "f", "response": {"output": "a"}}}),
        user(
            {"functionResponse": {"id": "1", "name": "g", "response": {"output": "b"}}},
            {"functionResponse": {"id": "1", "name": "h", "response": {"output": "c"}}},
        ),
    ]


@pytest.mark.parametrize(
    ("call_id", "given", "name"),
    [("1", "", "f"), ("1", "other", "f"), ("9", "other", "other"), ("9", "", "unknown")],
)
def test_the_history_knows_the_name_of_a_result_best(call_id: str, given: str, name: str) -> None:
    request = asked(
        Turn("user", (Text("hi"),)),
        Turn("assistant", (ToolCall("1", "f", "{}"),)),
        Turn("user", (ToolResult(call_id, (Text("a"),), name=given),)),
    )
    [part] = write_request(request, ANY)["contents"][2]["parts"]

    assert part["functionResponse"]["name"] == name


@pytest.mark.parametrize("opaque", [None, ANTHROPIC], ids=["unsigned", "signed by another"])
def test_the_first_call_of_each_step_gets_the_stand_in_where_signatures_are_demanded(
    opaque: Opaque | None,
) -> None:
    step = Turn(
        "assistant", (ToolCall("a", "f", "{}", opaque=opaque), ToolCall("b", "f", "not JSON"))
    )
    results = Turn("user", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),), True)))
    turns = (Turn("user", (Text("go"),)), step, results, step, results)
    calls = [
        {"functionCall": {"id": "a", "name": "f", "args": {}}},
        {"functionCall": {"id": "b", "name": "f", "args": {"input": "not JSON"}}},
    ]
    stood_in = {"thoughtSignature": "skip_thought_signature_validator"}

    new, old = (write_request(asked(*turns), facts)["contents"] for facts in (NEW, OLD))

    assert [one["parts"] for one in new[1::2]] == [[calls[0] | stood_in, calls[1]]] * 2
    assert [one["parts"] for one in old[1::2]] == [calls] * 2
    assert [part["functionResponse"]["response"] for part in new[2]["parts"]] == [
        {"output": "1"},
        {"error": "2"},
    ]


def test_roles_take_turns_results_come_first_and_the_user_has_the_first_and_last_word() -> None:
    turns = (
        Turn("assistant", (Text("Hello"), Thinking("foreign thought", ANTHROPIC))),
        Turn("system", (Text("note"),)),
        Turn("user", (Text(""),)),
        Turn("assistant", (ToolCall("a", "f", "{}"),)),
        Turn(
            "user", (Text("here"), ToolResult("a", (Text("x"), Image(Inline("image/png", "AA==")))))
        ),
        Turn("assistant", (Text("So"),)),
    )
    png = {"inlineData": {"mimeType": "image/png", "data": "AA=="}}
    response = {"id": "a", "name": "f", "response": {"output": "x"}, "parts": [png]}

    assert write_request(asked(*turns), ModelFacts(prefill=False))["contents"] == [
        user({"text": "(start)"}),
        model({"text": "Hello"}),
        user({"text": "note"}),
        model({"functionCall": {"id": "a", "name": "f", "args": {}}}),
        user({"functionResponse": response}, {"text": "here"}),
        model({"text": "So"}),
        user({"text": "Continue."}),
    ]


def test_a_lone_system_text_is_said_by_the_user() -> None:
    request = ChatRequest("m", (), system=(Text("You are a poet."),))

    assert write_request(request, ANY) == {"contents": [user({"text": "You are a poet."})]}


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (
            Audio(Inline("audio/mpeg", "AA==")),
            {"inlineData": {"mimeType": "audio/mp3", "data": "AA=="}},
        ),
        (
            Video(Inline("video/quicktime", "AA==")),
            {"inlineData": {"mimeType": "video/mov", "data": "AA=="}},
        ),
        (
            Audio(Inline("audio/x-flac", "AA==")),
            {"inlineData": {"mimeType": "audio/flac", "data": "AA=="}},
        ),
        (
            Audio(Inline("audio/m4a", "AA==")),
            {"inlineData": {"mimeType": "audio/aac", "data": "AA=="}},
        ),
        (Video(Link("https://youtu.be/x")), {"fileData": {"fileUri": "https://youtu.be/x"}}),
        (Document(Stored(NAME, "files/a")), {"fileData": {"fileUri": "files/a"}}),
    ],
)
def test_media_is_written_by_the_names_google_documents(part: Part, written: Any) -> None:
    assert write_request(asked(Turn("user", (part,))), ANY)["contents"] == [user(written)]


def test_a_file_of_another_platform_cannot_be_used() -> None:
    with pytest.raises(BadRequest):
        write_request(asked(Turn("user", (Image(Stored("openai_chat", "file-1")),))), ANY)


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking"),
    [
        ("gemini-2.5-flash", Reasoning(), {"includeThoughts": True}),
        ("gemini-2.5-flash", Reasoning(told=False), {"includeThoughts": False}),
        ("gemini-2.5-flash", Reasoning("none"), {"thinkingBudget": 0}),
        (
            "gemini-2.5-flash",
            Reasoning("xhigh"),
            {"thinkingBudget": 24576, "includeThoughts": True},
        ),
        (
            "gemini-2.5-flash",
            Reasoning("low", 9000),
            {"thinkingBudget": 9000, "includeThoughts": True},
        ),  # C-133
        ("gemini-2.5-flash", Reasoning(budget=-1), {"thinkingBudget": -1, "includeThoughts": True}),
        ("gemini-2.5-pro", Reasoning("none"), {"thinkingBudget": 128, "includeThoughts": True}),
        (
            "gemini-2.5-pro",
            Reasoning(budget=10**6),
            {"thinkingBudget": 32768, "includeThoughts": True},
        ),
        (
            "gemini-2.5-flash-lite",
            Reasoning(budget=5),
            {"thinkingBudget": 512, "includeThoughts": True},
        ),
        ("gemini-3.8-flash", Reasoning("none"), {"thinkingLevel": "LOW", "includeThoughts": True}),
        (
            "gemini-3.6-flash",
            Reasoning("minimal"),
            {"thinkingLevel": "MINIMAL", "includeThoughts": True},
        ),
        (
            "gemini-3.8-flash",
            Reasoning("medium", 0),
            {"thinkingLevel": "MEDIUM", "includeThoughts": True},
        ),  # C-133
        (
            "gemini-3.8-flash",
            Reasoning(budget=20000),
            {"thinkingLevel": "HIGH", "includeThoughts": True},
        ),
        (
            "gemini-nano-banana-2.1",
            Reasoning("low"),
            {"thinkingLevel": "MEDIUM", "includeThoughts": True},
        ),
        (
            "gemini-3.8-flash",
            Reasoning("high", visible=False),
            {"thinkingLevel": "HIGH", "includeThoughts": False},
        ),
        ("gemini-2.0-flash", Reasoning("high"), None),
        ("tuned", Reasoning("high"), {"thinkingLevel": "HIGH"}),
        ("tuned", Reasoning(budget=7), {"thinkingBudget": 7}),
    ],
)
def test_thinking_is_asked_for_in_the_models_own_currency(
    model: str, reasoning: Reasoning, thinking: Any
) -> None:
    written = write_request(asked(reasoning=reasoning), CATALOGUE.facts(model))

    assert written.get("generationConfig", {}).get("thinkingConfig") == thinking


def test_a_small_limit_leaves_little_room_for_thoughts() -> None:
    config = write_request(asked(max_output=16), NEW)["generationConfig"]

    assert config == {
        "maxOutputTokens": 16,
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
    }


@pytest.mark.parametrize(("stream", "limit"), [(True, 65536), (False, 32768)])
def test_a_limit_is_what_the_model_gives_in_one_answer(stream: bool, limit: int) -> None:
    facts = CATALOGUE.facts("gemini-4-argon")
    config = write_request(asked(max_output=10**6, stream=stream), facts)["generationConfig"]

    assert config["maxOutputTokens"] == limit


@pytest.mark.parametrize("seed", [0, -1, 7, 2**31 - 1, -(2**31)])
def test_a_seed_that_fits_is_told_as_it_is(seed: int) -> None:
    config = write_request(asked(sampling=Sampling(seed=seed)), ANY)["generationConfig"]

    assert config == {"seed": seed}


@pytest.mark.parametrize("seed", [2**31, -(2**31) - 1, 2**40 + 3, -(2**63), 2**63 - 1])
def test_a_longer_seed_is_folded_into_what_google_takes(seed: int) -> None:
    first, second = (
        write_request(asked(sampling=Sampling(seed=seed)), ANY)["generationConfig"]["seed"]
        for _ in range(2)
    )

    assert first == second and 0 <= first < 2**31


def test_settings_the_model_refuses_are_dropped() -> None:  # C-078, C-079
    sampling = Sampling(0.5, presence_penalty=1, frequency_penalty=1)
    config = write_request(asked(sampling=sampling), NEW)["generationConfig"]

    assert config == {"temperature": 0.5, "thinkingConfig": {"includeThoughts": True}}


F, SEARCH, CODE = Tool("f"), Tool("googleSearch"), Tool("codeExecution")
OF_CLAUDE = Tool("web_search", kind="hosted", opaque=Opaque("anthropic_messages", {"type": "x"}))
DECLARED = {"functionDeclarations": [{"name": "f"}]}


@pytest.mark.parametrize(
    ("facts", "tools", "written"),
    [
        (NEW, (SEARCH, CODE), [{"googleSearch": {}}, {"codeExecution": {}}]),
        (OLD, (SEARCH,), [{"googleSearch": {}}]),
        (NEW, (F, SEARCH), [DECLARED, {"googleSearch": {}}]),
        (OLD, (F, SEARCH), [DECLARED]),
        (NEW, (F, OF_CLAUDE), [DECLARED]),
    ],
)
def test_googles_own_tools_are_switched_on_by_name(
    facts: ModelFacts, tools: tuple[Tool, ...], written: Any
) -> None:  # C-076
    body = write_request(asked(tools=tools), facts)

    assert body["tools"] == written
    assert body.get("toolConfig") == (
        {"includeServerSideToolInvocations": True} if len(written) > 1 and F in tools else None
    )


@pytest.mark.parametrize(
    ("choice", "names", "config"),
    [
        (ToolChoice("none"), "fg", {"mode": "NONE"}),
        (ToolChoice("required", ("g",)), "fg", {"mode": "ANY", "allowedFunctionNames": ["g"]}),
        (ToolChoice("auto", ("g",)), "g", {"mode": "AUTO"}),
    ],
)
def test_a_choice_of_tools_is_a_mode(choice: ToolChoice, names: str, config: Any) -> None:
    body = write_request(asked(tools=(F, Tool("g")), tool_choice=choice), NEW)

    assert [one["name"] for one in body["tools"][0]["functionDeclarations"]] == list(names)
    assert body["toolConfig"] == {"functionCallingConfig": config}


SCHEMA = Format("schema", schema={"type": "object"})
JSON_TYPE = {"responseMimeType": "application/json"}
AS_SCHEMA = JSON_TYPE | {"responseJsonSchema": {"type": "object"}}
IN_WORDS = "Answer with JSON and nothing else, without code fences."


@pytest.mark.parametrize(
    ("facts", "tools", "wanted", "config", "system"),
    [
        (NEW, (F,), SCHEMA, AS_SCHEMA, None),
        (OLD, (), SCHEMA, AS_SCHEMA, None),
        (OLD, (), Format("json"), JSON_TYPE, None),
        (OLD, (F,), Format("json"), {}, IN_WORDS),
        (
            OLD,
            (F,),
            SCHEMA,
            {},
            IN_WORDS + ' It must fit this JSON Schema: {"type":"object"}',
        ),
    ],
)
def test_a_format_is_asked_for_in_words_where_tools_exclude_it(
    facts: ModelFacts, tools: tuple[Tool, ...], wanted: Format, config: Any, system: str | None
) -> None:
    body = write_request(asked(tools=tools, format=wanted), facts)

    body["generationConfig"].pop("thinkingConfig")
    assert body.get("generationConfig") == config
    assert body.get("systemInstruction") == (system and {"parts": [{"text": system}]})


def test_a_model_that_draws_is_asked_for_pictures() -> None:  # C-114
    facts = CATALOGUE.facts("gemini-nano-banana-2.1")

    assert write_request(asked(), facts)["generationConfig"]["responseModalities"] == [
        "TEXT",
        "IMAGE",
    ]


def test_what_a_chat_says_to_google_alone_gets_there() -> None:  # C-085
    google = {
        "safety_settings": [{"category": "C", "threshold": "OFF"}],
        "thinking_config": {"thinking_level": "HIGH"},
        "unheard_of": 1,
    }
    for said in ({"google": google}, {"extra_body": {"google": google}}):
        request = asked(extras=Opaque("openai_chat", {"store": True, **said}))
        assert write_request(request, ANY) == {
            "contents": [user({"text": "hi"})],
            "safetySettings": google["safety_settings"],
            "generationConfig": {"thinkingConfig": {"thinkingLevel": "HIGH"}},
        }


def test_nothing_that_is_in_the_cache_is_said_again() -> None:
    own = Opaque(NAME, {"cachedContent": "cachedContents/a"})
    request = asked(system=(Text("S"),), tools=(F,), extras=own)

    assert write_request(request, ANY) == {
        "contents": [user({"text": "hi"})],
        "cachedContent": "cachedContents/a",
    }


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://www.youtube.com/watch?v=1", True),
        ("https://youtu.be/1", True),
        ("https://generativelanguage.googleapis.com/v1beta/files/abc", True),
        ("https://generativelanguage.googleapis.com/v1beta/models", False),
        ("http://youtu.be/1", False),
        ("https://youtu.be.example.com/1", False),
        ("https://[", False),
    ],
)
def test_google_opens_films_at_youtube_and_its_own_files(url: str, taken: bool) -> None:
    assert takes_link(url) is taken
