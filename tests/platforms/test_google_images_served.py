"""Google's image models behind the gateway: by the image routes, and in chats."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests

from tests.stack import PATIENCE, Stack

BANANA = "gemini-nano-banana-2.1"
BOTH = pytest.mark.parametrize("platform", ["gemini", "gemini_official"])


def post(stack: Stack, platform: str, path: str, body: dict[str, Any]) -> requests.Response:
    stack.simulators.clear(platform)
    headers = {"authorization": f"Bearer {stack.licence}"}
    url = f"{stack.url(platform)}{path}"
    return requests.post(url, json=body, headers=headers, timeout=PATIENCE)


@BOTH
def test_pictures_are_generated(platform: str, stack: Stack) -> None:
    """C-158, C-169, C-173."""
    body = {"model": BANANA, "prompt": "A kite", "size": "1536x1024", "n": 2}
    told = post(stack, platform, "/v1/images/generations", body)

    assert told.status_code == 200, told.text
    found = told.json()
    assert (found["size"], found["output_format"]) == ("1264x848", "png")
    assert found["usage"]["input_tokens"] > 0
    assert len(found["data"]) == 2
    assert base64.b64decode(found["data"][0]["b64_json"]).startswith(b"\x89PNG")


@BOTH
def test_a_refusal_is_told_as_openai_tells_it(platform: str, stack: Stack) -> None:
    body = {"model": BANANA, "prompt": "simulate: blocked"}
    told = post(stack, platform, "/v1/images/generations", body)

    error = told.json()["error"]
    assert (told.status_code, error["type"], error["code"]) == (
        400,
        "image_generation_user_error",
        "moderation_blocked",
    )
    assert len(stack.simulators.posts(platform)) == 1


@BOTH
def test_a_model_that_only_talks_is_asked_twice_and_no_more(platform: str, stack: Stack) -> None:
    body = {"model": BANANA, "prompt": "simulate: undrawn"}
    told = post(stack, platform, "/v1/images/generations", body)

    assert (told.status_code, told.json()["error"]["code"]) == (502, "no_image_generated")
    assert len(stack.simulators.posts(platform)) == 2


@pytest.mark.parametrize(
    "platform, model",
    [
        ("gemini", BANANA),
        ("gemini_official", BANANA),
        ("gemini_official", "gemini-3.8-flash-imagen"),
    ],
)
def test_a_chat_with_such_a_model_shows_the_picture(
    platform: str, model: str, stack: Stack
) -> None:
    """C-114."""
    body = {"model": model, "messages": [{"role": "user", "content": "A kite"}]}
    told = post(stack, platform, "/v1/chat/completions", body)

    assert told.status_code == 200, told.text
    content = told.json()["choices"][0]["message"]["content"]
    assert content.startswith("![")
    assert told.json()["model"] == model


def test_who_speaks_googles_dialect_gets_googles_answer(stack: Stack) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": "A kite"}]}]}
    told = post(stack, "gemini", f"/v1beta/models/{BANANA}:generateContent", body)

    parts = told.json()["candidates"][0]["content"]["parts"]
    assert any("inlineData" in part for part in parts)
