"""One line for each request, and nothing in it that is not documented."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import requests

from tests.architecture.source import APP, ROOT, files
from tests.stack import Stack, until
from tests.web.conftest import CHAT, HELLO

DOCS = (ROOT / "docs" / "access-log.md").read_text(encoding="utf-8")
ROWS = [line.split("|")[1] for line in DOCS.splitlines() if line.startswith("| `")]
FIELDS = {field for row in ROWS for field in re.findall(r"`(\w+)`", row)}
SETTING = re.compile(
    r'record\["(\w+)"\] =|record\.(?:setdefault|pop)\("(\w+)"|record\.update\(([^)]*)\)'
)
INSIDE = {"began", "trail", "usage"}  # told in other words, or elsewhere

Call = Callable[..., requests.Response]
REQUESTS = {
    "good": ("POST", CHAT, {"json": HELLO}),
    "streamed": ("POST", CHAT, {"json": HELLO | {"stream": True}}),
    "no licence": ("POST", CHAT, {"json": HELLO, "licence": None}),
    "not read": ("POST", CHAT, {"data": b"{"}),
    "refused there": (
        "POST",
        CHAT,
        {"json": HELLO | {"messages": [{"role": "user", "content": "simulate: refuse"}]}},
    ),
    "broken off": (
        "POST",
        CHAT,
        {
            "json": HELLO
            | {"stream": True, "messages": [{"role": "user", "content": "simulate: cut after=3"}]}
        },
    ),
    "passed": (
        "POST",
        "/claude_api/v1/messages/count_tokens",
        {"json": HELLO | {"model": "claude-opus-4-5"}},
    ),
    "passed and refused": ("GET", "/codex/v1/responses/none", {}),
    "offered by nobody": ("POST", "/grok/v1/embeddings", {"json": {}}),
    "nowhere": ("GET", "/nowhere", {}),
    "wrong method": ("PUT", CHAT, {}),
    "looked at": ("HEAD", "/health", {}),
    "asked before": ("OPTIONS", CHAT, {"licence": None}),
    "pictures": (
        "POST",
        "/chatgpt/v1/images/generations",
        {"json": {"model": "gpt-image-2", "prompt": "A kite"}},
    ),
    "streamed pictures": (
        "POST",
        "/chatgpt/v1/images/generations",
        {"json": {"model": "gpt-image-2", "prompt": "A kite", "stream": True}},
    ),
    "once": ("POST", CHAT, {"json": HELLO, "headers": {"Idempotency-Key": "access-log"}}),
    "and again": ("POST", CHAT, {"json": HELLO, "headers": {"Idempotency-Key": "access-log"}}),
    "models": ("GET", "/v1/models", {}),
    "metrics": ("GET", "/metrics", {}),
}


def lines(stack: Stack, request: str) -> list[dict]:
    assert until(lambda: stack.line(request))
    return [line for line in stack.log if line["request"] == request]


@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_has_one_line(call: Call, stack: Stack, name: str):
    method, path, more = REQUESTS[name]
    answer = call(method, path, **more, stream=True)
    try:
        list(answer.iter_content(None))
    except requests.exceptions.ChunkedEncodingError:
        assert name == "broken off"
    (line,) = lines(stack, answer.headers["x-request-id"])

    assert line.keys() <= FIELDS
    assert (line["method"], line["status"]) == (method, answer.status_code)
    assert "total_ms" in line and (answer.status_code < 400 or line["outcome"] != "ok")
    if path.startswith("/chatgpt"):
        assert line["platform"] == "chatgpt"


@pytest.mark.parametrize("where", ["in the path", "as the model"])
def test_a_licence_that_is_pasted_elsewhere_is_not_told(call: Call, stack: Stack, where: str):
    """C-039."""
    model = stack.licence if where == "as the model" else HELLO["model"]
    path = f"/chatgpt/{stack.licence}" if where == "in the path" else CHAT
    answer = call("POST", path, json=HELLO | {"model": model})
    (line,) = lines(stack, answer.headers["x-request-id"])

    assert stack.licence.removeprefix("tok-") not in str(line)
    assert "tok-..." in str(line)


def test_a_caller_who_hangs_up_has_one_line(call: Call, stack: Stack):
    words = [{"role": "user", "content": "simulate: words=4000 pace=0.02"}]
    answer = call("POST", CHAT, json=HELLO | {"stream": True, "messages": words}, stream=True)
    left = stack.simulators.hangups("chatgpt")
    answer.close()
    (line,) = lines(stack, answer.headers["x-request-id"])
    assert until(lambda: stack.simulators.hangups("chatgpt") > left)  # others count them, too

    assert (line["status"], line["outcome"]) == (200, "caller_gone")


@pytest.mark.parametrize(
    "head, status, outcome",
    [
        (b"GET canary HTTP/9\r\n\r\n", 400, "invalid_value"),
        (
            b"GET /canary HTTP/1.1\r\nHost: a\r\nX: " + b"canary" * 4000 + b"\r\n\r\n",
            431,
            "request_too_large",
        ),
        (b"GET /" + b"canary" * 4000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431, "request_too_large"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: canary\r\n\r\n", 400, "invalid_value"),
    ],
)
def test_what_cannot_be_read_has_one_line(raw, stack: Stack, head, status, outcome):
    """C-181: with the id that its answer has, and nothing of what was sent."""
    answer = raw(head).decode()
    found = re.search(r"x-request-id: (req_\w+)", answer)
    assert found, answer
    (line,) = lines(stack, found[1])

    assert {name: line[name] for name in ("method", "path", "status", "outcome")} == {
        "method": "",
        "path": "",
        "status": status,
        "outcome": outcome,
    }
    assert "canary" not in str(line)


def test_every_field_that_is_set_is_documented():
    found = set()
    for path in files(APP):
        for one, other, several in SETTING.findall(path.read_text(encoding="utf-8")):
            found |= {one, other} | set(re.findall(r"(\w+)=", several))

    assert len(found) > 15
    assert found - {""} - INSIDE <= FIELDS
