"""Streams on their three roads, without a network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.events import Trouble, Usage
from app.canonical.sieve import Sieve
from app.errors import BadReply, BrokenTransfer, EmptyReply
from app.services.flows import ArrayFlow, PatchedFlow, RawFlow, TranslatedFlow
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses
from app.wire.dialect import Telling
from app.wire.sse import Frames

TELLING = Telling("abc", "asked", 1, usage=True)


def chunk(delta, finish=None, **more) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + orjson.dumps(body | {"choices": [choice]} | more) + b"\n\n"


def test_usage_that_nobody_counted_is_estimated_for_who_asked():
    """C-092, C-105."""
    flow = PatchedFlow(TELLING, 400)
    out = flow.feed(chunk({"content": "Hello there."}) + chunk({}, "stop")) + flow.finish()

    *_, last, done, _ = out.split(b"\n\n")
    usage = orjson.loads(last.removeprefix(b"data: "))["usage"]
    assert done == b"data: [DONE]"
    assert usage["prompt_tokens"] == 100 and usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert flow.usage is not None and flow.usage.estimated


def test_an_error_that_passes_in_the_platforms_own_words_is_known_to_have_passed():
    flow = raw_flow(anthropic_messages)
    start = {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {}}}
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    for event in (start, error):
        data = b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
        assert flow.feed(data) == data

    assert flow.is_ill and flow.done and flow.trouble is None


def test_an_error_before_anything_has_passed_is_ours_to_tell():
    """R-012, R-015: another attempt may follow, and nothing of this one may stand before it."""
    flow = raw_flow(gemini_generate)
    error = b'data: {"error": {"code": 503, "message": "busy"}}\r\n\r\n'

    assert flow.feed(error) == b"" and not flow.spoke
    assert flow.trouble is not None and flow.trouble.message == "busy"


def element(text: str, **more: Any) -> bytes:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, **more}
    return orjson.dumps({"candidates": [candidate]})


def raw_flow(dialect: Any) -> RawFlow:
    writer = dialect.write_stream(TELLING)
    return RawFlow(dialect.tap, writer, 100, array=False, verbatim=False)


def google(text: str, **more: Any) -> bytes:
    return b"data: " + element(text, **more) + b"\r\n\r\n"


def claude(**event: Any) -> bytes:
    return b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"


STREAMS: dict[Any, bytes] = {
    gemini_generate: google("one") + google("two\n") + google("three", finishReason="STOP"),
    anthropic_messages: claude(type="message_start", message={"usage": {}})
    + claude(type="ping")
    + claude(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})
    + claude(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1})
    + claude(type="message_stop"),
}


@pytest.mark.parametrize("dialect", STREAMS, ids=lambda one: one.NAME)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_stream_that_passes_is_the_platforms_own_an_event_at_a_time(dialect, data):
    """R-001: wherever it is cut, and where it breaks off. Who wants the bytes as they are has all."""
    stream = STREAMS[dialect]
    every = [orjson.loads(payload) for _, payload in Frames().feed(stream)]
    end = data.draw(st.integers(0, len(stream)) | st.just(len(stream)))
    cuts = sorted(data.draw(st.lists(st.integers(0, end), max_size=12)))
    flow, passed = raw_flow(dialect), b""
    for begin, place in zip([0, *cuts], [*cuts, end]):
        out = flow.feed(stream[begin:place])
        passed += out
        assert not out or passed.endswith((b"\n\n", b"\n\r\n", b"\n\r"))
        assert flow.spoke == bool(passed)

    if end == len(stream):
        assert passed + flow.finish() == stream and flow.done
        return
    told = passed + flow.fail(Trouble("cut", 502))
    *events, error = [orjson.loads(payload) for _, payload in Frames().feed(told)]
    assert error["error"]["message"] == "cut"
    assert events == every[: len(events)]
    assert len(events) >= len(Frames().feed(stream[:end]))
    assert passed + flow.rest() == stream[:end]
    assert flow.rest() == b""


def test_what_follows_the_last_event_passes_with_the_end():
    flow = raw_flow(gemini_generate)
    stream = STREAMS[gemini_generate]

    assert flow.feed(stream + b": bye") + flow.finish() == stream + b": bye"


def test_half_an_event_binds_nobody():
    """R-015: another attempt may follow, and nothing of the first stands before it."""
    flow = raw_flow(anthropic_messages)
    stream = STREAMS[anthropic_messages]

    assert flow.feed(stream[:40] + b" " * 6000) == b""
    assert (flow.spoke, flow.spent) == (False, None)
    flow.restart()
    other, words = raw_flow(anthropic_messages), stream.index(b"event: message_delta")
    assert flow.feed(stream[:words]) == other.feed(stream[:words]) == stream[:words]
    assert flow.spent == other.spent
    assert flow.feed(stream[words:]) + flow.finish() == stream[words:]


def test_an_event_that_does_not_end_is_let_go():
    """R-009."""
    flow = raw_flow(openai_responses)
    with pytest.raises(BadReply, match="more than"):
        for _ in range(300):
            assert flow.feed(b"x" * 65536) == b""


def array_flow() -> ArrayFlow:
    return ArrayFlow(gemini_generate.array_tap, gemini_generate.write_array_stream(TELLING), 100)


ARRAY = b"[" + element("one [") + b",\r\n" + element('"two') + b"\n,\n"
ARRAY += element("three", finishReason="STOP") + b"\n]\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_array_that_passes_is_the_platforms_own(size):
    flow = array_flow()
    out = b"".join(flow.feed(ARRAY[i : i + size]) for i in range(0, len(ARRAY), size))

    assert out + flow.finish() == ARRAY and flow.done


def test_an_array_that_is_cut_short_ends_with_an_error_and_its_bracket():
    """C-109, R-001: wherever it is cut, what the caller gets is JSON."""
    whole = orjson.loads(ARRAY)
    for end in range(1, ARRAY.rindex(b"]")):
        flow = array_flow()
        out = flow.feed(ARRAY[: end // 2]) + flow.feed(ARRAY[end // 2 : end])
        *before, last = orjson.loads(out + flow.fail(Trouble("cut", 502)))

        assert last == {"error": {"code": 502, "message": "cut", "status": "INTERNAL"}}
        assert before == whole[: len(before)]
        assert flow.spoke == bool(before)


@pytest.mark.parametrize(
    "wire", [b"", chunk({"role": "assistant", "content": ""}), chunk({"content": "x"})]
)
def test_a_stream_that_stops_is_not_complete(wire):
    """R-001."""
    for flow in (
        PatchedFlow(TELLING, 10),
        TranslatedFlow(openai_chat, openai_chat.write_stream(TELLING), (), 10),
    ):
        if wire:
            flow.feed(wire)
        with pytest.raises(BrokenTransfer):
            flow.finish()


def test_no_end_goes_before_an_error():
    """R-001: a client that stops at the end would take the answer for a whole one."""
    flow = PatchedFlow(TELLING, 10)
    flow.feed(chunk({"content": "x"}))

    assert flow.feed(b'data: {"error": {"message": "no"}}\n\ndata: [DONE]\n\n') == b""
    assert flow.trouble == Trouble("no")


def test_an_error_before_the_first_word_has_cost_nothing():
    """R-012: also where the platform has opened the answer, and ends it after the error."""
    error = b'data: {"error": {"message": "no"}}\n\ndata: [DONE]\n\n'
    flow = PatchedFlow(TELLING, 400)
    flow.feed(chunk({"role": "assistant", "content": ""}) + error)
    assert flow.spent is None

    flow.restart()
    flow.feed(chunk({"content": "said"}) + error)
    assert flow.spent == Usage(100, 1, estimated=True)


def test_an_answer_without_a_word_is_empty_but_one_cut_short_is_not():
    """C-113, K-051."""
    for flow in (
        PatchedFlow(TELLING, 10),
        TranslatedFlow(openai_chat, openai_chat.write_stream(TELLING), (), 10),
    ):
        with pytest.raises(EmptyReply):
            flow.feed(chunk({"role": "assistant"}) + chunk({}, "stop") + b"data: [DONE]\n\n")
    late = PatchedFlow(TELLING, 10)
    assert late.feed(chunk({"role": "assistant"})) == b""
    with pytest.raises(
        EmptyReply
    ):  # not only with `[DONE]`: the finish reason must not get through
        late.feed(chunk({}, "stop"))
    short = PatchedFlow(TELLING, 10)
    assert b'"length"' in short.feed(chunk({}, "length") + b"data: [DONE]\n\n")


def test_stop_sequences_are_cut_and_the_platform_is_left_alone_after_them():
    """C-074."""
    flow = TranslatedFlow(openai_chat, openai_chat.write_stream(TELLING), ("END",), 10)
    out = flow.feed(chunk({"content": "one E"})) + flow.feed(chunk({"content": "ND two"}))

    frames = [orjson.loads(one[6:]) for one in out.split(b"\n\n") if one.startswith(b"data: {")]
    told = [choice for one in frames for choice in one["choices"]]
    assert flow.done
    assert "".join(choice["delta"].get("content", "") for choice in told) == "one "
    assert told[-1]["finish_reason"] == "stop"


def test_thoughts_that_the_caller_is_not_told_are_no_answer():
    """C-113, C-124, C-127: so they neither keep off another attempt nor make an answer."""
    flow = TranslatedFlow(
        openai_chat,
        anthropic_messages.write_stream(replace(TELLING, reasoning="none")),
        (),
        10,
        sieve=lambda: Sieve(thoughts=False, one_call=False),
    )
    for _ in range(2):
        flow.restart()
        assert b"hm" not in flow.feed(chunk({"reasoning_content": "hm"})) and not flow.spoke
        with pytest.raises(EmptyReply):
            flow.feed(chunk({}, "stop") + b"data: [DONE]\n\n")
            flow.finish()
    flow.restart()
    assert b"said" in flow.feed(chunk({"content": "said"})) and flow.spoke


def test_a_second_attempt_begins_as_if_there_had_been_no_first():
    """R-015: one role chunk, one start."""
    flow = TranslatedFlow(openai_chat, anthropic_messages.write_stream(TELLING), (), 10)
    out = flow.feed(chunk({"role": "assistant", "content": ""}))
    flow.restart()
    out += flow.feed(chunk({"role": "assistant"}) + chunk({"content": "x"}) + chunk({}, "stop"))
    out += flow.finish()

    assert out.count(b"event: message_start") == 1
    assert flow.usage == Usage(2, 1, estimated=True)
