"""What the ledger says of calls through a real gateway, and what callers saw of them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
import requests

from tests.platforms.conftest import Pair
from tests.stack import PATIENCE, Stack, until

CHAT = "/chatgpt/v1/chat/completions"


def rows(stack: Stack, condition: str = "1", *values: Any) -> list[dict[str, Any]]:
    path = stack.environ["TOKENS_DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        query = f"SELECT * FROM ledger WHERE {condition} ORDER BY id"
        return [dict(row) for row in connection.execute(query, values)]


def row(stack: Stack, request: str) -> dict[str, Any]:
    """The row of a request, once it is closed."""
    found = until(lambda: rows(stack, "id = ? AND state <> 'open'", request))
    assert len(found) == 1
    return dict(found[0])


def chat(words: str, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": words}], **more}


def test_every_platform_and_dialect_has_a_row_that_says_what_the_platform_counted(
    pair: Pair, stream: bool
) -> None:
    """R-055, C-264: and it is closed by the time that the caller has heard the end."""
    heard = pair.call("hello", stream=stream)
    (found,) = rows(pair.stack, "id = ?", heard.headers["x-request-id"])

    assert (found["state"], found["outcome"], found["kind"]) == ("charged", "ok", "chat")
    assert (found["input"], found["output"]) == pair.real_usage(stream=stream)
    assert (found["platform"], found["stream"], found["attempts"]) == (pair.platform, stream, 1)
    assert found["credential"] and found["closed_at"] >= found["opened_at"] > 0
    assert found["first_ms"] is not None and not found["estimated"]


@pytest.mark.parametrize("path", [CHAT, "/codex/v1/responses", "/claude_api/v1/messages"])
def test_who_hangs_up_before_the_usage_is_charged_by_what_arrived(stack: Stack, path: str) -> None:
    """R-057."""
    words = "simulate: words=400 pace=0.05"
    body: dict[str, Any] = chat(words, stream=True)
    if "responses" in path:
        body = {"model": "gpt-5.2", "input": words, "stream": True}
    if "messages" in path:
        body |= {"model": "claude-sonnet-4-5", "max_tokens": 1000}
    headers = {"Authorization": f"Bearer {stack.licence}"}
    with requests.post(
        stack.url() + path, json=body, headers=headers, stream=True, timeout=PATIENCE
    ) as answer:
        read = b""
        for piece in answer.iter_content(None):
            read += piece
            if len(read) > 3000:
                break
        name = answer.headers["x-request-id"]

    found = row(stack, name)

    assert (found["state"], found["outcome"]) == ("charged", "caller_gone")
    assert found["estimated"] == 1 and found["output"] > 3 and found["input"] > 0


@pytest.mark.parametrize(
    ("words", "stream", "state", "outcome"),
    [
        ("simulate: throttle", False, "released", "rate_limit_exceeded"),
        ("simulate: refuse", True, "released", "no_available_key"),
        ("simulate: empty", False, "released", "upstream_empty"),
        ("simulate: cut after=3", True, "charged", "upstream_truncated"),
        ("simulate: error after=3", True, "charged", "upstream_error"),
    ],
)
def test_what_brought_nothing_is_released_and_what_was_cut_short_is_a_guess(
    stack: Stack, words: str, stream: bool, state: str, outcome: str
) -> None:
    """R-001, R-058."""
    answer = requests.post(
        stack.url() + CHAT + "?retry_attempt=1",
        json=chat(words, stream=stream),
        headers={"Authorization": f"Bearer {stack.licence}"},
        timeout=PATIENCE,
        stream=True,
    )
    try:
        assert answer.content or True
    except requests.exceptions.ChunkedEncodingError:
        pass  # that is how a cut is seen
    found = row(stack, answer.headers["x-request-id"])

    assert (found["state"], found["outcome"]) == (state, outcome)
    assert bool(found["output"]) == bool(found["estimated"]) == (state == "charged")


def test_several_attempts_are_one_row(stack: Stack) -> None:
    """R-068."""
    stack.simulators.mishap("chatgpt", "error", times=2)
    answer = requests.post(
        stack.url() + CHAT,
        json=chat("hello"),
        headers={"Authorization": f"Bearer {stack.licence}"},
        timeout=PATIENCE,
    )

    assert answer.status_code == 200
    found = row(stack, answer.headers["x-request-id"])
    assert (found["attempts"], found["state"]) == (3, "charged")
    assert found["failed"] == ", ".join([f"{found['credential']} upstream_error"] * 2)


def test_a_brought_token_costs_the_operator_nothing(stack: Stack) -> None:
    """C-049."""
    answer = requests.post(
        stack.url() + "/grok/v1/chat/completions",
        json=chat("hello") | {"model": "grok-4.5"},
        headers={"Authorization": "Bearer xai-own", "Tokens-Authorization": stack.licence},
        timeout=PATIENCE,
    )
    found = row(stack, answer.headers["x-request-id"])

    assert (found["mode"], found["charge"], found["credential"]) == ("chat2api", 0, "")
    assert found["output"] > 0


def test_what_has_a_price_is_charged(stack: Stack) -> None:
    answer = requests.post(
        stack.url() + "/grok/v1/chat/completions",
        json=chat("hello") | {"model": "grok-4.5"},
        headers={"Authorization": f"Bearer {stack.licence}"},
        timeout=PATIENCE,
    )
    found = row(stack, answer.headers["x-request-id"])

    assert found["charge"] > 0 and found["price"] and found["unit_prices"] != ""


def test_a_request_that_never_reached_a_platform_has_no_row(stack: Stack) -> None:
    before = len(rows(stack))
    answer = requests.post(
        stack.url() + CHAT,
        json={"model": "gpt-4o", "messages": []},
        headers={"Authorization": f"Bearer {stack.licence}"},
        timeout=PATIENCE,
    )

    assert answer.status_code == 400 and len(rows(stack)) == before
