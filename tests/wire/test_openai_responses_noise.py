"""Nothing that anybody may send to the Responses dialect leads to a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.blocks import InOrder
from app.canonical.parts import Opaque
from app.errors import BadReply, BadRequest, GatewayError
from app.upstream.platform import Catalogue
from app.wire.dialect import Telling
from app.wire.openai_responses import (
    NAME,
    read_reply,
    read_request,
    read_stream,
    write_reply,
    write_request,
    write_stream,
)
from app.wire.openai_responses_items import own
from tests.nonsense import nonsense

CATALOGUE = Catalogue.load(Path(__file__).parents[2] / "app/platforms/codex.json")


USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 14,
}


ITEM_KINDS = st.sampled_from(
    """message reasoning function_call custom_tool_call function_call_output
        item_reference compaction additional_tools input_text output_text refusal
        input_image input_file input_audio web_search_call function custom
        allowed_tools mcp json_schema""".split()
)
NAMES = """type role content call_id name arguments input output summary encrypted_content id
    text image_url file_data file_url file_id filename detail phase namespace tools
    parameters strict format schema effort""".split()
JSON = nonsense(NAMES, leaves=6)
LOOSE = st.dictionaries(st.sampled_from(NAMES), JSON | ITEM_KINDS, max_size=5)
INPUT = st.fixed_dictionaries(
    {"type": ITEM_KINDS | JSON},
    optional={
        "role": st.sampled_from(["user", "assistant", "developer"]) | JSON,
        "content": st.lists(
            st.fixed_dictionaries({"type": ITEM_KINDS}, optional={n: JSON for n in NAMES[4:]})
        )
        | JSON,
        **{name: JSON for name in NAMES[3:]},
    },
)
BODY = st.fixed_dictionaries(
    {"model": st.just("m") | JSON, "input": st.lists(INPUT, max_size=4) | JSON},
    optional={
        name: JSON | LOOSE | st.lists(LOOSE, max_size=2)
        for name in """instructions tools tool_choice parallel_tool_calls temperature reasoning
            text stream include max_output_tokens user top_logprobs conversation extra""".split()
    },
)


@settings(max_examples=120, deadline=None)
@given(BODY)
def test_whatever_is_asked_is_understood_or_refused_by_name(body: dict[str, Any]) -> None:
    try:
        request = read_request(body)
        written = write_request(request, CATALOGUE.facts("gpt-6-sol"))
    except BadRequest as error:
        assert error.param and str(error)
        return
    assert orjson.loads(orjson.dumps(written)) == written


def test_own_fields_are_nobody_elses() -> None:
    assert own(Opaque("x", {"a": 1})) == {} and own(Opaque(NAME, [1])) == {} and own(None) == {}


FIELDS = """id call_id name arguments input summary content encrypted_content phase text
    annotations refusal result output_format status namespace""".split()
KINDS = """message reasoning function_call custom_tool_call image_generation_call x_call""".split()
PART = st.fixed_dictionaries(
    {"type": st.sampled_from(["output_text", "refusal"]) | JSON},
    optional={"text": JSON, "refusal": JSON, "annotations": JSON},
)
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        **{name: JSON for name in FIELDS},
        "content": st.lists(PART) | JSON,
        "call_id": st.text(max_size=3) | JSON,
        "name": st.text(max_size=3) | JSON,
    },
)
RESPONSE = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "status": st.sampled_from(["completed", "incomplete", "failed"]) | JSON,
        "output": st.lists(ITEM | JSON, max_size=3) | JSON,
        "usage": JSON | st.just(USAGE),
        "error": JSON,
        "incomplete_details": JSON,
    },
)
TOLD = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            """response.created response.output_item.added response.output_item.done
                response.output_text.delta response.refusal.delta
                response.reasoning_summary_text.delta
                response.function_call_arguments.delta
                response.output_text.annotation.added response.completed
                response.failed error""".split()
        )
    },
    optional={
        "response": RESPONSE | JSON,
        "item": ITEM | JSON,
        "output_index": st.integers(0, 2) | JSON,
        "content_index": st.integers(0, 1) | JSON,
        "summary_index": JSON,
        "delta": st.text(max_size=3) | JSON,
        "annotation": JSON | st.just({"type": "url_citation", "url": "u"}),
        "error": JSON,
    },
)


@settings(max_examples=100, deadline=None)
@given(RESPONSE)
def test_any_whole_answer_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        reply = read_reply(body)
    except GatewayError:
        return
    assert write_reply(reply, Telling("abc", "m", 1))["object"] == "response"


@settings(max_examples=120, deadline=None)
@given(st.lists(TOLD, max_size=6))
def test_any_stream_is_read_in_order_or_refused(told: list[dict[str, Any]]) -> None:
    reader, order, writer = read_stream(), InOrder(), write_stream(Telling("abc", "m", 1))
    try:
        for one in told:
            writer.write(order.check(reader.feed(b"data: " + orjson.dumps(one) + b"\n\n")))
        reader.finish()
    except BadReply:
        return
    assert reader.done
