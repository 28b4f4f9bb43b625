"""Relays that sit in front of us: the calls by which they test a channel."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.models import EVERY, MODELS
from tests.stack import Stack

CHANNELS: dict[str, tuple[str, str, dict[str, Any]]] = {  # the key's header, the path, the body
    "openai": (
        "authorization",
        "/v1/chat/completions",
        {"max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "responses": (
        "authorization",
        "/v1/responses",
        {"input": [{"role": "user", "content": "hi"}]},
    ),
    "anthropic": (
        "x-api-key",
        "/v1/messages",
        {"max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]},
    ),
    "gemini": (
        "x-goog-api-key",
        "/v1beta/models/{model}:generateContent",
        {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "generationConfig": {"maxOutputTokens": 3000},
        },
    ),
}


@pytest.mark.parametrize("platform", EVERY)
@pytest.mark.parametrize("channel", CHANNELS)
def test_the_test_of_a_channel_passes(stack: Stack, platform: str, channel: str) -> None:
    """C-231: the address without `/v1`, and the licence for a key."""
    header, path, body = CHANNELS[channel]
    model = MODELS[platform].plain
    key = f"Bearer {stack.licence}" if header == "authorization" else stack.licence
    whole = body if "{model}" in path else {"model": model, **body}
    url = stack.url(platform) + path.format(model=model)
    answer = requests.post(url, json=whole, headers={header: key}, timeout=20)
    told = answer.json()

    assert answer.status_code == 200, told
    assert told.get("error") is None
    assert told.get("usage") or told.get("usageMetadata")
    if channel == "openai":
        assert isinstance(told["choices"][0]["message"]["content"], str)


@pytest.mark.parametrize("platform", EVERY)
def test_the_streamed_test_of_a_channel_passes(stack: Stack, platform: str) -> None:
    """C-231, K-113: as a relay tests models that have `codex` in their names."""
    model = "gpt-5.1-codex" if platform == "codex" else MODELS[platform].plain
    path, body = CHANNELS["responses"][1:]
    answer = requests.post(
        stack.url(platform) + path,
        json={"model": model, "stream": True, **body},
        headers={"authorization": f"Bearer {stack.licence}"},
        timeout=20,
    )

    assert answer.status_code == 200, answer.text
    assert '"type":"response.completed"' in answer.text.replace(": ", ":")
