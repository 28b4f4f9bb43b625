"""What a platform has no room for in pictures, films and chats that make them: told in the answer and in
the access log, or refused to the strict before anybody is asked.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.stack import PATIENCE, Json, Stack

CHAT = {"messages": [{"role": "user", "content": "A kite"}]}
LATER = {"messages": [{"role": "system", "content": "Be brief"}, *CHAT["messages"]]}
WISHES: list[tuple[str, str, Json, str]] = [
    (
        "grok",
        "images/generations",
        {"model": "grok-imagine-image", "prompt": "A kite", "style": "vivid", "seed": 3},
        "seed, style",
    ),
    (
        "grok",
        "images/generations?async=true",
        {"model": "grok-imagine-image", "prompt": "A kite", "negative_prompt": "rain"},
        "negative_prompt",
    ),
    (
        "sora",
        "images/generations",
        {"model": "sora_image", "prompt": "A kite", "seed": 3, "stream": True},
        "seed",
    ),
    (
        "sora",
        "videos",
        {"model": "sora-2", "prompt": "A boat", "negative_prompt": "rain", "nonsense": 1},
        "negative_prompt, nonsense",
    ),
    (
        "gemini",
        "chat/completions",
        {"model": "gemini-3-pro-image", **CHAT, "logit_bias": {"1": 1}},
        "logit_bias",
    ),
    (
        "chatgpt",
        "chat/completions",
        {"model": "gpt-image-2", **LATER, "stream": True},
        "messages (earlier)",
    ),
    (
        "sora",
        "chat/completions",
        {"model": "sora-2", **CHAT, "temperature": 1, "stream": True},
        "temperature",
    ),
]
every_wish = pytest.mark.parametrize(
    "platform, path, body, lost",
    WISHES,
    ids=[f"{one[0]}-{one[1][:6]}-{one[3][:8]}" for one in WISHES],
)


def ask(stack: Stack, platform: str, path: str, body: Json, licence: str = "") -> Any:
    stack.simulators.clear(platform)
    headers = {"Authorization": f"Bearer {licence or stack.licence}"}
    url = f"{stack.url(platform)}/v1/{path}"
    return requests.post(url, json=body, headers=headers, timeout=PATIENCE * 2)


@every_wish
def test_it_is_told(studio: Stack, platform: str, path: str, body: Json, lost: str) -> None:
    answer = ask(studio, platform, path, body)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tokens-dropped"] == lost
    line = studio.line(answer.headers["x-request-id"])
    assert line["dropped"] == lost.split(", ")


@every_wish
@pytest.mark.parametrize("whose", ["query", "body", "licence"])
def test_it_is_refused_to_the_strict(
    studio: Stack, strict: str, platform: str, path: str, body: Json, lost: str, whose: str
) -> None:
    if whose == "query":
        path += ("&" if "?" in path else "?") + "strict=1"
    more = {"body": {"strict": True}, "licence": {"strict": False}}.get(whose, {})
    answer = ask(studio, platform, path, body | more, strict if whose == "licence" else "")

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "unsupported_fields"), answer.text
    assert error["param"] == lost.split(", ")[0] and lost in error["message"]
    assert studio.simulators.posts(platform) == []


@every_wish
def test_what_is_not_lost_is_not_told(
    studio: Stack, strict: str, platform: str, path: str, body: Json, lost: str
) -> None:
    """As nobody is told of what only says how to call, or of what says nothing."""
    names = {one.partition(" ")[0] for one in lost.split(", ")}
    plain = {name: value for name, value in body.items() if name not in names}
    plain |= CHAT if "messages" in body else {}
    more = {"user": None, "retry_attempt": 1, "metadata": {"user_id": "u"}, "max_tokens": None}
    answer = ask(studio, platform, path, plain | more, strict)

    assert answer.status_code == 200, answer.text
    assert "x-tokens-dropped" not in answer.headers


@pytest.fixture(scope="module")
def strict(studio: Stack) -> str:
    return studio.tokens("licence", "add", "--strict").strip()
