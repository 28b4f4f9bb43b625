"""What is Gemini's own: keys in the query, both versions, both spellings, built-in tools, token
counts.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.models import MODELS
from tests.platforms.callers import Chat, Generate
from tests.platforms.conftest import Pair
from tests.sdk import scenes
from tests.stack import Json, Stack

MODEL = MODELS["gemini"].plain


@pytest.fixture
def gemini(stack: Stack) -> Pair:
    stack.simulators.clear("gemini")
    return Pair("gemini", Generate(), stack)


@pytest.fixture
def chat(stack: Stack) -> Pair:
    stack.simulators.clear("gemini")
    return Pair("gemini", Chat(), stack)


def test_a_body_passes_untouched_with_every_field_in_it(gemini: Pair) -> None:
    """C-085, C-224: a caller's own safety settings too."""
    harm = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
    more: Any = {
        "safetySettings": [harm],
        "generationConfig": {"temperature": 0.5, "stopSequences": ["END"], "topK": 20},
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }
    path, body = gemini.ask("hello", **more)
    heard = gemini.caller.call(gemini.base, (path, body), gemini.stack.licence)

    assert (heard.status, gemini.asked[-1]["body"]) == (200, body)


def test_no_safety_settings_are_made_up(chat: Pair) -> None:
    """C-085."""
    assert chat.call("hello").status == 200
    assert "safetySettings" not in chat.asked[-1]["body"]


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("where", ["query", "x-goog-api-key", "authorization"])
def test_the_licence_is_found_wherever_googles_clients_put_it(
    gemini: Pair, version: str, where: str
) -> None:
    """C-034, C-035, C-230."""
    _, body = gemini.ask("hello")
    licence = gemini.stack.licence
    url = f"{gemini.base}/{version}/models/{MODEL}:generateContent"
    query = {"key": licence} if where == "query" else {}
    headers = {} if where == "query" else {where: licence}
    answer = requests.post(url, json=body, params=query, headers=headers, timeout=10)

    assert answer.status_code == 200
    assert licence not in str(gemini.asked[-1])


@pytest.mark.parametrize("names", [("inline_data", "mime_type"), ("inlineData", "mimeType")])
def test_both_spellings_of_a_picture_are_read(gemini: Pair, names: tuple[str, str]) -> None:
    """C-225."""
    inline, kind = names
    picture = {inline: {kind: "image/png", "data": scenes.PNG_URL.partition(",")[2]}}
    path, body = gemini.ask("What is this?")
    body["contents"][0]["parts"].append(picture)
    heard = gemini.caller.call(gemini.base, (path, body), gemini.stack.licence)

    assert "image/png" in gemini.caller.text(heard.json)


@pytest.mark.parametrize("name", ["codeExecution", "googleSearch"])
def test_a_tool_named_like_a_built_in_one_switches_it_on(chat: Pair, name: str) -> None:
    """C-076."""
    tool: Json = {"type": "function", "function": {"name": name}}
    path, body = chat.ask("hello", tools=[tool])
    heard = chat.caller.call(chat.base, (path, body), chat.stack.licence)

    assert heard.status == 200, heard.content
    assert chat.asked[-1]["body"]["tools"] == [{name: {}}]


def test_tokens_are_counted_by_the_platform(gemini: Pair) -> None:
    _, body = gemini.ask("How many tokens is this?")
    url = f"{gemini.base}/v1beta/models/{MODEL}:countTokens"
    headers = {"x-goog-api-key": gemini.stack.licence}
    answer = requests.post(url, json=body, headers=headers, timeout=10)
    heard = gemini.call("How many tokens is this?")

    assert answer.status_code == 200
    assert answer.json()["totalTokens"] == gemini.caller.usage(heard.json)[0]
