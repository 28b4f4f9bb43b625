"""Chats with models that make films: the link in the end, and nothing but reasoning before it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from app.simulators.films import film
from tests.stack import PATIENCE, Json, Stack

MP4 = film(1280, 720, 4, "")
ANSWER = re.compile(r"\[video\]\((http://[^)?]+\.mp4)\)\n\n(video_[0-9a-f]{32})")
FILMS = [("sora", "sora-2"), ("flow", "gemini-omni-1.1-flash")]
every_film = pytest.mark.parametrize("platform, model", FILMS)


def ask(stack: Stack, platform: str, path: str, prompt: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {stack.licence}"}
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 100, **more}
    url = f"{stack.url(platform)}/v1/{path}"
    return requests.post(url, json=body, headers=headers, timeout=PATIENCE * 2)


def events(answer: requests.Response) -> list[Json]:
    lines = answer.text.splitlines()
    data = [line[6:] for line in lines if line.startswith("data: ")]
    return [json.loads(one) for one in data if one != "[DONE]"]


def opens(stack: Stack, platform: str, words: str) -> None:
    """C-115, K-108: the link opens without a key; the film's name stands on a line of its own."""
    found = ANSWER.fullmatch(words)
    assert found, words
    answer = requests.get(found[1], timeout=PATIENCE)
    assert (answer.status_code, answer.content) == (200, MP4)
    assert answer.headers["content-type"] == "video/mp4"
    headers = {"Authorization": f"Bearer {stack.licence}"}
    shown = requests.get(
        f"{stack.url(platform)}/v1/videos/{found[2]}", headers=headers, timeout=PATIENCE
    )
    assert shown.json()["status"] == "completed"


@every_film
def test_a_whole_chat_answers_with_a_link(studio, platform, model):
    """C-115, in Chat Completions and in Messages."""
    chat = ask(studio, platform, "chat/completions", "A boat leaves", model=model)
    assert chat.status_code == 200, chat.text
    (choice,) = chat.json()["choices"]
    assert choice["finish_reason"] == "stop"
    opens(studio, platform, choice["message"]["content"])

    message = ask(studio, platform, "messages", "A boat leaves", model=model)
    assert message.status_code == 200, message.text
    assert [one["type"] for one in message.json()["content"]] == ["text"]
    opens(studio, platform, message.json()["content"][0]["text"])


@every_film
def test_a_streamed_chat_tells_how_far_it_is_as_reasoning(studio, platform, model):
    """C-115, C-117."""
    prompt = "A boat\nsimulate: takes=2"
    answer = ask(studio, platform, "chat/completions", prompt, model=model, stream=True)
    deltas = [one["choices"][0]["delta"] for one in events(answer) if one["choices"]]
    thought = "".join(one.get("reasoning_content") or "" for one in deltas)
    assert "being made" in thought and "](" not in thought
    opens(studio, platform, "".join(one.get("content") or "" for one in deltas))
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_a_streamed_message_tells_how_far_it_is_as_thinking(studio):
    """C-115, C-117."""
    prompt = "A boat\nsimulate: takes=2"
    answer = ask(studio, "sora", "messages", prompt, model="sora-2", stream=True)
    deltas = [one["delta"] for one in events(answer) if one["type"] == "content_block_delta"]
    thought = "".join(one.get("thinking", "") for one in deltas)
    assert "being made" in thought
    opens(studio, "sora", "".join(one.get("text", "") for one in deltas))
    assert events(answer)[-1]["type"] == "message_stop"


def test_a_film_that_fails_is_an_error_and_no_answer(studio):
    """C-117: an event of its own where the stream has begun, a status where it has not."""
    prompt = "A boat sinks\nsimulate: failed=hull_broken"
    whole = ask(studio, "sora", "chat/completions", prompt, model="sora-2")
    assert whole.status_code >= 400 and whole.json()["error"]["code"] == "hull_broken"
    streamed = ask(studio, "sora", "chat/completions", prompt, model="sora-2", stream=True)
    told = events(streamed)
    assert streamed.status_code == 200 and told[-1]["error"]["code"] == "hull_broken"
    assert not any(one["choices"][0]["delta"].get("content") for one in told if one.get("choices"))

    message = ask(studio, "sora", "messages", prompt, model="sora-2", stream=True)
    assert events(message)[-1]["type"] == "error"
