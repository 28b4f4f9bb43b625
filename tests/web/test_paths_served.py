"""Paths as people paste them, methods, and what browsers ask first (contract section 1, clients
2.1).
"""

from __future__ import annotations

import pytest

from app.platforms import PLATFORMS
from tests.web.conftest import CHAT, HELLO


@pytest.mark.parametrize(
    "path",
    [
        CHAT,
        CHAT + "/",
        "//chatgpt//v1//chat/completions",
        "/chatgpt/v1/v1/chat/completions",
        "/chatgpt/chat/completions",
        "/chatgpt/v1/chat/completions/chat/completions",
        CHAT + "?api-version=2024-06-01&beta=true&key=ignored",
    ],
)
def test_a_chat_is_served_however_its_path_was_pasted(call, path):
    """C-022, C-023, C-024, K-001 to K-006, K-018."""
    answer = call("POST", path, json=HELLO, allow_redirects=False)

    assert answer.status_code == 200
    assert answer.json()["object"] == "chat.completion"


@pytest.mark.parametrize(
    "path", ["/v1/models", "/models", "//models", "/v1/v1/models/", "/v1/models"]
)
def test_the_root_lists_models_without_a_licence(call, path):
    """C-004, C-248, K-027, K-032."""
    listed = call("GET", path, licence=None).json()

    ids = [model["id"] for model in listed["data"]]
    assert listed["object"] == "list" and len(ids) > 20
    assert ids == sorted(set(ids))
    assert {one.partition("/")[0] for one in ids} == set(PLATFORMS)
    for model in listed["data"]:
        assert model["object"] == "model" and isinstance(model["created"], int)
        assert isinstance(model["owned_by"], str) and None not in model.values()


@pytest.mark.parametrize("name", sorted(PLATFORMS))
def test_every_listed_model_can_be_had_one_by_one(call, name):
    """C-013, C-014, K-033, K-017."""
    listed = call("GET", f"/{name}/v1/models").json()["data"]

    assert [call("GET", f"/{name}/v1/models/{one['id']}").json() for one in listed] == listed
    assert (
        call("GET", f"/v1/models/{name}%2F{listed[0]['id']}").json()["id"].endswith(listed[0]["id"])
    )
    assert call("GET", f"/{name}/v1/models/nothing-of-the-kind").status_code == 404


def test_models_come_in_the_shape_of_whoever_asks(call):
    """K-034, C-227."""
    anthropic = call("GET", "/claude_api/v1/models", headers={"anthropic-version": "2023-06-01"})
    gemini = call("GET", "/gemini/v1beta/models")

    assert anthropic.json()["data"][0]["type"] == "model" and not anthropic.json()["has_more"]
    assert gemini.json()["models"][0]["name"].startswith("models/gemini")


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/chatgpt/nowhere",
        "/v1/nowhere",
        "/chatgtp/v1/chat/completions",
        "/%2e%2e/etc/passwd",
    ],
)
def test_an_unknown_path_is_404_in_json(call, path):
    """C-025, K-016."""
    answer = call("GET", path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_a_wrong_method_is_405_and_names_the_right_one(call, method):
    """C-026, R-020."""
    answer = call(method, CHAT)

    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert method == "HEAD" or answer.json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/api/hello", "/claude_api/"])
def test_head_works_wherever_get_does(call, path):
    """K-014, K-015."""
    answer = call("HEAD", path, licence=None)

    assert answer.status_code == call("GET", path, licence=None).status_code
    assert answer.content == b""


NOWHERE = ("v1/embeddings", "v1/alpha/search", "v1/audio/speech")
MADE = {"v1/images/generations": "images", "v1/videos": "videos"}


def not_offered() -> list[tuple[str, str]]:
    found = [(name, path) for name in PLATFORMS for path in NOWHERE]
    for path, engine in MADE.items():
        found += [(name, path) for name, one in PLATFORMS.items() if not getattr(one, engine)]
    return sorted(found)


@pytest.mark.parametrize("name, path", not_offered())
def test_what_a_platform_does_not_offer_is_a_clear_404(call, name, path):
    """C-020, C-027."""
    answer = call("POST", f"/{name}/{path}", json={"model": "x", "prompt": "y"})

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "endpoint_not_supported"


@pytest.mark.parametrize("path", [CHAT, "/nowhere", "/", "/gemini/v1beta/models/x:generateContent"])
def test_browsers_are_answered_before_they_call(call, path):
    """K-007 to K-013."""
    asked = "authorization, content-type, x-stainless-os"
    headers = {"Origin": "https://chat.example", "Access-Control-Request-Headers": asked}

    answer = call("OPTIONS", path, licence=None, headers=headers)

    assert answer.status_code == 204
    assert "content-type" not in answer.headers and answer.content == b""
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == asked
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


def test_browsers_may_read_errors_and_streams(call):
    """K-011, K-012."""
    headers = {"Origin": "https://chat.example"}
    refused = call("POST", CHAT, licence="wrong", json=HELLO, headers=headers)
    stream = call("POST", CHAT, json=HELLO | {"stream": True}, headers=headers)

    for answer in (refused, stream):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_health_says_what_is_there(call):
    """C-247."""
    answer = call("GET", "/health", licence=None)

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok" and answer.json()["message"]
    assert answer.json()["details"]["platforms"] == dict.fromkeys(PLATFORMS, "configured")
