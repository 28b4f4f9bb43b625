"""What Anthropic's Messages must not let through: values of a wrong type, and ids given twice."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.canonical.events import Finished, Usage
from app.canonical.model import ModelFacts
from app.canonical.parts import Text, ToolCall, ToolResult
from app.canonical.request import ChatRequest, Turn
from app.errors import BadReply, BrokenTransfer
from app.wire.anthropic_messages import find_usage, read_stream, write_request

START = {"type": "message_start", "message": {"id": "msg_1", "model": "m"}}
END = {"type": "message_stop"}
USED = {"input_tokens": 40, "output_tokens": 1}


def sse(*told: Any) -> bytes:
    return b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in told)


def block(block: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    begun = {"type": "content_block_start", "index": 0, "content_block": block}
    more = [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    return sse(START, begun, *more)


def ending(reason: Any, stop: Any = None, **usage: Any) -> dict[str, Any]:
    delta = {"stop_reason": reason, "stop_sequence": stop}
    return {"type": "message_delta", "delta": delta, "usage": usage}


@pytest.mark.parametrize(
    "wire",
    [
        block({"type": "tool_use", "id": 5, "name": "f", "input": {}}),
        block({"type": "tool_use", "id": "t", "name": ["f"], "input": {}}),
        block({"type": "tool_use", "id": "t", "name": "f", "input": "oops"}),
        block({"type": "text", "text": 5}),
        block({"type": "thinking", "thinking": {"a": 1}}),
        block({"type": "redacted_thinking", "data": 5}),
        block({"type": "thinking"}, {"type": "signature_delta", "signature": [5]}),
        block({"type": "text"}, {"type": "citations_delta", "citation": {"url": [1]}}),
        block({"type": "text"}, {"type": "citations_delta", "citation": {"url": "u", "title": 5}}),
        sse(START, ending("stop_sequence", 5)),
        sse(START, ending(["end_turn"])),
    ],
)
def test_a_value_of_a_wrong_type_is_a_bad_reply(wire: bytes) -> None:
    with pytest.raises(BadReply):
        read_stream().feed(wire)


def test_usage_without_a_stop_reason_does_not_make_an_answer_complete() -> None:
    """R-001."""
    reader = read_stream()
    reader.feed(sse(START, ending(None, output_tokens=3)))

    with pytest.raises(BrokenTransfer):
        reader.finish()


def test_a_stop_without_a_reason_is_complete() -> None:
    """R-003."""
    events = read_stream().feed(sse(START, ending(None, output_tokens=3), END))

    assert events[1:] == [Usage(0, 3), Finished("stop")]


@pytest.mark.parametrize("absurd", [-1, 10**18, "12", 1.5, True])
def test_the_last_sane_usage_wins_over_an_absurd_one(absurd: Any) -> None:
    """R-016."""
    begun = {**START, "message": {"id": "msg_1", "model": "m", "usage": USED}}
    last = ending("end_turn", input_tokens=absurd, output_tokens=absurd)

    assert read_stream().feed(sse(begun, last, END))[1] == Usage(40, 1)


@pytest.mark.parametrize("usage", [{}, {"input_tokens": "x", "output_tokens": -1}])
def test_usage_that_says_nothing_sane_is_none_so_that_it_is_estimated(usage: Any) -> None:
    """R-016."""
    assert find_usage({"usage": usage}) is None


def test_no_tokens_at_all_is_something_sane_to_say() -> None:
    assert find_usage({"usage": {"input_tokens": 7, "output_tokens": 0}}) == Usage(7, 0)


def called(*ids: str) -> tuple[Turn, Turn]:
    calls = tuple(ToolCall(one, "f", "{}") for one in ids)
    results = tuple(ToolResult(one, (Text(f"{i}"),)) for i, one in enumerate(ids))
    return Turn("assistant", calls), Turn("user", results)


def written(*turns: Turn) -> list[tuple[str, str]]:
    """The id of every call with the id its result has, in order."""
    body = write_request(ChatRequest("m", (Turn("user", (Text("x"),)), *turns)), ModelFacts())
    blocks = [one for message in body["messages"][1:] for one in message["content"]]
    calls = [one["id"] for one in blocks if one["type"] == "tool_use"]
    results = [one["tool_use_id"] for one in blocks if one["type"] == "tool_result"]
    return list(zip(calls, results, strict=True))


@pytest.mark.parametrize("turns", [(*called("c"), *called("c"), *called("c")), called("c", "c")])
def test_calls_with_one_id_are_told_apart_and_keep_their_results(turns: tuple[Turn, ...]) -> None:
    pairs = written(*turns)

    assert pairs[0] == ("c", "c")
    assert all(call == result for call, result in pairs)
    assert len(set(pairs)) == len(pairs)


def test_a_new_id_stays_the_same_as_the_conversation_grows() -> None:
    """Else nothing after it could come from the cache."""
    before, after = (*called("c"), *called("c")), called("c")

    assert written(*before, *after)[:2] == written(*before)


def test_ids_that_differ_are_left_as_they_are() -> None:
    assert written(*called("a", "b"), *called("d")) == [("a", "a"), ("b", "b"), ("d", "d")]
