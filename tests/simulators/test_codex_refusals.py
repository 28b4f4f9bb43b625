"""What the simulated Responses refuses, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from app.simulators.chatgpt import ChatgptSimulator
from app.simulators.codex import CodexSimulator
from app.simulators.openai_checks import Refused
from app.simulators.responses_rules import accept
from app.simulators.simulator import Simulator
from tests.nonsense import nonsense

KEY = {"authorization": "Bearer sk-sim-0123456789"}
USER = {"role": "user", "content": "hello"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "3C"}
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
SAID = {"role": "assistant", "content": "hi"}


def said(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


def refused(**changes: Any) -> tuple[str | None, str | None, int]:
    """Where and why a request is refused that is fine but for these changes."""
    sent = {"model": "gpt-4.1", "input": "hello", **changes}
    with pytest.raises(Refused) as caught:
        accept({name: value for name, value in sent.items() if value is not ...})
    return caught.value.param, caught.value.code, caught.value.status


@pytest.mark.parametrize("name", ["n", "stop", "seed", "logit_bias", "frequency_penalty"])
def test_fields_of_chat_are_unknown(name: str) -> None:
    assert refused(**{name: 1}) == (name, "unknown_parameter", 400)


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"messages": []}, "messages", "unknown_parameter"),
        ({"input": ...}, "input", "missing_required_parameter"),
        ({"model": ...}, "model", "missing_required_parameter"),
        ({"input": 4}, "input", "invalid_type"),
        ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value"),
        ({"reasoning_effort": "low"}, "reasoning_effort", "unknown_parameter"),
        (
            {"stream": True, "stream_options": {"include_usage": True}},
            "stream_options.include_usage",
            "unknown_parameter",
        ),
        ({"stream_options": {"include_obfuscation": False}}, "stream_options", None),
        ({"include": ["everything"]}, "include[0]", "invalid_value"),
        ({"background": True, "store": False}, "background", None),
        (
            {"previous_response_id": "resp_1", "conversation": "conv_1"},
            "previous_response_id",
            "mutually_exclusive_parameters",
        ),
        (
            {"text": {"format": {"type": "json_schema", "json_schema": {"name": "a"}}}},
            "text.format.json_schema",
            "unknown_parameter",
        ),
        (
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}},
            "text.format.schema",
            "invalid_json_schema",
        ),
        ({"text": {"format": {"type": "json_object"}}}, "input", None),
        (
            {"tools": [{"type": "function", "function": TOOL}]},
            "tools[0].function",
            "unknown_parameter",
        ),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}}, "tool_choice", None),
        (
            {"tools": [{**TOOL, "parameters": {"type": "string"}}]},
            "tools[0].parameters",
            "invalid_function_parameters",
        ),
    ],
)
def test_a_field_the_vendor_refuses_is_refused(
    changes: dict[str, Any], param: str, code: str | None
) -> None:
    assert refused(**changes) == (param, code, 400)


@pytest.mark.parametrize(
    ("items", "param", "code"),
    [
        ([{"content": "x"}], "input[0].type", "missing_required_parameter"),
        ([{"type": "novel"}], "input[0].type", "invalid_value"),
        ([{"role": "tool", "content": "x"}], "input[0].role", "invalid_value"),
        (
            [said({"type": "input_text", "text": "x"}, role="assistant")],
            "input[0].content[0].type",
            "invalid_value",
        ),
        (
            [said({"type": "output_text", "text": "x"})],
            "input[0].content[0].type",
            "invalid_value",
        ),
        (
            [said({"type": "text", "text": "x"})],
            "input[0].content[0].type",
            "invalid_value",
        ),
        (
            [said({"type": "input_image", "image_url": {"url": "https://a.example"}})],
            "input[0].content[0].image_url",
            "invalid_type",
        ),
        (
            [said({"type": "input_image", "image_url": "data:text/plain;base64,AAAA"})],
            "input[0].content[0].image_url",
            "unsupported_image_media_type",
        ),
        (
            [said({"type": "input_file", "file_data": "AAAA"})],
            "input[0].content[0].filename",
            "missing_required_parameter",
        ),
        (
            [said({"type": "input_file", "file_id": "file-1", "file_url": "https://a.example"})],
            "input[0].content[0]",
            "mutually_exclusive_parameters",
        ),
        ([USER, {**CALL, "id": "call_1"}, RESULT], "input[1].id", "invalid_value"),
        (
            [USER, {**CALL, "call_id": "c" * 65}, RESULT],
            "input[1].call_id",
            "string_above_max_length",
        ),
        ([USER, CALL], "input", None),
        ([USER, RESULT], "input", None),
        ([USER, RESULT, CALL], "input", None),
        ([USER, CALL, RESULT, CALL, RESULT], "input[3]", None),
        ([USER, THOUGHT], "input", None),
        ([USER, THOUGHT, USER], "input", None),
        ([{"type": "compaction_trigger"}, USER], "input[0]", None),
        (
            [USER, {"type": "configuration_update", "reasoning": {"effort": "low"}}],
            "input[1]",
            None,
        ),
    ],
)
def test_items_are_checked_one_by_one_and_in_order(
    items: Any, param: str, code: str | None
) -> None:
    assert refused(input=items) == (param, code, 400)


@pytest.mark.parametrize(
    "items",
    [
        [USER, {"type": "reasoning", "id": "rs_1", "summary": []}, SAID],
        [USER, {"type": "item_reference", "id": "rs_1"}],
    ],
)
def test_without_storage_a_bare_reference_is_not_found(items: Any) -> None:
    assert refused(input=items, store=False)[2] == 404


@pytest.mark.parametrize(
    ("model", "changes", "param", "code"),
    [
        ("gpt-5.5", {"temperature": 0.5}, "temperature", "unsupported_value"),
        ("gpt-6-astra", {"reasoning": {"effort": "none"}}, "reasoning.effort", "unsupported_value"),
        ("gpt-4.1", {"reasoning": {"effort": "low"}}, "reasoning.effort", "unsupported_parameter"),
        (
            "gpt-4.1",
            {"reasoning": {"summary": "auto"}},
            "reasoning.summary",
            "unsupported_parameter",
        ),
        (
            "gpt-5.5",
            {"include": ["message.output_text.logprobs"]},
            "include",
            "unsupported_parameter",
        ),
    ],
)
def test_a_model_refuses_what_it_cannot_do(
    model: str, changes: dict[str, Any], param: str, code: str
) -> None:
    assert refused(model=model, **changes) == (param, code, 400)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "gpt-6-sol", "tools": [TOOL], "reasoning": {"effort": "high"}},
        {"model": "gpt-6.1-sol", "reasoning": {"effort": "max", "context": "all_turns"}},
        {"input": [USER, THOUGHT, CALL, RESULT]},
        {"input": [RESULT], "previous_response_id": "resp_1"},
        {"input": [said({"type": "output_text", "text": "x"}, role="assistant")]},
        {"input": "give me JSON", "text": {"format": {"type": "json_object"}}},
        {"tools": [], "client_metadata": {"session_id": "x"}},
        {"tools": [{"type": "web_search", "search_context_size": "low"}], "tool_choice": "auto"},
    ],
)
def test_what_the_vendor_accepts_is_let_through(changes: dict[str, Any]) -> None:
    sent = {"model": "gpt-4.1", "input": "hello", **changes}
    assert accept(sent) is sent


JSON = nonsense(
    "role content type text call_id id name parameters properties required items enum "
    "output arguments format schema effort summary strict anyOf function".split(),
    "function message user object array string simulate: wx".split(),
    beyond=True,
)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["object", "array", "string", "integer", "number", "null"])},
    optional={"properties": st.dictionaries(st.text(max_size=3), JSON, max_size=3), "items": JSON},
)


def answered(simulator: Simulator, path: str, sent: Any) -> int:
    raw = json.dumps(sent).encode()
    answer = Client(simulator).post(path, data=raw, headers=KEY, content_type="application/json")
    assert answer.get_data() is not None
    return answer.status_code


@settings(max_examples=120, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from("input tools tool_choice text reasoning include stream metadata".split()),
        JSON,
    )
)
def test_no_body_breaks_the_simulator(changes: dict[str, Any]) -> None:
    sent = {"model": "gpt-4.1", "input": "hello", **changes}
    assert answered(CodexSimulator(), "/v1/responses", sent) in (200, 400, 404)


@settings(max_examples=120, deadline=None)
@given(SCHEMAS, st.booleans())
def test_no_schema_breaks_the_simulators(schema: Any, stream: bool) -> None:
    parameters = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    tool = {"name": "wx", "parameters": parameters}
    form = {"type": "json_schema", "name": "a", "schema": schema}
    sent = {"model": "gpt-4.1", "input": "wx", "stream": stream}
    for more in ({"tools": [{"type": "function", **tool}]}, {"text": {"format": form}}):
        assert answered(CodexSimulator(), "/v1/responses", {**sent, **more}) in (200, 400)
    chat = {
        "model": "gpt-4.1",
        "messages": [{"role": "user", "content": "wx"}],
        "stream": stream,
        "tools": [{"type": "function", "function": tool}],
    }
    assert answered(ChatgptSimulator(), "/v1/chat/completions", chat) in (200, 400)
