"""What the simulated Chat Completions refuses, and in which words."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from app.simulators.openai_chat_rules import accept
from app.simulators.openai_checks import Refused
from app.simulators.serving import Running
from tests.nonsense import nonsense

KEY = {"authorization": "Bearer sk-sim-0123456789"}
USER = {"role": "user", "content": "hello"}
CALLS = {
    "role": "assistant",
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "3C"}
TOOL = {"type": "function", "function": {"name": "f"}}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}


def image(url: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


def refused(**changes: Any) -> tuple[str | None, str | None, int]:
    """Where and why a request is refused that is fine but for these changes."""
    sent = {"model": "gpt-4o", "messages": [USER], **changes}
    with pytest.raises(Refused) as caught:
        accept({name: value for name, value in sent.items() if value is not ...})
    return caught.value.param, caught.value.code, caught.value.status


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"nonsense": 1}, "nonsense", "unknown_parameter"),
        ({"max_output_tokens": 16}, "max_output_tokens", "unknown_parameter"),
        ({"messages": ...}, "messages", "missing_required_parameter"),
        ({"model": ...}, "model", "missing_required_parameter"),
        ({"model": 4}, "model", "invalid_type"),
        ({"messages": "hello"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"temperature": "1"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 1.0}, "n", "invalid_type"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
        ({"safety_identifier": "x" * 65}, "safety_identifier", "string_above_max_length"),
        ({"service_tier": "slow"}, "service_tier", "invalid_value"),
        ({"logit_bias": {"a": 1}}, "logit_bias key", "invalid_value"),
        ({"logit_bias": {"7": 101}}, "logit_bias.7", "integer_above_max_value"),
        (
            {"metadata": {str(n): "" for n in range(17)}},
            "metadata",
            "object_above_max_properties",
        ),
        ({"modalities": ["text", "audio"]}, "audio", "missing_required_parameter"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"top_logprobs": 3}, "top_logprobs", None),
        (
            {"max_tokens": 1, "max_completion_tokens": 1},
            "max_tokens",
            "invalid_parameter_combination",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b"}}},
            "response_format.json_schema.name",
            "invalid_value",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "strict": True, "schema": OPEN},
                }
            },
            "response_format",
            "invalid_json_schema",
        ),
    ],
)
def test_a_field_the_vendor_refuses_is_refused(
    changes: dict[str, Any], param: str, code: str | None
) -> None:
    assert refused(**changes) == (param, code, 400)


@pytest.mark.parametrize(
    ("messages", "param", "code"),
    [
        ([{"content": "x"}], "messages[0].role", "missing_required_parameter"),
        ([{"role": "robot", "content": "x"}], "messages[0].role", "invalid_value"),
        ([{"role": "user"}], "messages[0].content", "missing_required_parameter"),
        ([{"role": "user", "content": None}], "messages[0].content", "invalid_type"),
        ([{"role": "user", "content": []}], "messages[0].content", "empty_array"),
        (
            [{"role": "user", "content": [{"type": "input_text", "text": "x"}]}],
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            [{"role": "system", "content": image("https://a.example/")["content"]}],
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            [USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}],
            "messages[1].reasoning_content",
            "unknown_parameter",
        ),
        ([USER, {"role": "assistant"}], "messages.[1].content", None),
        ([USER, RESULT], "messages.[1].role", None),
        ([USER, CALLS], "messages.[2].role", None),
        ([USER, CALLS, USER, RESULT], "messages.[2].role", None),
        ([USER, CALLS, {**RESULT, "tool_call_id": "call_2"}], "messages.[2].role", None),
        ([USER, CALLS, RESULT, RESULT], "messages.[3].role", None),
        (
            [image("data:image/bmp;base64,AAAA")],
            "messages[0].content[0].image_url.url",
            "unsupported_image_media_type",
        ),
        (
            [image("data:image/png;base64,A")],
            "messages[0].content[0].image_url.url",
            "invalid_base64_image",
        ),
        (
            [image("data:image/png,AAAA")],
            "messages[0].content[0].image_url.url",
            "invalid_image_url",
        ),
        ([image("ftp://a.example")], "messages[0].content[0].image_url.url", "invalid_image_url"),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]}],
            "messages[0].content[0].file.filename",
            "missing_required_parameter",
        ),
        (
            [{"role": "user", "content": [{"type": "file", "file": {}}]}],
            "messages[0].content[0].file.file_id",
            "missing_required_parameter",
        ),
    ],
)
def test_messages_are_checked_one_by_one_and_in_order(
    messages: Any, param: str, code: str | None
) -> None:
    assert refused(messages=messages) == (param, code, 400)


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"tools": []}, "tools", "empty_array"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        (
            {"tools": [{"type": "function", "name": "f"}]},
            "tools[0].name",
            "unknown_parameter",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a.b"}}]},
            "tools[0].function.name",
            "invalid_value",
        ),
        (
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}
                ]
            },
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "strict": True, "parameters": OPEN},
                    }
                ]
            },
            "tools[0].function.parameters",
            "invalid_function_parameters",
        ),
        ({"tool_choice": "auto"}, "tool_choice", None),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", None),
        (
            {
                "tools": [TOOL],
                "tool_choice": {"type": "function", "function": {"name": "g"}},
            },
            "tool_choice",
            None,
        ),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call", None),
    ],
)
def test_tools_are_checked(changes: dict[str, Any], param: str, code: str | None) -> None:
    assert refused(**changes) == (param, code, 400)


@pytest.mark.parametrize(
    ("model", "changes", "param", "code"),
    [
        ("gpt-5.5", {"max_tokens": 9}, "max_tokens", "unsupported_parameter"),
        ("o3", {"max_tokens": 9}, "max_tokens", "unsupported_parameter"),
        ("gpt-5.5", {"temperature": 0.5}, "temperature", "unsupported_value"),
        ("gpt-5", {"top_p": 0.5}, "top_p", "unsupported_value"),
        ("gpt-5.1", {"logprobs": True}, "logprobs", "unsupported_parameter"),
        ("o3", {"stop": "x"}, "stop", "unsupported_parameter"),
        ("gpt-5.1", {"stop": "x", "reasoning_effort": "none"}, "stop", "unsupported_parameter"),
        ("gpt-6-astra", {"reasoning_effort": "none"}, "reasoning_effort", "unsupported_value"),
        ("gpt-5-pro", {"reasoning_effort": "low"}, "reasoning_effort", "unsupported_value"),
        ("gpt-5.1", {"reasoning_effort": "minimal"}, "reasoning_effort", "unsupported_value"),
        ("gpt-4o", {"reasoning_effort": "low"}, "reasoning_effort", "unsupported_parameter"),
        ("gpt-5.4", {"tools": [TOOL]}, "reasoning_effort", None),
        ("gpt-6-sol", {"tools": [TOOL], "reasoning_effort": "low"}, "reasoning_effort", None),
    ],
)
def test_a_model_refuses_what_it_cannot_do(
    model: str, changes: dict[str, Any], param: str, code: str | None
) -> None:
    assert refused(model=model, **changes) == (param, code, 400)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("gpt-5.5", {"temperature": 1, "top_p": 1.0, "max_completion_tokens": 9}),
        ("gpt-5.5", {"temperature": 0.5, "reasoning_effort": "none"}),
        ("gpt-6-sol", {"tools": [TOOL], "reasoning_effort": "none"}),
        ("gpt-5.2", {"tools": [TOOL]}),
        ("o3", {"tools": [TOOL], "reasoning_effort": "low"}),
        ("gpt-4o", {"stop": "x", "max_tokens": 9, "temperature": 0, "seed": -1}),
        ("ft:gpt-4o-mini:org::id", {"temperature": 0.1}),
        ("chatgpt-4o-latest", {"messages": [USER, CALLS, RESULT, USER]}),
    ],
)
def test_what_a_model_can_do_is_let_through(model: str, changes: dict[str, Any]) -> None:
    sent = {"model": model, "messages": [USER], **changes}
    assert accept(sent) is sent


@pytest.mark.parametrize("model", ["claude-5", "gemini-3-pro", "gpt", "xgpt-4o", "gpt-4o evil"])
def test_an_unknown_model_is_not_found(model: str) -> None:
    assert refused(model=model) == (None, "model_not_found", 404)


JSON = nonsense(
    "role content type text tool_calls id function name parameters properties required "
    "items enum tool_call_id image_url url strict anyOf json_schema schema".split(),
    beyond=True,
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            "messages tools tool_choice functions response_format stop n metadata stream".split()
        ),
        JSON,
    )
)
def test_no_body_breaks_the_rules_themselves(changes: dict[str, Any]) -> None:
    sent = {"model": "gpt-4o", "messages": [USER], **changes}
    try:
        assert accept(sent) is sent
    except Refused as error:
        assert set(error.envelope()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("key", "status", "kind", "code", "retry"),
    [
        ("", 401, "invalid_request_error", None, None),
        ("sk-sim-0123456789-revoked", 401, "invalid_request_error", "invalid_api_key", None),
        ("sk-sim-throttled", 429, "requests", "rate_limit_exceeded", "7"),
        ("sk-sim-broke", 429, "insufficient_quota", "insufficient_quota", None),
    ],
)
@pytest.mark.parametrize("path", ["/chat/completions", "/models"])
def test_the_ending_of_a_credential_decides_its_fate(
    running: Running, path: str, key: str, status: int, kind: str, code: str, retry: str | None
) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = requests.get(running.url("chatgpt") + path, headers=headers, timeout=5)
    told = answer.json()["error"]
    assert (answer.status_code, told["type"], told["code"]) == (status, kind, code)
    assert answer.headers.get("retry-after") == retry
    assert answer.headers["x-request-id"].startswith("req_")
    assert "0123456789" not in answer.text


@pytest.mark.parametrize(
    ("kind", "status", "told"),
    [
        ("throttle", 429, ("requests", "rate_limit_exceeded")),
        ("refuse", 401, ("invalid_request_error", "invalid_api_key")),
        ("forbid", 403, ("request_forbidden", "unsupported_country_region_territory")),
        ("overload", 503, ("service_unavailable_error", "server_is_overloaded")),
        ("fail", 500, ("server_error", None)),
        ("error", 500, ("server_error", None)),
        ("fail status=504", 504, ("server_error", None)),
    ],
)
def test_a_mishap_is_told_in_the_vendors_words(
    running: Running, kind: str, status: int, told: tuple[str, str | None]
) -> None:
    sent = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"simulate: {kind}"}]}
    url = f"{running.url('chatgpt')}/chat/completions"
    answer = requests.post(url, json=sent, headers=KEY, timeout=5)
    error = answer.json()["error"]
    assert (answer.status_code, (error["type"], error["code"])) == (status, told)


@pytest.mark.parametrize(
    ("method", "path", "raw", "kind", "status"),
    [
        ("POST", "/chat/completions", b"{", "application/json", 400),
        ("POST", "/chat/completions", b"\xff", "application/json", 400),
        ("POST", "/chat/completions", b"[" * 100_000, "application/json", 400),
        ("POST", "/chat/completions", b'{"n": NaN}', "application/json", 400),
        ("POST", "/chat/completions", b"[]", "application/json", 400),
        ("POST", "/chat/completions", b"{}", "text/plain", 400),
        ("PUT", "/chat/completions", b"{}", "application/json", 405),
        ("GET", "/nowhere", b"", "", 404),
        ("GET", "/chat/completions/unknown", b"", "", 404),
        ("GET", "/modelsandmore", b"", "", 404),
    ],
)
def test_what_is_no_request_at_all_is_refused_too(
    running: Running, method: str, path: str, raw: bytes, kind: str, status: int
) -> None:
    headers = {**KEY, "content-type": kind}
    url = running.url("chatgpt") + path
    answer = requests.request(method, url, data=raw, headers=headers, timeout=5)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == "invalid_request_error"
