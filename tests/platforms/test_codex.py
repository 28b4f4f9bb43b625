"""What is Codex's own: stored responses, compaction, and bodies that pass untouched."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.platforms.callers import Responses
from tests.platforms.conftest import Pair
from tests.platforms.test_limits import full_minute
from tests.stack import KEY, Json, Stack


@pytest.fixture
def codex(stack: Stack) -> Pair:
    stack.simulators.clear("codex")
    return Pair("codex", Responses(), stack)


def _ask(codex: Pair, method: str, path: str, *, key: str = "", **more: Any) -> requests.Response:
    headers = {"authorization": f"Bearer {key or codex.stack.licence}"}
    return requests.request(method, codex.base + path, headers=headers, timeout=10, **more)


def test_a_body_passes_untouched_with_every_field_in_it(codex: Pair) -> None:
    """C-221."""
    path, body = codex.caller.ask("gpt-5.2", "hello")
    body |= {
        "instructions": "Be brief.",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "truncation": "auto",
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    heard = codex.caller.call(codex.base, (path, body), codex.stack.licence)

    assert (heard.status, codex.asked[-1]["body"]) == (200, body)


def test_image_generation_can_be_switched_off_by_a_header(codex: Pair) -> None:
    """C-223."""
    drawing: Json = {"type": "image_generation"}
    search = {"type": "web_search"}
    _, body = codex.ask("hello", tools=[drawing, search], tool_choice=drawing)
    for word in ("true", "false"):
        headers = {"x-tokens-disable-codex-image-generation": word}
        heard = codex.caller.call(
            codex.base, ("/v1/responses", body), codex.stack.licence, headers=headers
        )
        assert heard.status == 200, heard.content
    off, on = (entry["body"] for entry in codex.asked)

    assert (off["tools"], "tool_choice" in off) == ([search], False)
    assert on == body


def test_a_stored_response_can_be_read_continued_and_deleted(codex: Pair) -> None:
    """Stored responses live with the platform; every route to them is passed on."""
    first = codex.call("simulate: say Hello").json
    path = f"/v1/responses/{first['id']}"
    read, items = _ask(codex, "GET", path), _ask(codex, "GET", f"{path}/input_items")
    _, body = codex.ask("And then?", previous_response_id=first["id"])
    second = _ask(codex, "POST", "/v1/responses", json=body)
    deleted = _ask(codex, "DELETE", path)
    gone = _ask(codex, "GET", path)

    assert (read.status_code, read.json()["output"]) == (200, first["output"])
    assert items.json()["data"][0]["content"][0]["text"] == "simulate: say Hello"
    assert second.status_code == 200 and "And then?" in codex.caller.text(second.json())
    assert (deleted.status_code, deleted.json()["deleted"], gone.status_code) == (200, True, 404)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stored_response_is_its_licences_alone(codex: Pair, stream: bool) -> None:
    """C-210: who knows the id of another's finds nothing, whichever way it is asked for."""
    heard = codex.call("simulate: say Hello", stream=stream)
    name = heard.data[0]["response"]["id"] if stream else heard.json["id"]
    path, before = f"/v1/responses/{name}", len(codex.asked)
    stranger = codex.stack.new_licence()
    _, body = codex.ask("And then?", previous_response_id=name)
    asked = [
        ("GET", path, None),
        ("GET", f"{path}/input_items", None),
        ("POST", f"{path}/cancel", {}),
        ("DELETE", path, None),
        ("POST", "/v1/responses", body),
        ("POST", "/v1/responses", {**body, "stream": True}),
        ("POST", "/v1/responses/compact", body),
        ("POST", "/v1/responses/input_tokens", body),
    ]
    answers = [_ask(codex, *one[:2], key=stranger, json=one[2]) for one in asked]

    assert [answer.status_code for answer in answers] == [404] * len(asked)
    assert {answer.json()["error"]["message"] for answer in answers} == {
        f"there is no response {name} here"
    }
    assert len(codex.asked) == before
    assert _ask(codex, "GET", path).json()["output"]
    assert _ask(codex, "POST", "/v1/responses", json=body).status_code == 200


def test_the_platform_judges_by_a_token_that_was_brought(codex: Pair) -> None:
    """C-210 is about keys of the operator's: a caller's own is nobody else's."""
    name = codex.call("simulate: say Hello").json["id"]
    headers = {
        "authorization": f"Bearer {KEY}",
        "tokens-authorization": codex.stack.new_licence(),
    }
    answer = requests.get(f"{codex.base}/v1/responses/{name}", headers=headers, timeout=10)

    assert answer.status_code == 200


def test_another_platforms_shape_of_an_id_is_nobodys(codex: Pair) -> None:
    for name in ("resp_%00", "x" * 500, "a%20b"):
        assert _ask(codex, "GET", f"/v1/responses/{name}").status_code == 404
    assert codex.asked == []


def test_a_conversation_can_be_compacted(codex: Pair) -> None:
    """C-016."""
    _, body = codex.ask("hello")
    answer = _ask(codex, "POST", "/v1/responses/compact", json=body)

    assert (answer.status_code, answer.json()["object"]) == (200, "response.compaction")


def test_what_is_compacted_counts_as_tokens_of_the_minute(codex: Pair) -> None:
    """C-240, C-241: held before, made good after, and not more than a request may have."""
    stack = codex.stack
    licence = stack.new_licence("--tpm", "20000", "--context", "1000")
    full_minute(codex.stack, 10)
    _, body = codex.ask("hello")
    lefts, used = [], 0
    for _ in range(2):
        answer = _ask(codex, "POST", "/v1/responses/compact", key=licence, json=body)
        assert answer.status_code == 200
        lefts.append(int(answer.headers["x-ratelimit-remaining-tokens"]))
        used = answer.json()["usage"]["total_tokens"]
    assert lefts[0] - lefts[1] == used > 0
    long = {**body, "input": "word " * 4000}
    refused = _ask(codex, "POST", "/v1/responses/compact", key=licence, json=long)
    assert refused.json()["error"]["code"] == "context_length_exceeded"


def test_to_count_tokens_costs_none(codex: Pair) -> None:
    """C-240: and is no matter of whether any are left."""
    licence = codex.stack.new_licence("--tpm", "1")
    full_minute(codex.stack, 10)
    _, body = codex.ask("hello")
    path = "/v1/responses/input_tokens"
    codes = [_ask(codex, "POST", path, key=licence, json=body).status_code for _ in range(3)]
    asked = [_ask(codex, "POST", "/v1/responses", key=licence, json=body) for _ in range(2)]

    assert codes == [200] * 3 and [one.status_code for one in asked] == [200, 429]


def test_a_stored_response_needs_a_licence(codex: Pair) -> None:
    """C-030."""
    url = f"{codex.base}/v1/responses/resp_1"
    answers = [requests.request(method, url, timeout=10) for method in ("GET", "DELETE")]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert codex.asked == []


def test_what_another_platform_does_not_store_is_not_offered_there(codex: Pair) -> None:
    """C-027."""
    headers = {"authorization": f"Bearer {codex.stack.licence}"}
    url = f"{codex.stack.url('chatgpt')}/v1/responses/resp_1"
    answer = requests.get(url, headers=headers, timeout=10)

    assert answer.status_code == 404 and answer.json()["error"]["code"]
