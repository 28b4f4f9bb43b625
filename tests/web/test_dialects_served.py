"""Whatever goes wrong is told in the dialect of the path, also where the path leads nowhere
(C-027, C-218).
"""

from __future__ import annotations

import pytest

from app.platforms import PLANNED, PLATFORMS
from app.wire import anthropic_messages, openai_responses
from tests.models import EVERY

OF = {name: platform.chat.dialect for name, platform in PLATFORMS.items()}


def elsewhere(dialect):
    """The platforms whose own dialect is another."""
    return [name for name in EVERY if OF[name] is not dialect]


def is_openais(answer, code):
    error = answer.json()["error"]
    return error.keys() == {"message", "type", "param", "code"} and error["code"] == code


def is_anthropics(answer, kind):
    body = answer.json()
    return (body["type"], body["error"]["type"]) == ("error", kind)


def is_geminis(answer, status, reason):
    error = answer.json()["error"]
    told = [one.get("reason") for one in error["details"]]
    return (error["code"], error["status"], told[0]) == (answer.status_code, status, reason)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize(
    "verb", ["countTokens", "embedContent", "batchEmbedContents", "predict", "predictLongRunning"]
)
@pytest.mark.parametrize("name", EVERY)
def test_geminis_calls_are_not_offered_in_geminis_shape(call, stack, name, verb, version):
    path = f"/{name}/{version}/models/x:{verb}"
    answer = call("POST", path, json={}, licence=None, headers={"x-goog-api-key": stack.licence})

    if verb in PLATFORMS[name].chat.gemini_calls:
        assert "endpoint_not_supported" not in answer.text
    else:
        assert answer.status_code == 404
        assert is_geminis(answer, "NOT_FOUND", "endpoint_not_supported")
        assert call("POST", path, json={}, licence="wrong").status_code == 401


@pytest.mark.parametrize("name", elsewhere(anthropic_messages))
@pytest.mark.parametrize("path", ["count_tokens", "batches", "batches/b1", "batches/b1/results"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_anthropics_calls_are_not_offered_in_anthropics_shape(call, stack, name, path, method):
    answer = call(method, f"/{name}/v1/messages/{path}", json={})

    assert answer.status_code == 404 and is_anthropics(answer, "not_found_error")
    assert "does not offer this endpoint" in answer.json()["error"]["message"]
    assert stack.line(answer.headers["x-request-id"])["outcome"] == "endpoint_not_supported"


@pytest.mark.parametrize("name", elsewhere(openai_responses))
@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "resp_1"),
        ("DELETE", "resp_1"),
        ("POST", "resp_1/cancel"),
        ("GET", "resp_1/input_items"),
        ("POST", "compact"),
    ],
)
def test_stored_responses_are_not_offered_where_nothing_is_stored(call, name, method, path):
    answer = call(method, f"/{name}/v1/responses/{path}", json={})

    assert answer.status_code == 404 and is_openais(answer, "endpoint_not_supported")


@pytest.mark.parametrize("name", EVERY)
def test_an_unknown_model_is_told_in_the_callers_shape(call, name):
    """C-014, C-218."""
    path = f"/{name}/v1/models/zzz"
    plain = call("GET", path)
    anthropic = call("GET", path, headers={"anthropic-version": "2023-06-01"})
    gemini = call("GET", path, headers={"x-goog-api-client": "google-genai-sdk/2"})

    assert {answer.status_code for answer in (plain, anthropic, gemini)} == {404}
    assert is_openais(plain, "model_not_found")
    assert is_anthropics(anthropic, "not_found_error")
    assert is_geminis(gemini, "NOT_FOUND", "model_not_found")


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent"])
@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_a_wrong_method_is_told_in_geminis_shape(call, name, verb, version):
    """C-026."""
    answer = call("GET", f"/{name}/{version}/models/x:{verb}")

    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")
    assert answer.json()["error"]["details"][0]["reason"] == "method_not_allowed"


@pytest.mark.parametrize("name", EVERY)
def test_a_wrong_method_is_told_in_the_shape_of_the_route(call, name):
    """C-026."""
    messages = call("GET", f"/{name}/v1/messages")
    responses = call("GET", f"/{name}/v1/responses")
    listed = call("POST", f"/{name}/v1beta/models", json={})

    assert [answer.status_code for answer in (messages, responses, listed)] == [405] * 3
    assert is_anthropics(messages, "invalid_request_error")
    assert is_openais(responses, "method_not_allowed")
    assert listed.json()["error"]["details"][0]["reason"] == "method_not_allowed"
    assert "GET" in listed.headers["allow"]


@pytest.mark.parametrize("where", ["", "/chatgpt", "/nowhere"])
def test_a_path_that_leads_nowhere_is_told_in_its_shape(call, where):
    """C-025."""
    assert is_anthropics(call("POST", "/nowhere/v1/messages", json={}), "not_found_error")
    beta = call("POST", f"{where}/v1beta/nothing", json={})
    assert is_geminis(beta, "NOT_FOUND", "not_found")
    assert is_openais(call("POST", f"{where}/v1/nothing", json={}), "not_found")


def test_the_calls_a_platform_passes_on_answer_405_to_other_methods(call):
    counted = call("GET", "/gemini/v1beta/models/x:countTokens")
    messages = call("GET", "/claude_api/v1/messages/count_tokens")

    assert counted.status_code == messages.status_code == 405
    assert is_anthropics(messages, "invalid_request_error")
    assert counted.json()["error"]["code"] == 405


@pytest.mark.parametrize("path", ["gemini-2.5-flash:free", "a/b:Thinking", "x+y:v2"])
def test_a_model_may_have_a_colon_in_its_name(call, path):
    """K-017: only what looks like one of Google's calls is one."""
    answer = call("GET", f"/gemini/v1/models/{path}")

    assert answer.status_code == 404 and is_openais(answer, "model_not_found")


@pytest.mark.parametrize("name", PLANNED)
@pytest.mark.parametrize(
    "path, is_told",
    [
        ("v1/chat/completions", lambda answer: is_openais(answer, "endpoint_not_supported")),
        ("v1/models", lambda answer: is_openais(answer, "endpoint_not_supported")),
        ("v1/messages", lambda answer: is_anthropics(answer, "not_found_error")),
        (
            "v1beta/models/x:generateContent",
            lambda answer: is_geminis(answer, "NOT_FOUND", "endpoint_not_supported"),
        ),
        ("chat/completions", lambda answer: is_openais(answer, "endpoint_not_supported")),
    ],
)
def test_a_platform_that_is_still_to_come_says_so(call, name, path, is_told):
    """C-001, C-027."""
    answer = call("POST", f"/{name}/{path}", json={})

    assert answer.status_code == 404 and is_told(answer)
    assert call("POST", f"/{name}/{path}", json={}, licence="wrong").status_code == 401
