"""What a request is thought to come to."""

from __future__ import annotations

import pytest

from app.services.estimate import FILE_TOKENS, tokens_in, tokens_of

BASE64 = "QUJD" * 250_000


@pytest.mark.parametrize(
    "text, tokens",
    [("", 0), ("word", 1), ("a" * 400, 100), ("你好世界", 4), ("你" * 10 + "a" * 40, 20)],
)
def test_words_by_their_length_and_chinese_by_its_characters(text, tokens):
    assert tokens_in(text) == tokens


@pytest.mark.parametrize("text", ["é" * 100, "😀" * 100, "\ud800" * 10, "привет мир"])
def test_no_text_is_more_tokens_than_twice_its_characters(text):
    assert 0 < tokens_in(text) <= 2 * len(text)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + BASE64}},
        {"type": "input_image", "image_url": "data:image/png;base64," + BASE64},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": BASE64}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}},
        {"inlineData": {"mimeType": "image/png", "data": BASE64}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": BASE64}},
        {"type": "thinking", "thinking": "", "signature": BASE64},
    ],
)
def test_a_file_is_a_fixed_number_whatever_its_size(part):
    assert FILE_TOKENS <= tokens_of({"messages": [{"content": [part]}]}) < FILE_TOKENS + 50


@pytest.mark.parametrize("name", ["text", "content", "input", "arguments", "instructions"])
def test_what_stands_where_words_stand_is_words(name):
    """Whatever it looks like: a platform reads it as text."""
    assert tokens_of({name: "data:image/png;base64," + BASE64}) > len(BASE64) // 5


def test_a_document_in_plain_words_is_words():
    source = {"type": "text", "media_type": "text/plain", "data": "some words " * 10_000}
    assert tokens_of({"source": source}) > 25_000


def test_tools_and_their_schemas_count():
    tools = [{"name": "look", "parameters": {"properties": {"a" * 40: {"type": "string"}}}}]
    assert 10 < tokens_of({"tools": tools}) - tokens_of({"tools": []}) < 60
