"""Licences as callers meet them: headers, scope, revocation, languages (contract sections 2 and 8,
clients 2.2).
"""

from __future__ import annotations

import json

import pytest

from tests.stack import until
from tests.web.conftest import CHAT, HELLO


def named(stack, *words):
    return json.loads(stack.tokens("licence", "add", "--json", *words))


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer {}"},
        {"Authorization": "{}"},
        {"Authorization": "bEaReR   {}"},
        {"X-Api-Key": "{}"},
        {"api-key": "{}"},
        {"Authorization": "", "X-Api-Key": "{}"},
        {"Authorization": "Bearer", "X-Api-Key": "{}"},
        {"Authorization": "Bearer {}", "api-key": "{}", "X-Api-Key": "{}"},
    ],
    ids=str,
)
def test_a_licence_is_accepted_wherever_clients_put_it(call, stack, headers):
    """C-030 to C-037, K-020, K-021."""
    filled = {name: value.format(stack.licence) for name, value in headers.items()}

    assert call("POST", CHAT, licence=None, json=HELLO, headers=filled).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer wrong", "X-Api-Key": "{}"},
        {"Authorization": "Basic {}"},
        {"X-Goog-Api-Key": "{}"},
        {"Authorization": "Bearer {},{}"},
        {"Authorization": "' OR 1=1 --"},
        {"Authorization": "x" * 8000},
    ],
    ids=lambda headers: str(headers)[:60],
)
def test_anything_else_is_401_and_a_wrong_one_is_not_rescued(call, stack, headers):
    """C-034, C-037, C-038, K-023, K-025, R-121."""
    filled = {name: value.format(stack.licence, stack.licence) for name, value in headers.items()}

    answer = call("POST", CHAT, licence=None, json=HELLO, headers=filled)

    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "www-authenticate" not in answer.headers
    assert stack.licence not in answer.text


@pytest.mark.parametrize("place", ["header", "query"])
def test_gemini_routes_take_googles_header_and_the_query(call, stack, place):
    """C-034, C-035; the key in the query is in no log."""
    path = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
    headers = {"X-Goog-Api-Key": stack.licence} if place == "header" else {}
    query = f"?key={stack.licence}" if place == "query" else ""
    body = {"contents": [{"parts": [{"text": "hello"}]}]}

    answer = call("POST", path + query, licence=None, json=body, headers=headers)

    assert answer.status_code == 200, answer.text
    assert stack.licence not in json.dumps(stack.line(answer.headers["x-request-id"]))


def test_a_licence_covers_what_it_says(call, stack):
    scoped = named(stack, "--platforms", "chatgpt", "--models", "gpt-4o*")["licence"]

    assert call("POST", CHAT, licence=scoped, json=HELLO).status_code == 200
    other = call("POST", CHAT, licence=scoped, json=HELLO | {"model": "gpt-5.4"})
    elsewhere = call("POST", "/gemini/v1/chat/completions", licence=scoped, json=HELLO)
    root = call(
        "POST",
        "/v1/chat/completions",
        licence=scoped,
        json=HELLO | {"model": "gemini/gemini-2.5-pro"},
    )

    for answer in (other, elsewhere, root):
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "forbidden"


def test_a_revoked_licence_is_refused_by_every_worker_within_two_seconds(call, stack):
    """R-126."""
    made = named(stack)
    assert {
        call("POST", CHAT, licence=made["licence"], json=HELLO).status_code for _ in range(8)
    } == {200}

    stack.tokens("licence", "revoke", made["name"])

    def refused() -> bool:
        return all(
            call("POST", CHAT, licence=made["licence"], json=HELLO).status_code == 401
            for _ in range(8)
        )

    assert until(refused, 2.5)


def test_an_expired_licence_is_refused(call, stack):
    made = named(stack, "--expires", "1s")

    def refused():
        answer = call("POST", CHAT, licence=made["licence"], json=HELLO)
        return answer if answer.status_code == 401 else None

    assert "expired" in until(refused, 3).json()["error"]["message"]


@pytest.mark.parametrize(
    "accept, chinese",
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("zh", True),
        ("en-US,en;q=0.9,zh;q=0.5", False),
        ("", False),
        ("fr", False),
        ("zh;q=nonsense", False),
    ],
)
def test_errors_are_told_in_the_callers_language(call, accept, chinese):
    """C-186: the words change, the codes do not."""
    answer = call("POST", CHAT, licence="wrong", json=HELLO, headers={"Accept-Language": accept})

    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert (answer.json()["error"]["message"] == "许可证无效") is chinese


def test_the_root_serves_models_of_every_platform(call):
    """C-249, C-252: by `platform/model`, and by a bare name on the platform that was chosen."""
    body = {"temperature": 0.7, "max_output_tokens": 2048, "top_p": 0.9, "stop": ["\n\nUser:"]}
    bare = call("POST", "/v1/chat/completions", json=HELLO | body | {"model": "gemini-2.5-flash"})
    named_ = call(
        "POST", "/v1/chat/completions", json=HELLO | {"model": "claude_api/claude-sonnet-5"}
    )

    assert bare.json()["model"] == "gemini-2.5-flash"
    assert named_.json()["model"] == "claude_api/claude-sonnet-5"
    assert call("POST", "/v1/chat/completions", licence=None, json=HELLO).status_code == 401


def test_an_open_root_takes_any_key_or_none(gateway):
    """C-040, C-250, K-024."""
    import requests

    opened = gateway(TOKENS_ROOT_OPEN="true", TOKENS_ROOT_MODEL="gemini-2.5-flash")
    body = {"messages": HELLO["messages"]}
    for headers in ({}, {"Authorization": "Bearer not-provided"}, {"Authorization": "Bearer x"}):
        answer = requests.post(
            f"{opened.url()}/v1/chat/completions", json=body, headers=headers, timeout=20
        )
        assert answer.status_code == 200, answer.text

    guarded = requests.post(f"{opened.url()}{CHAT}", json=HELLO, timeout=20)
    assert guarded.status_code == 401


def test_a_token_brought_to_an_open_root_is_used(gateway):
    """C-041, C-042, C-045: the root is open to those who bring nothing."""
    import requests

    opened = gateway(TOKENS_ROOT_OPEN="true", TOKENS_ROOT_MODEL="gemini-2.5-flash")
    body = HELLO | {"model": "chatgpt/gpt-4o"}
    statuses = {}
    for licence in (opened.licence, "wrong"):
        headers = {"tokens-authorization": licence, "authorization": "Bearer brought-revoked"}
        answer = requests.post(
            f"{opened.url()}/v1/chat/completions", json=body, headers=headers, timeout=20
        )
        statuses[licence] = answer.status_code, "request_id" in answer.json()

    assert statuses == {opened.licence: (401, False), "wrong": (401, True)}


def test_a_root_model_reaches_its_platform_without_the_prefix(call):
    answer = call("POST", "/v1/chat/completions", json=HELLO | {"model": "chatgpt/gpt-4o"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]
