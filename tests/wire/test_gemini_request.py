"""Requests as callers of generateContent send them."""

from __future__ import annotations

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
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
)
from app.canonical.request import (
    ChatRequest,
    Reasoning,
    Tool,
    ToolChoice,
    Turn,
)
from app.errors import BadAttachment, BadRequest
from app.wire.gemini_generate import NAME, read_request, write_request
from app.wire.gemini_parts import seal

PNG = "iVBORw0KGgoAAAANSUhEUg=="
ANY = ModelFacts()
ANTHROPIC = Opaque("anthropic_messages", {"signature": "sig"})


def body(*contents: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "stream": False, "contents": list(contents), **more}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


CALL = {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "QUJD"}
RESULT = {"functionResponse": {"id": "a", "name": "f", "response": {"t": 4}}}
RICH = body(
    user({"text": "look"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}),
    model(
        {"text": "Plan", "thought": True, "thoughtSignature": "VEg="}, {"text": "Calling."}, CALL
    ),
    user(RESULT, {"text": "and now?"}),
    model(
        {"text": "Four"},
        {"text": "", "thoughtSignature": "RU5E"},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
    ),
    user(
        {
            "fileData": {"fileUri": "https://youtu.be/x", "mimeType": "video/mp4"},
            "videoMetadata": {"fps": 2},
        },
        {"fileData": {"fileUri": "gs://bucket/a"}},
    ),
    systemInstruction={"parts": [{"text": "Be brief."}]},
    tools=[
        {
            "functionDeclarations": [
                {
                    "name": "f",
                    "description": "does f",
                    "parametersJsonSchema": {"type": "object", "properties": {}},
                    "behavior": "BLOCKING",
                }
            ]
        },
        {"googleSearch": {}},
    ],
    toolConfig={
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]},
        "retrievalConfig": {"languageCode": "de"},
        "includeServerSideToolInvocations": True,
    },
    generationConfig={
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "seed": 7,
        "presencePenalty": 1,
        "frequencyPenalty": -1,
        "stopSequences": ["END"],
        "maxOutputTokens": 100,
        "candidateCount": 2,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
        "responseModalities": ["TEXT"],
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    },
    safetySettings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    serviceTier="flex",
)
ENUM = body(
    user({"text": "which"}),
    toolConfig={"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}},
    tools=[{"functionDeclarations": [{"name": "f"}]}],
    generationConfig={
        "responseMimeType": "text/x.enum",
        "responseSchema": {"type": "STRING", "enum": ["a", "b"]},
    },
)


@pytest.mark.parametrize("given", [RICH, ENUM], ids=["rich", "enum"])
def test_a_request_comes_out_of_the_canonical_form_as_it_went_in(given: dict[str, Any]) -> None:
    outside = {"model", "stream"}

    written = write_request(read_request(given), ANY)

    assert written == {name: value for name, value in given.items() if name not in outside}


def test_the_model_and_the_choice_to_stream_come_from_the_path() -> None:
    read = read_request({"model": "models/gemini-x", "stream": True, "contents": "hi"})

    turns = (Turn("user", (Text("hi"),)),)
    assert read == ChatRequest("gemini-x", turns, reasoning=Reasoning(told=False), stream=True)
    assert write_request(read, ANY) == {"contents": [user({"text": "hi"})]}


def test_people_write_snake_case_everywhere() -> None:  # C-225
    snake = body(
        user(
            {"inline_data": {"mime_type": "image/png", "data": PNG}},
            {"file_data": {"file_uri": "https://x/a.pdf", "mime_type": "application/pdf"}},
        ),
        model({"function_call": {"name": "f"}, "thought_signature": "QUJD"}),
        user({"function_response": {"name": "f", "response": {"output": "ok"}}}),
        system_instruction={"parts": {"text": "S"}},
        generation_config={"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}},
        tool_config={"function_calling_config": {"mode": "NONE"}},
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {}}]}],
    )

    assert read_request(snake) == ChatRequest(
        "m",
        (
            Turn(
                "user",
                (
                    Image(Inline("image/png", PNG)),
                    Document(Link("https://x/a.pdf", "application/pdf")),
                ),
            ),
            Turn(
                "assistant",
                (
                    ToolCall(
                        "call_unnamed_1",
                        "f",
                        "{}",
                        opaque=Opaque(NAME, {"thoughtSignature": "QUJD"}),
                    ),
                ),
            ),
            Turn("user", (ToolResult("call_unnamed_1", (Text("ok"),), name="f"),)),
        ),
        system=(Text("S"),),
        tools=(Tool("f", schema={}),),
        tool_choice=ToolChoice("none"),
        reasoning=Reasoning(budget=0, told=False),
        max_output=5,
    )


