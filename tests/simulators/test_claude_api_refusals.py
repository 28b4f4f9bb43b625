"""What the simulated Messages API refuses, and in which words.

Every case is a request that would be fine but for one thing.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests

from app.simulators.serving import Running

Json = dict[str, Any]

OLD = "claude-haiku-4-5"
NEW = "claude-sonnet-5"
NEWEST = "claude-opus-5-5"
VERSION = "2023-06-01"

WEATHER: Json = {"name": "weather", "input_schema": {"type": "object"}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
GONE = object()
PATTERN = "^[a-zA-Z0-9_-]"
FORCED: Json = {"type": "any"}
BUDGET: Json = {"type": "enabled", "budget_tokens": 1024}
USE_ADAPTIVE = (
    'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
)


def user(*content: Any) -> Json:
    return {"role": "user", "content": list(content)}


def assistant(*content: Any) -> Json:
    return {"role": "assistant", "content": list(content)}


def text(words: str = "hi", **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def use(call_id: str = "toolu_1", **more: Any) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "weather", "input": {}, **more}


def result(call_id: str = "toolu_1", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, **more}


def image(source: Json) -> Json:
    return {"messages": [user({"type": "image", "source": source})]}


def inline(media_type: str, data: str) -> Json:
    return image({"type": "base64", "media_type": media_type, "data": data})


def talk(*messages: Json, **more: Any) -> Json:
    return {"messages": list(messages), **more}


def form(schema: Json) -> Json:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


MARKED = text(cache_control={"type": "ephemeral"})
LONG = text(cache_control={"type": "ephemeral", "ttl": "1h"})
CLOSED: Json = {"type": "object", "additionalProperties": False}


def send(
    running: Running, change: Json, version: str = VERSION, beta: str = "", path: str = ""
) -> requests.Response:
    body: Json = {"model": NEW, "max_tokens": 2000, "messages": [user(text())], **change}
    headers = {"x-api-key": "sk-sim", "anthropic-version": version, "anthropic-beta": beta}
    address = running.url("claude_api") + (path or "/v1/messages")
    sent = {name: value for name, value in body.items() if value is not GONE}
    return requests.post(address, json=sent, headers=headers, timeout=10)


SHAPES: list[tuple[Json, str]] = [
    ({"max_tokens": GONE}, "max_tokens: Field required"),
    ({"messages": GONE}, "messages: Field required"),
    ({"model": GONE}, "model: Field required"),
    ({"messages": []}, "messages: List should have at least 1 item after validation, not 0"),
    ({"messages": "hi"}, "messages: Input should be a valid list"),
    ({"n": 1}, "n: Extra inputs are not permitted"),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"temperature": 1.3}, "temperature: Input should be less than or equal to 1"),
    ({"service_tier": "flex"}, "service_tier: Input should be 'auto' or 'standard_only'"),
    ({"metadata": {"user": "a"}}, "metadata.user: Extra inputs are not permitted"),
    (
        {"stop_sequences": ["END", " "]},
        "stop_sequences: each stop sequence must contain non-whitespace",
    ),
    (talk({"content": "hi"}), "messages.0.role: Field required"),
    (
        talk({"role": "developer", "content": "hi"}),
        "messages.0.role: Input should be 'user' or 'assistant'",
    ),
    (talk({**user(text()), "name": "Ann"}), "messages.0.name: Extra inputs are not permitted"),
    (talk(user({"type": "text"})), "messages.0.content.0.text.text: Field required"),
    (
        talk(user({"text": "hi"})),
        "messages.0.content.0.type: Field required",
    ),
    (
        talk(user(text()), assistant(use(input="{}")), user(result())),
        "messages.1.content.0.tool_use.input: Input should be a valid dictionary",
    ),
    (
        talk(user(text()), assistant(use("call.1")), user(result("call.1"))),
        f"messages.1.content.0.tool_use.id: String should match pattern '{PATTERN}+$'",
    ),
    (
        {"tools": [{**WEATHER, "name": "get.weather"}]},
        f"tools.0.custom.name: String should match pattern '{PATTERN}{{1,64}}$'",
    ),
    (
        {"tools": [{"type": "function", "function": {}}]},
        "tools.0: Input tag 'function' found using 'type' does not match any of the expected tags:",
    ),
    (
        {"tools": [{"name": "weather", "input_schema": {}}]},
        "tools.0.custom.input_schema.type: Field required",
    ),
    (
        {"tools": [{"name": "weather", "input_schema": {"type": "object", "anyOf": []}}]},
        "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the "
        "top level",
    ),
    (
        {"tools": [{"name": "weather", "input_schema": {"type": "object", "properties": []}}]},
        "tools.0.custom.input_schema: JSON schema is invalid.",
    ),
    (
        {"thinking": {**BUDGET, "budget_tokens": 1000}},
        "thinking.enabled.budget_tokens: Input " "should be greater than or equal to 1024",
    ),
    (
        {"output_config": {"effort": "minimal"}},
        "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    ),
]

FILES: list[tuple[Json, str]] = [
    (inline("image/png", "no base64!"), "base64.data: invalid base64 data"),
    (inline("image/png", PNG[:-2]), "base64.data: invalid base64 data"),
    (
        inline("image/jpeg", PNG),
        "base64.data: The image was specified using the image/jpeg media type, but its data does "
        "not appear to be of that type",
    ),
    (
        inline("image/svg+xml", PNG),
        "base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'",
    ),
    (
        image({"type": "url", "url": "http://example.com/a.png"}),
        "url.url: Only HTTPS URLs are " "supported.",
    ),
]

TURNS: list[tuple[Json, str]] = [
    (talk(assistant(text())), 'messages: first message must use the "user" role'),
    (
        talk({"role": "user", "content": ""}),
        "messages.0: all messages must have non-empty content except for the optional final "
        "assistant message",
    ),
    (talk(user(text(""))), "messages: text content blocks must be non-empty"),
    (talk(user(text(" \n"))), "messages: text content blocks must contain non-whitespace text"),
    ({"system": [text("")]}, "system: text content blocks must be non-empty"),
    (
        talk(user(text()), assistant(text("So"))),
        "This model does not support assistant message prefill. The conversation must end with a "
        "user message.",
    ),
    (
        talk(user(text()), assistant(text("So ")), model=OLD),
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    (
        talk(user(text()), {"role": "system", "content": "now"}),
        "messages.1: role 'system' is not supported on this model",
    ),
    (
        talk({"role": "system", "content": "now"}, user(text()), model=NEWEST),
        "messages.0: role 'system' must follow a user message",
    ),
    (
        talk(user(text()), {"role": "system", "content": "now"}, user(text()), model=NEWEST),
        "messages.1: role 'system' must be the last message or precede an assistant message",
    ),
    (
        talk(user(MARKED, MARKED, MARKED, MARKED, MARKED)),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (
        talk(user(LONG), system=[MARKED]),
        "cache_control: a ttl='1h' cache_control block must not come after a ttl='5m' "
        "cache_control block",
    ),
    (
        talk(user(text()), assistant(use()), user(result()), model=OLD, thinking=BUDGET),
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found "
        "`tool_use`. When `thinking` is enabled, a final `assistant` message must start with a "
        "thinking block.",
    ),
    (
        talk(user({"type": "thinking", "thinking": "", "signature": "x"})),
        "messages.0.content.0: Input tag 'thinking' found using 'type' does not match any of the "
        "expected tags: 'text', 'image', 'document', 'search_result', 'tool_result', "
        "'container_upload'",
    ),
]

UNANSWERED = "`tool_use` ids were found without `tool_result` blocks immediately after: "
UNEXPECTED = "unexpected `tool_use_id` found in `tool_result` blocks: "
PAIRS: list[tuple[Json, str]] = [
    (talk(user(text()), assistant(use()), user(text())), f"messages.1: {UNANSWERED}toolu_1."),
    (
        talk(user(text()), assistant(use()), user(text(), result())),
        f"messages.1: {UNANSWERED}toolu_1.",
    ),
    (
        talk(
            user(text()), assistant(use(), use("toolu_2")), user(result()), user(result("toolu_2"))
        ),
        f"messages.1: {UNANSWERED}toolu_2.",
    ),
    (talk(user(result())), f"messages.0.content.0: {UNEXPECTED}toolu_1."),
    (
        talk(user(text()), assistant(use()), user(result(), result("toolu_2"))),
        f"messages.2.content.1: {UNEXPECTED}toolu_2.",
    ),
    (
        talk(user(text()), assistant(use()), user(result(), result())),
        "messages.2: each tool_use must have a single result. Found multiple `tool_result` blocks "
        "with id: toolu_1",
    ),
    (
        talk(user(text()), assistant(use(), use()), user(result(), result())),
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
]

SETTINGS: list[tuple[Json, str]] = [
    (
        {"max_tokens": 64_001, "model": OLD},
        "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for "
        "claude-haiku-4-5-20251001",
    ),
    ({"max_tokens": 0, "stream": True}, "max_tokens: 0 may not be combined with `stream`"),
    ({"temperature": 0.5}, "`temperature` is deprecated for this model."),
    ({"temperature": 1, "model": NEWEST}, "`temperature` is deprecated for this model."),
    ({"top_k": 1, "model": "claude-opus-4-7"}, "`top_k` is deprecated for this model."),
    (
        {"temperature": 1, "top_p": 1, "model": OLD},
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    ),
    (
        {"temperature": 0.5, "model": OLD, "thinking": BUDGET},
        "`temperature` may only be set to 1 when thinking is enabled.",
    ),
    (
        {"top_p": 0.9, "model": OLD, "thinking": BUDGET},
        "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.",
    ),
    (
        {"top_k": 4, "model": OLD, "thinking": BUDGET},
        "`top_k` must be unset when thinking is enabled.",
    ),
    (
        {"thinking": BUDGET, "model": OLD, "max_tokens": 1024},
        "`max_tokens` must be greater than `thinking.budget_tokens`",
    ),
    (
        {"thinking": BUDGET},
        f'"thinking.type.enabled" is not supported for this model. {USE_ADAPTIVE}',
    ),
    (
        {"thinking": {"type": "disabled"}, "model": NEWEST},
        f'"thinking.type.disabled" is not supported for this model. {USE_ADAPTIVE}',
    ),
    (
        {
            "thinking": {"type": "disabled"},
            "model": "claude-opus-5",
            "output_config": {"effort": "max"},
        },
        f'"thinking.type.disabled" is not supported for this model. {USE_ADAPTIVE}',
    ),
    (
        {"thinking": {"type": "adaptive"}, "model": OLD},
        '"thinking.type.adaptive" is not supported for this model.',
    ),
    (
        {"thinking": {"type": "between_tools"}},
        f'"thinking.type.between_tools" is not supported for this model. {USE_ADAPTIVE}',
    ),
    (
        {"output_config": {"effort": "low"}, "model": OLD},
        "This model does not support the effort parameter.",
    ),
    (
        {"output_config": {"effort": "xhigh"}, "model": "claude-opus-4-6"},
        "output_config.effort: This model does not support effort level 'xhigh'",
    ),
    (
        {"tool_choice": FORCED},
        "tool_choice: tool_choice may only be specified while providing tools",
    ),
    (
        {"tool_choice": {"type": "tool", "name": "clock"}, "tools": [WEATHER]},
        "Tool 'clock' not found in provided tools",
    ),
    (
        {"tool_choice": FORCED, "tools": [WEATHER], "model": NEWEST},
        "tool_choice.type: 'any' is not supported on this model",
    ),
    (
        {"tool_choice": FORCED, "tools": [WEATHER], "model": OLD, "thinking": BUDGET},
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    ({"tools": [WEATHER, WEATHER]}, "tools: Tool names must be unique."),
    ({"context_management": {"edits": []}}, "context_management: Extra inputs are not permitted"),
]

SCHEMAS: list[tuple[Json, str]] = [
    (
        {"type": "object"},
        "For 'object' type, 'additionalProperties' must be explicitly set to false",
    ),
    (
        {**CLOSED, "properties": {"n": {"type": "integer", "minimum": 1}}},
        "For 'integer' type, property 'minimum' is not supported",
    ),
    (
        {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        "recursive schemas " "are not supported",
    ),
    ({"$ref": "https://example.com/a"}, "external $ref 'https://example.com/a' is not supported"),
    ({"$ref": "#/$defs/b"}, "$ref '#/$defs/b' points to nothing"),
    ({"type": "string", "format": "regex"}, "For 'string' type, format 'regex' is not supported"),
    (
        {"type": "string", "pattern": "(?=a)"},
        "pattern: look-around and back references are not supported",
    ),
    (
        {"type": "array", "items": {"type": "string"}, "minItems": 2},
        "For 'array' type, 'minItems' values other than 0 or 1 are not supported",
    ),
]


@pytest.mark.parametrize(("change", "message"), SHAPES + TURNS + SETTINGS)
def test_a_wrong_request_is_refused_in_the_vendors_words(
    running: Running, change: Json, message: str
) -> None:
    answer = send(running, change)
    error = answer.json()["error"]

    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith(message)


@pytest.mark.parametrize(("change", "message"), FILES)
def test_a_wrong_file_is_refused(running: Running, change: Json, message: str) -> None:
    error = send(running, change).json()["error"]

    assert error["message"] == f"messages.0.content.0.image.source.{message}"


@pytest.mark.parametrize(("change", "message"), PAIRS)
def test_calls_and_results_must_pair(running: Running, change: Json, message: str) -> None:
    error = send(running, change).json()["error"]

    assert error["message"].startswith(message)


@pytest.mark.parametrize(("schema", "message"), SCHEMAS)
def test_a_schema_that_cannot_be_compiled_is_refused(
    running: Running, schema: Json, message: str
) -> None:
    tool = {"name": "t", "input_schema": {**CLOSED, "properties": {"x": schema}}, "strict": True}
    wanted, strict = send(running, form(schema)), send(running, {"tools": [tool]})

    assert wanted.json()["error"]["message"] == f"output_config.format.schema: {message}"
    if "$ref" not in schema:
        assert strict.json()["error"]["message"] == f"tools.0.custom: {message}"


ACCEPTED: list[Json] = [
    talk(user(text()), assistant(use()), user(result(content="20"), text())),
    talk(
        user(text()),
        user(text()),
        assistant(use(), use("toolu_2")),
        user(result("toolu_2"), result(content=[text()], is_error=True)),
    ),
    talk(user(text()), assistant(text("So")), model=OLD),
    talk(user(text()), {"role": "system", "content": "now"}, model=NEWEST),
    talk(user(text(), MARKED, MARKED, MARKED, MARKED)),
    talk(user(MARKED), system=[LONG]),
    {"temperature": 0.5, "model": OLD},
    {"temperature": 1},
    {
        "thinking": {"type": "disabled"},
        "model": "claude-opus-5",
        "output_config": {"effort": "high"},
    },
    {"tool_choice": FORCED, "tools": [WEATHER]},
    {"tools": [{"type": "bash_20250124", "name": "bash"}]},
    {"tools": [{"name": "f", "input_schema": {"type": "object", "properties": None}}]},
    {"max_tokens": 0},
    inline("image/png", PNG),
    image({"type": "url", "url": "https://example.com/a.png"}),
    form({**CLOSED, "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"const": 1}}}),
]


@pytest.mark.parametrize("change", ACCEPTED)
def test_what_the_vendor_takes_is_taken(running: Running, change: Json) -> None:
    answer = send(running, change)

    assert (answer.status_code, answer.json()["type"]) == (200, "message")


@pytest.mark.parametrize(
    ("change", "beta"),
    [
        ({"context_management": {"edits": []}}, "x, context-management-2025-06-27"),
        (
            {"thinking": {**BUDGET, "budget_tokens": 9000}, "model": OLD},
            "interleaved-thinking-2025-05-14",
        ),
    ],
)
def test_a_beta_opens_its_field(running: Running, change: Json, beta: str) -> None:
    assert send(running, change).status_code == 400
    assert send(running, change, beta=beta).status_code == 200


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 1, "model": OLD}, "temperature: Extra inputs are not permitted"),
        ({"top_p": 1, "model": OLD}, "top_p: Extra inputs are not permitted"),
        (
            talk(user(text(citations=[{"type": "page_location"}]))),
            "messages.0.content.0.text.citations: citations are not permitted in user messages",
        ),
    ],
)
def test_the_newest_version_takes_less(running: Running, change: Json, message: str) -> None:
    assert send(running, change, VERSION).status_code == 200
    assert send(running, change, "2026-10-21").json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("", 'anthropic-version: "" is not a valid version'),
        ("2020-01-01", 'anthropic-version: "2020-01-01" is not a valid version'),
    ],
)
def test_the_version_must_be_one_there_is(running: Running, version: str, message: str) -> None:
    assert send(running, {}, version).json()["error"]["message"] == message


def test_a_missing_version_is_refused(running: Running) -> None:
    answer = requests.get(
        running.url("claude_api") + "/v1/models", headers={"x-api-key": "sk-sim"}, timeout=10
    )

    assert answer.json()["error"]["message"] == "anthropic-version: header is required"


def test_counting_does_not_take_a_limit(running: Running) -> None:
    answer = send(running, {}, path="/v1/messages/count_tokens")

    assert answer.json()["error"]["message"] == "max_tokens: Extra inputs are not permitted"


def test_a_prompt_beyond_the_window_is_too_long(running: Running) -> None:
    answer = send(running, talk(user(text("word " * 170_000)), model=OLD))

    assert answer.json()["error"]["message"].startswith("prompt is too long: 212")
    assert answer.json()["error"]["message"].endswith(" tokens > 200000 maximum")


@pytest.mark.parametrize(
    ("raw", "kind", "message"),
    [
        (b"{", "application/json", "The request body is not valid JSON"),
        (
            b'{"model": "\\ud83d"}',
            "application/json",
            "The request body is not valid JSON: no low surrogate in string",
        ),
        (b"[]", "application/json", "Input should be a valid dictionary"),
        (b"{}", "text/plain", "content-type: application/json is required"),
    ],
)
def test_a_body_that_is_no_request_is_refused(
    running: Running, raw: bytes, kind: str, message: str
) -> None:
    headers = {"x-api-key": "sk-sim", "anthropic-version": VERSION, "content-type": kind}
    address = running.url("claude_api") + "/v1/messages"
    answer = requests.post(address, data=raw, headers=headers, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/messages", 405), ("POST", "/v1/complete", 404), ("GET", "/nowhere", 404)],
)
def test_other_routes_do_not_exist(running: Running, method: str, path: str, status: int) -> None:
    headers = {"x-api-key": "sk-sim", "anthropic-version": VERSION}
    address = running.url("claude_api") + path

    assert requests.request(method, address, headers=headers, timeout=10).status_code == status
