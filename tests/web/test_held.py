"""What a worker holds of a call while its answer is told: an answer may take minutes, and pictures are large."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import requests

from tests.memory import MEGABYTE, serving
from tests.stack import Json, Stack, compact

pytestmark = pytest.mark.slow
CALLS, MEGABYTES = 8, 4
WORDS = re.compile(rb'"content":"[^"]|"text_delta"|output_text.delta')  # no role alone
CHAT = "/v1/chat/completions"


def picture() -> str:
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + os.urandom(MEGABYTES * MEGABYTE)).decode()


def chat(model: str, data: str) -> Json:
    shown = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    return {"model": model, "stream": True, "messages": [{"role": "user", "content": [shown]}]}


def message(model: str, data: str) -> Json:
    shown = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    turn = {"role": "user", "content": [shown]}
    return {"model": model, "stream": True, "max_tokens": 50, "messages": [turn]}


def item(model: str, data: str) -> Json:
    shown = {"type": "input_image", "image_url": f"data:image/png;base64,{data}"}
    return {"model": model, "stream": True, "input": [{"role": "user", "content": [shown]}]}


ROADS: dict[str, tuple[str, str, Callable[[str], Json]]] = {
    "patched": ("chatgpt", CHAT, lambda data: chat("gpt-4o", data)),
    "translated": ("claude_api", CHAT, lambda data: chat("claude-sonnet-4-6", data)),
    "raw": ("claude_api", "/v1/messages", lambda data: message("claude-sonnet-4-6", data)),
    "repeated": ("chatgpt", "/v1/responses", lambda data: item("gpt-4o", data)),
}


@pytest.fixture(scope="module")
def one(gateway: Callable[..., Stack]) -> Stack:
    return gateway(TOKENS_WORKERS="1")


@pytest.fixture(params=ROADS)
def told(request: pytest.FixtureRequest, one: Stack) -> Iterator[Callable[[int], None]]:
    """Begins streams that go silent in the middle, and comes back when all have said something."""
    platform, path, make = ROADS[request.param]
    url, headers = one.url(platform) + path, {"Authorization": f"Bearer {one.licence}"}
    with ExitStack() as open_ones:

        def begin(calls: int) -> None:
            body = compact(make(picture()))
            one.simulators.mishap(platform, "stall", calls, after=1, seconds=60.0)
            for _ in range(calls):
                answer = requests.post(url, data=body, headers=headers, stream=True, timeout=60)
                open_ones.callback(answer.close)
                assert answer.status_code == 200, answer.text
                assert any(WORDS.search(line) for line in answer.iter_lines(chunk_size=1))

        yield begin


def test_what_was_asked_is_not_held_while_it_is_answered(
    told: Callable[[int], None], one: Stack
) -> None:
    told(1)  # whatever is made only once
    worker = serving(one)
    before = worker.proportional

    told(CALLS)

    assert worker.proportional - before < CALLS * MEGABYTES * MEGABYTE / 2