def test_calls_without_ids_find_their_results_by_name_and_order_and_stay_without_ids() -> None:
    given = body(
        user({"text": "go"}),
        model(*({"functionCall": {"name": name, "args": {}}} for name in "fgf")),
        user(
            *(
                {"functionResponse": {"name": name, "response": {"n": n}}}
                for n, name in enumerate("ffg")
            )
        ),
    )

    read = read_request(given)
    results = [part.call_id for part in read.turns[2].parts if isinstance(part, ToolResult)]
    written = write_request(read, ANY)["contents"][2]["parts"]

    assert results == ["call_unnamed_1", "call_unnamed_3", "call_unnamed_2"]
    assert [part["functionResponse"] for part in written] == [
        {"name": "f", "response": {"n": 0}},
        {"name": "g", "response": {"n": 2}},
        {"name": "f", "response": {"n": 1}},
    ]


def test_what_a_library_kept_in_pieces_is_one_turn_again_with_the_seal_of_the_other_platform() -> (
    None
):
    given = body(
        user({"text": "go"}),
        model({"text": "Pl", "thought": True}),
        model({"text": "an", "thought": True}),
        model({"text": "", "thought": True, "thoughtSignature": seal(ANTHROPIC)}),
        model({"text": "Hel"}),
        model({"text": "lo"}),
        model({"text": ""}),
    )

    assert read_request(given).turns[1] == Turn(
        "assistant", (Thinking("Plan", ANTHROPIC), Text("Hello"))
    )


def test_a_seal_is_base64_of_either_alphabet() -> None:
    sealed = seal(ANTHROPIC)

    for spelled in (sealed, sealed.rstrip("="), sealed.replace("+", "-").replace("/", "_")):
        part = {"functionCall": {"id": "a", "name": "f"}, "thoughtSignature": spelled}
        assert read_request(body(model(part))).turns[0].parts == (
            ToolCall("a", "f", "{}", opaque=ANTHROPIC),
        )


@pytest.mark.parametrize(
    ("media_type", "part"),
    [
        ("image/heic", Image),
        ("audio/ogg", Audio),
        ("video/3gpp", Video),
        ("application/pdf", Document),
        ("text/plain", Document),
    ],
)
def test_media_goes_by_its_type(media_type: str, part: type[Any]) -> None:  # C-084
    given = {"inlineData": {"mimeType": media_type, "data": PNG}}

    assert read_request(body(user(given))).turns[0].parts == (part(Inline(media_type, PNG)),)


def test_parameters_in_googles_own_spelling_become_json_schema() -> None:
    schema = {
        "type": "OBJECT",
        "propertyOrdering": ["a"],
        "properties": {
            "a": {"type": "STRING", "nullable": True},
            "b": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}]}},
        },
    }
    tools = [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]

    assert read_request(body(user({"text": "x"}), tools=tools)).tools == (
        Tool(
            "f",
            schema={
                "type": "object",
                "properties": {
                    "a": {"type": ["string", "null"]},
                    "b": {"type": "array", "items": {"anyOf": [{"type": "integer"}]}},
                },
            },
        ),
    )


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"model": "m"}, "contents"),
        ({"contents": "hi"}, "model"),
        (body(), "contents"),
        (body(5), "contents[0]"),
        (body({"role": "assistant", "parts": []}), "contents[0].role"),
        (body({"parts": 3}), "contents[0].parts"),
        (body(user({"text": 5})), "contents[0].parts[0].text"),
        (body(user({"hologram": {}})), "contents[0].parts[0]"),
        (body(user({})), "contents[0].parts[0]"),
        (body(user({"inlineData": 1})), "contents[0].parts[0].inlineData"),
        (body(user({"fileData": {}})), "contents[0].parts[0].fileData.fileUri"),
        (body(model({"functionCall": {}})), "contents[0].parts[0].functionCall.name"),
        (
            body(model({"functionCall": {"name": "f", "args": 1}})),
            "contents[0].parts[0].functionCall.args",
        ),
        (
            body(user({"text": "x", "thoughtSignature": 1})),
            "contents[0].parts[0].thoughtSignature",
        ),
        (body(user({"text": "x"}), systemInstruction=5), "systemInstruction"),
        (body(user({"text": "x"}), generationConfig=[]), "generationConfig"),
        (body(user({"text": "x"}), generationConfig={"topK": "many"}), "topK"),
        (body(user({"text": "x"}), tools=[[]]), "tools[0]"),
        (
            body(user({"text": "x"}), tools=[{"functionDeclarations": [{}]}]),
            "tools[0].functionDeclarations[0].name",
        ),
    ],
)
def test_a_mistake_is_told_with_the_name_of_the_field(given: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(given)

    assert caught.value.param == param


def test_broken_base64_is_the_callers_mistake() -> None:  # C-066
    with pytest.raises(BadAttachment):
        read_request(body(user({"inlineData": {"mimeType": "image/png", "data": "%%%"}})))
