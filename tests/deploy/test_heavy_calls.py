"""R-048: large calls keep nobody waiting who has nothing to do with them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.deploy.timed import CLASS
from tests.stack import Json, Simulators, Stack, compact

pytestmark = pytest.mark.slow
# Five of fifteen megabytes are the most that fits into a body: set SOAK_PICTURES=5.
PICTURES = int(os.environ.get("SOAK_PICTURES", "1"))
MOST = 0.25  # seconds that others may have to wait
CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]


def pictures() -> Iterator[str]:
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + os.urandom(15 << 20)).decode()
    return iter([data] * PICTURES)


def in_chat(model: str) -> Json:
    shown = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{one}"}}
        for one in pictures()
    ]
    return {"model": model, "messages": [{"role": "user", "content": shown}]}


def in_messages(model: str) -> Json:
    shown = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": one}}
        for one in pictures()
    ]
    return {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": shown}]}


def in_contents() -> Json:
    shown = [{"inlineData": {"mimeType": "image/png", "data": one}} for one in pictures()]
    return {"contents": [{"role": "user", "parts": shown}]}


def with_values(count: int, value: str) -> bytes:
    """Many of them in one field."""
    start = json.dumps({"model": "gpt-4o", "messages": HELLO})[:-1]
    return f'{start}, "metadata": [{",".join([value] * count)}]}}'.encode()


CALLS: dict[str, tuple[str, Callable[[], Any]]] = {
    "translated to Messages": ("/claude_api" + CHAT, lambda: in_chat("claude-sonnet-4-6")),
    "translated to contents": ("/gemini" + CHAT, lambda: in_chat("gemini-2.5-flash")),
    "translated to chat": ("/chatgpt/v1/messages", lambda: in_messages("gpt-4o")),
    "patched": ("/chatgpt" + CHAT, lambda: in_chat("gpt-4o")),
    "native": ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", in_contents),
    "a long text": (
        "/chatgpt" + CHAT,
        lambda: {"model": "gpt-4o", "messages": [{"role": "user", "content": "word " * 1_600_000}]},
    ),
    "numbers without number": ("/chatgpt" + CHAT, lambda: with_values(20_000_000, "1")),
    "as many as may be": ("/chatgpt" + CHAT, lambda: with_values(87_000, "[[[[[[[[]]]]]]]]")),
}


@pytest.fixture(scope="module")
def turns(simulators: Simulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A gateway, and the file in which it writes how long its turns take."""
    folder = tmp_path_factory.mktemp("timed")
    file = folder / "turns"
    words = f"--worker-class {CLASS}"
    stack = Stack(simulators, folder, GUNICORN_CMD_ARGS=words, TURNS_FILE=str(file))
    yield stack, file
    stack.stop()


@pytest.mark.parametrize("kind", CALLS)
def test_no_turn_takes_long(kind: str, turns: tuple[Stack, Path]) -> None:
    stack, file = turns
    path, make = CALLS[kind]
    made = make()
    body = made if isinstance(made, bytes) else compact(made)
    headers = {"Authorization": f"Bearer {stack.licence}", "Content-Type": "application/json"}
    file.write_bytes(b"")

    answer = requests.post(stack.url() + path, data=body, headers=headers, timeout=120)

    took = [float(one) for one in file.read_text().splitlines()]
    longest = max(took, default=0.0)
    # `pytest -s` shows it
    print(f"{kind}: {len(body) >> 20} MB, {answer.status_code}, longest {longest * 1000:.0f} ms")
    assert "x-request-id" in answer.headers and answer.status_code in (200, 400, 413), answer.text
    assert took or answer.status_code == 413  # refused unread
    assert longest < MOST
