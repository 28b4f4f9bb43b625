"""Mistakes that every dialect tells its caller alike: by the field's own name, before a platform is
asked.
"""

from __future__ import annotations

from typing import Any

import pytest

from app.canonical.model import ModelFacts
from app.errors import BadAttachment, BadRequest
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses

ELSEWHERE = ["file:///etc/passwd", "ftp://example.com/a.png", "gopher://example.com/a"]


def chat(*messages: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages)}


def items(*given: Any) -> dict[str, Any]:
    return {"model": "m", "input": list(given)}


def contents(*given: Any) -> dict[str, Any]:
    return {"model": "m", "contents": list(given)}


SAID: dict[str, Any] = {"role": "user", "content": "hello"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "dialect, body, param",
    [
        *(
            (dialect, chat(SAID, {"role": role, **more}), "messages[1].content")
            for dialect in (openai_chat, anthropic_messages)
            for role in ("user", "assistant", "system")
            for more in ({}, {"content": None})
        ),
        (openai_chat, chat({"role": "developer"}), "messages[0].content"),
        (openai_chat, chat({"role": "tool", "tool_call_id": "c"}), "messages[0].content"),
        (openai_chat, chat({"role": "assistant", "tool_calls": []}), "messages[0].content"),
        (openai_chat, chat({"role": "user", "tool_calls": [CALL]}), "messages[0].content"),
        (openai_responses, items({"role": "user"}), "input[0].content"),
        (
            openai_responses,
            items(SAID, {"type": "message", "role": "assistant", "content": None}),
            "input[1].content",
        ),
        (gemini_generate, contents({"role": "user"}), "contents[0].parts"),
        (gemini_generate, contents({"parts": None}), "contents[0].parts"),
        (gemini_generate, contents("hello", {"role": "model", "parts": []}), "contents[1].parts"),
    ],
    ids=str,
)
def test_a_message_without_content_is_refused(
    dialect: Any, body: dict[str, Any], param: str
) -> None:
    """C-052, R-098: nothing is invented to stand in for it."""
    with pytest.raises(BadRequest) as refused:
        dialect.read_request(body)

    assert (refused.value.code, refused.value.param) == ("invalid_value", param)


@pytest.mark.parametrize(
    "more",
    [
        {"tool_calls": [CALL]},
        {"content": None, "tool_calls": [CALL]},
        {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"refusal": "no"},
        {"content": None, "audio": {"id": "audio_1"}},
        {"content": None, "reasoning_content": "hm"},
        {"content": ""},
        {"content": []},
    ],
    ids=str,
)
def test_an_assistant_may_have_said_something_else_than_content(more: dict[str, Any]) -> None:
    """K-040, K-042."""
    turn = openai_chat.read_request(chat(SAID, {"role": "assistant", **more})).turns[1]

    assert turn.role == "assistant"


@pytest.mark.parametrize("upstream", [openai_chat, openai_responses])
def test_empty_content_goes_to_the_platform_as_that(upstream: Any) -> None:
    """C-068, K-040: an empty list of messages would be refused in words the caller cannot place."""
    for given in (
        openai_chat.read_request(chat({"role": "user", "content": ""})),
        anthropic_messages.read_request(chat({"role": "user", "content": []})),
    ):
        body = upstream.write_request(given, ModelFacts())
        assert body.get("messages", body.get("input")) == [{"role": "user", "content": ""}]


def test_instructions_for_gemini_may_be_empty() -> None:
    for empty in ({}, {"parts": []}, {"parts": None}):
        request = gemini_generate.read_request(contents("hello") | {"systemInstruction": empty})
        assert request.system == ()


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize(
    "dialect, made, param",
    [
        (
            openai_chat,
            lambda url: chat(
                SAID | {"content": [{"type": "image_url", "image_url": {"url": url}}]}
            ),
            "messages[0].content[0].image_url",
        ),
        (
            openai_chat,
            lambda url: chat(SAID | {"content": [{"type": "file", "file": {"file_data": url}}]}),
            "messages[0].content[0].file.file_data",
        ),
        (
            openai_responses,
            lambda url: items(SAID | {"content": [{"type": "input_image", "image_url": url}]}),
            "input[0].content[0].image_url",
        ),
        (
            openai_responses,
            lambda url: items(SAID | {"content": [{"type": "input_file", "file_url": url}]}),
            "input[0].content[0].file_url",
        ),
        (
            anthropic_messages,
            lambda url: chat(
                SAID | {"content": [{"type": "image", "source": {"type": "url", "url": url}}]}
            ),
            "messages[0].content[0].source.url",
        ),
        (
            gemini_generate,
            lambda url: contents({"parts": [{"fileData": {"fileUri": url}}]}),
            "contents[0].parts[0].fileData.fileUri",
        ),
    ],
)
def test_an_address_that_nobody_may_open_is_called_that(
    dialect: Any, made: Any, param: str, url: str
) -> None:
    """C-064, S-033: and not bad base64."""
    with pytest.raises(BadAttachment, match="only http, https and data addresses") as refused:
        dialect.read_request(made(url))

    assert (refused.value.code, refused.value.param) == ("invalid_attachment", param)


@pytest.mark.parametrize(
    "dialect, body, words",
    [
        (openai_chat, chat(SAID) | {"stop": 5}, "stop must be a string or an array"),
        (
            openai_chat,
            chat({"role": "user", "content": 5}),
            "messages[0].content must be a string or an array",
        ),
        (
            anthropic_messages,
            chat({"role": "user", "content": 5}),
            "messages[0].content must be a string or an array",
        ),
        (
            openai_responses,
            items({"role": "user", "content": 5}),
            "input[0].content must be a string or an array",
        ),
        (openai_responses, {"model": "m", "input": 5}, "input must be a string or an array"),
    ],
    ids=str,
)
def test_what_may_be_text_or_an_array_is_not_called_an_array(
    dialect: Any, body: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        dialect.read_request(body)

    assert str(refused.value) == words
