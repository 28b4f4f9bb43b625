"""`POST /health/stream`: pieces at known times for `tokens doctor --url`, and for nobody without a licence."""

from __future__ import annotations

import json

import pytest
import requests

from tests.stack import Stack, until

TIMEOUT = 20


def ask(stack: Stack, licence: str = "", **query: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {licence or stack.licence}", "X-Canary": "not told"}
    url = f"{stack.url()}/health/stream"
    return requests.post(url, params=query, headers=headers, stream=True, timeout=TIMEOUT)


def test_it_tells_what_has_arrived_by_names_alone(stack: Stack) -> None:
    told = ask(stack, pieces=3, pause_ms=10)
    events = told.text.strip().split("\n\n")
    seen = json.loads(events[0].partition("data: ")[2])

    assert [one.partition("\n")[0] for one in events] == (
        ["event: seen"] + ["event: piece"] * 3 + ["event: end"]
    )
    assert {"authorization", "x-canary"} <= set(seen["headers"])
    assert (seen["address"], seen["protocol"], seen["scheme"]) == ("127.0.0.1", "HTTP/1.1", "http")
    assert seen["query"] == ["pause_ms", "pieces"]
    assert (seen["links"], seen["links_are_set"]) == (stack.url(), False)
    assert "not told" not in told.text and stack.licence not in told.text
    assert told.headers["x-accel-buffering"] == "no"
    assert "x-accel-buffering" not in ask(stack, plain="true").headers
    assert stack.line(told.headers["x-request-id"])["outcome"] == "ok"


@pytest.mark.parametrize("status", [400, 429, 503])
def test_an_error_that_is_asked_for_is_told_and_counts_as_none(stack: Stack, status: int) -> None:
    told = ask(stack, refuse=status)

    assert told.status_code == status and told.headers["retry-after"] == "1"
    assert told.headers["x-should-retry"] == "false"
    assert told.json()["error"]["message"] == "this error was asked for"
    assert told.json()["request_id"] == told.headers["x-request-id"]
    line = stack.line(told.headers["x-request-id"])
    assert (line["outcome"], line["status"]) == ("ok", status)


def test_an_end_that_is_none_breaks_the_transfer(stack: Stack) -> None:
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        ask(stack, end="broken").content


def test_who_hangs_up_is_not_waited_for(stack: Stack) -> None:
    answer = ask(stack, silence=600)
    pieces = answer.iter_content(None)
    assert b"event: seen" in next(pieces)
    answer.close()

    assert stack.line(answer.headers["x-request-id"])["outcome"] == "caller_gone"


def test_it_counts_as_a_call(stack: Stack) -> None:
    licence = stack.new_licence("--concurrency", "1")
    held = ask(stack, licence, silence=600)
    pieces = held.iter_content(None)
    next(pieces)
    assert ask(stack, licence).status_code == 429
    held.close()
    assert until(lambda: ask(stack, licence).status_code == 200)


@pytest.mark.parametrize(
    "name, value",
    [("pieces", "0"), ("pieces", "101"), ("pause_ms", "-1"), ("silence", "x"), ("refuse", "200")],
)
def test_numbers_out_of_range_are_refused(stack: Stack, name: str, value: str) -> None:
    refused = ask(stack, **{name: value})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, name)
    assert ask(stack, "wrong").status_code == 401
