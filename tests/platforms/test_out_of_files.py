"""R-145: a worker that can open nothing more says so, and holds nothing against a platform or a key."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.models import MODELS
from tests.scarce import no_descriptors
from tests.soak.crowd import workers
from tests.stack import PATIENCE, Stack, compact, key_settings

SAY = [{"role": "user", "content": "simulate: say Hello"}]
CHATS, PICTURES = "/v1/chat/completions", "/v1/images/generations"
# A platform each: a connection that is kept from the case before would do.
ASKED = {
    "chatgpt": (CHATS, {"messages": SAY}),
    "claude": (CHATS, {"messages": SAY, "stream": True}),
    "grok": (PICTURES, {"prompt": "a hat", "model": "grok-imagine-image"}),
}


@pytest.mark.parametrize("platform", ASKED)
def test_it_is_our_fault_and_over_when_it_is_over(
    gateway: Callable[..., Stack], platform: str
) -> None:
    keys = key_settings("sim-one,sim-two")
    stack = gateway(**keys, TOKENS_REST_SECONDS="300", TOKENS_STICKY_SECONDS="0")
    line = http.client.HTTPConnection(urlsplit(stack.url()).netloc, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {stack.licence}", "Content-Type": "application/json"}

    def ask(platform: str, path: str, body: dict[str, Any]) -> tuple[int, Any, bytes]:
        said = {"model": MODELS[platform].plain} | body
        line.request("POST", f"/{platform}{path}", compact(said), headers)
        answer = line.getresponse()
        return answer.status, answer.headers, answer.read()

    assert ask("gemini", CHATS, {"messages": SAY})[0] == 200  # by now all else is open
    (worker,) = workers(stack.pid)
    stack.simulators.clear(platform)
    with no_descriptors(worker):
        status, told, content = ask(platform, *ASKED[platform])

    assert (status, told["retry-after"], told["x-tokens-attempts"]) == (503, "2", "1"), content
    assert b'"gateway_overloaded"' in content
    assert "failed" not in stack.line(told["x-request-id"])
    assert stack.simulators.journal(platform) == []
    assert [ask(platform, *ASKED[platform])[0] for _ in range(2)] == [200, 200]
    listed = stack.tokens("credential", "list", "--platform", platform, "--json")
    assert [row["health"] for row in json.loads(listed)] == ["ready", "ready"]
    line.close()
