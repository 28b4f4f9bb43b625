"""What callers send in the Responses dialect, read piece by piece."""

from __future__ import annotations

from typing import Any

import pytest

from app.canonical.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Link,
    Opaque,
    Stored,
    Text,
    Thinking,
    ToolCall,
    Video,
    carry,
)
from app.canonical.request import ChatRequest, ToolChoice, Turn
from app.errors import BadAttachment, BadRequest
from app.wire.openai_responses import NAME, read_request
from app.wire.openai_responses_items import seal, unseal

PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQ="
HELLO = Turn("user", (Text("Hello"),))
SEALED = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}


def read(*items: Any, **body: Any) -> ChatRequest:
    return read_request({"model": "m", "input": list(items), **body})


def turns(*said: Turn, **more: Any) -> ChatRequest:
    return ChatRequest("m", said, **more)


def test_a_string_is_one_user_message() -> None:
    """C-219."""
    assert read_request({"model": "m", "input": "Hello"}) == turns(HELLO)


def test_system_words_in_the_middle_stay_where_they_are() -> None:
    request = read(
        {"role": "system", "content": "A"},
        {"role": "user", "content": "Hello"},
        {"role": "developer", "content": "B"},
    )

    assert request == turns(HELLO, Turn("system", (Text("B"),)), system=(Text("A"),))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        (
            {"type": "input_image", "image_url": f"data:IMAGE/PNG;base64,{PNG}"},
            Image(Inline("image/png", PNG)),
        ),
        ({"type": "input_image", "image_url": PNG}, Image(Inline("image/png", PNG))),
        (
            {"type": "input_image", "image_url": "https://x.test/a", "detail": "high"},
            Image(Link("https://x.test/a"), "high"),
        ),
        ({"type": "input_image", "file_id": "file-1"}, Image(Stored(NAME, "file-1"))),
        ({"type": "input_file", "file_id": "file-1"}, Document(Stored(NAME, "file-1"))),
        (
            {"type": "input_file", "filename": "a.txt", "file_data": "aGVsbG8="},
            Document(Inline("text/plain", "aGVsbG8="), "a.txt"),
        ),
        ({"type": "input_file", "file_data": PNG}, Image(Inline("image/png", PNG))),
        ({"type": "input_file", "file_data": PDF}, Document(Inline("application/pdf", PDF))),
        ({"type": "input_image", "image_url": PDF}, Document(Inline("application/pdf", PDF))),
        (
            {"type": "input_audio", "input_audio": {"data": "aGVsbG8=", "format": "mp3"}},
            Audio(Inline("audio/mp3", "aGVsbG8=")),
        ),
        (
            {"type": "input_image", "image_url": "data:video/mp4;base64,AAAA"},
            Video(Inline("video/mp4", "AAAA")),
        ),
    ],
)
def test_a_part_is_read_by_what_it_holds(part: dict[str, Any], expected: Any) -> None:
    """C-058 to C-061."""
    assert read({"role": "user", "content": [part]}).turns == (Turn("user", (expected,)),)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": 5}, "input"),
        ({"model": "m", "input": [5]}, "input[0]"),
        ({"model": "m", "input": [{"type": "banana"}]}, "input[0]"),
        ({"model": "m", "input": [{"type": []}]}, "input[0].type"),
        ({"model": "m", "input": [{"role": []}]}, "input[0].role"),
        ({"model": "m", "input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"model": "m", "input": [{"role": "user", "content": 5}]}, "input[0].content"),
        (
            {"model": "m", "input": [{"role": "user", "content": [{"type": "video_url"}]}]},
            "input[0].content[0]",
        ),
        (
            {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        ({"model": "m", "input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"model": "m", "input": [{"type": "item_reference", "id": "rs_1"}]}, "input[0]"),
        ({"model": "m", "input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        ({"model": "m", "input": "x", "conversation": {"id": "conv_1"}}, "conversation"),
        ({"model": "m", "input": "x", "prompt": {"id": "p"}}, "prompt"),
        ({"model": "m", "input": "x", "tools": {}}, "tools"),
        ({"model": "m", "input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"model": "m", "input": "x", "tool_choice": "some"}, "tool_choice"),
        ({"model": "m", "input": "x", "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"model": "m", "input": "x", "reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"model": "m", "input": "x", "reasoning": "high"}, "reasoning"),
        ({"model": "m", "input": "x", "text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"model": "m", "input": "x", "max_output_tokens": "many"}, "max_output_tokens"),
        ({"model": "m", "input": "x", "temperature": True}, "temperature"),
        ({"model": "m", "input": "x", "stream": 1}, "stream"),
    ],
)
def test_a_mistake_is_told_by_the_field_it_is_in(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(body)
    assert caught.value.param == param
    assert str(caught.value)


def test_broken_base64_is_a_bad_attachment() -> None:
    """C-066."""
    part = {"type": "input_image", "image_url": "data:image/png;base64,%%%"}
    with pytest.raises(BadAttachment) as caught:
        read({"role": "user", "content": [part]})
    assert caught.value.param == "input[0].content[0].image_url"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("none", ToolChoice("none")),
        ({"type": "function", "name": "f"}, ToolChoice("required", ("f",))),
        ({"type": "web_search"}, ToolChoice("required", ("web_search",))),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}],
            },
            ToolChoice("auto", ("f", "g")),
        ),
    ],
)
def test_a_tool_choice_is_read(given: Any, expected: ToolChoice) -> None:
    assert read({"role": "user", "content": "x"}, tool_choice=given).tool_choice == expected


# ---------------------------------------------------------------- signatures of other platforms


FOREIGN = Opaque("anthropic_messages", {"signature": "sig"})
GEMINI = Opaque("gemini_generate", "thought-sig")


def test_a_foreign_thought_comes_back_from_its_own_item() -> None:
    item = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Hm"}],
        "encrypted_content": carry(FOREIGN),
    }

    request = read(
        {"role": "user", "content": "Hello"}, item, {"role": "assistant", "content": "A"}
    )

    assert request.turns[1] == Turn("assistant", (Thinking("Hm", FOREIGN), Text("A")))


def wordless(envelope: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": envelope}


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    "items", [[wordless(seal(GEMINI, "c1")), CALL], [CALL, wordless(seal(GEMINI, "c1"))]]
)
def test_the_signature_of_a_call_returns_to_the_call(items: list[dict[str, Any]]) -> None:
    assert read(*items).turns == (Turn("assistant", (ToolCall("c1", "f", "{}", opaque=GEMINI),)),)


def test_the_signature_of_a_text_returns_to_the_text() -> None:
    message = {"role": "assistant", "content": "Hi"}

    assert read(message, wordless(seal(GEMINI)), CALL).turns == (
        Turn("assistant", (Text("Hi", GEMINI), ToolCall("c1", "f", "{}"))),
    )


def test_a_hidden_thought_before_a_call_stays_a_thought() -> None:
    """Anthropic leaves out a thought's words but not its signature, which is not the call's."""
    assert read(wordless(carry(FOREIGN)), CALL).turns == (
        Turn("assistant", (Thinking("", FOREIGN), ToolCall("c1", "f", "{}"))),
    )


@pytest.mark.parametrize(
    "opaque", [None, GEMINI, Opaque(NAME, SEALED), Opaque(NAME, {"for": 1, "of": []})]
)
def test_only_our_envelopes_are_opened(opaque: Opaque | None) -> None:
    assert unseal(opaque) is None
