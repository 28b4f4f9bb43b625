"""Chats with models that draw: the answer is a picture in Markdown whose link opens (C-114, C-116)."""

from __future__ import annotations

import base64
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from app.simulators.pictures import picture
from tests.sdk.conftest import Door
from tests.sdk.pictures import PAINTERS, shown
from tests.sdk.test_openai_python import opened as client_of

pytestmark = pytest.mark.parametrize("door", ["chatgpt", "flow", "grok", "sora"], indirect=True)
WORDS: Any = [{"role": "user", "content": "A kite"}]
GIVEN = "data:image/png;base64," + base64.b64encode(picture(64, 48, "given")).decode()


@pytest.fixture
def client(door: Door) -> openai.OpenAI:
    return client_of(door.url, door.licence)


def test_a_stream_shows_it_too(client: openai.OpenAI, door: Door) -> None:
    stream = client.chat.completions.create(
        model=PAINTERS[door.name].model,
        messages=WORDS,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    shown("".join(one.choices[0].delta.content or "" for one in chunks if one.choices))
    assert chunks[-1].usage is not None
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_the_last_words_and_their_pictures_are_what_is_asked(
    client: openai.OpenAI, door: Door
) -> None:
    door.stack.simulators.clear(door.name)
    parts: Any = [
        {"type": "text", "text": "At night"},
        {"type": "image_url", "image_url": {"url": GIVEN}},
    ]
    messages: Any = [
        {"role": "system", "content": "Be brief"},
        *WORDS,
        {"role": "assistant", "content": "![image](https://a.test/b.png)"},
        {"role": "user", "content": parts},
    ]
    told = client.chat.completions.create(
        model=PAINTERS[door.name].model, messages=messages, extra_body={"aspect_ratio": "3:2"}
    )

    shown(told.choices[0].message.content or "")
    (asked,) = door.stack.simulators.posts(door.name)
    assert "A kite" not in str(asked["body"])
    assert "edits" in asked["path"] or "inlineData" in str(asked["body"])


def test_a_shape_is_kept_to(client: openai.OpenAI, door: Door) -> None:
    """C-134, C-135."""
    told = client.chat.completions.create(
        model=PAINTERS[door.name].model,
        messages=WORDS,
        extra_query={"aspect_ratio": "3:2"},
    )

    wide, high = shown(told.choices[0].message.content or "")
    assert wide / high == pytest.approx(1.5, rel=0.05)


def test_what_breaks_the_rules_is_told(client: openai.OpenAI, door: Door) -> None:
    words: Any = [{"role": "user", "content": PAINTERS[door.name].refusal}]
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(
                model=PAINTERS[door.name].model, messages=words, stream=stream
            )
        assert caught.value.code == "moderation_blocked"


@pytest.mark.parametrize("words", ["", [{"type": "image_url", "image_url": {"url": GIVEN}}]])
def test_without_words_there_is_nothing_to_make(
    client: openai.OpenAI, door: Door, words: Any
) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model=PAINTERS[door.name].model, messages=[{"role": "user", "content": words}]
        )


def test_messages_show_it(door: Door) -> None:
    client = anthropic.Anthropic(base_url=door.url, api_key=door.licence, max_retries=0)
    wish: Any = {"model": PAINTERS[door.name].model, "max_tokens": 100, "messages": WORDS}
    told = client.messages.create(**wish)
    shown("".join(block.text for block in told.content if block.type == "text"))
    with client.messages.stream(**wish) as stream:
        shown(stream.get_final_text())


@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent"])
def test_generate_content_shows_it(door: Door, verb: str) -> None:
    answer = httpx2.post(
        f"{door.url}/v1beta/models/{PAINTERS[door.name].model}:{verb}",
        json={"contents": [{"role": "user", "parts": [{"text": "A kite"}]}]},
        headers={"x-goog-api-key": door.licence},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    told = answer.json()
    answers = told if isinstance(told, list) else [told]
    parts = [
        part
        for one in answers
        for found in one.get("candidates", [])
        for part in found.get("content", {}).get("parts", [])
    ]
    shown("".join(part["text"] for part in parts))


@pytest.mark.parametrize("stream", [False, True])
def test_responses_show_it(client: openai.OpenAI, door: Door, stream: bool) -> None:
    """`background` is about the call here, not about the picture."""
    told: Any = client.responses.create(
        model=PAINTERS[door.name].model,
        input="A kite",
        background=False,
        user="somebody",
        stream=stream,
    )
    if stream:
        shown(next(one.response for one in told if one.type == "response.completed").output_text)
    else:
        shown(told.output_text)


def test_what_a_chat_says_of_itself_is_not_said_of_the_picture(
    client: openai.OpenAI, door: Door
) -> None:
    told = client.chat.completions.create(
        model=PAINTERS[door.name].model,
        messages=WORDS,
        temperature=0.5,
        max_completion_tokens=100,
        response_format={"type": "text"},
        seed=7,
        user="somebody",
    )

    shown(told.choices[0].message.content or "")
