"""Streams of Anthropic's Messages, written and read back, and the vendor's own as recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.canonical.blocks import InOrder
from app.canonical.events import (
    Cited,
    Closed,
    Delta,
    Event,
    Failed,
    Finished,
    Opened,
    Sealed,
    Started,
    Trouble,
    Usage,
)
from app.canonical.parts import Image, Inline, Opaque, Part, Refusal, Text, Thinking, ToolCall
from app.canonical.reply import ChatReply, Citation, fold, unfold
from app.canonical.request import ChatRequest, Reasoning, Tool, Turn
from app.errors import BadReply, BrokenTransfer
from app.platforms.claude_api import PLATFORM
from app.simulators.claude_api import ClaudeApiSimulator
from app.simulators.exchange import Call
from app.wire.anthropic_blocks import read_blocks
from app.wire.anthropic_messages import (
    NAME,
    STREAM_END,
    read_reply,
    read_stream,
    tap,
    write_reply,
    write_request,
    write_stream,
)
from app.wire.dialect import Telling
from app.wire.sse import Frames
from tests.nonsense import nonsense

TELLING = Telling("abc", "claude-opus-5", 1_795_000_000)
QUIET = Telling("abc", "claude-opus-5", 1_795_000_000, reasoning="none")
EVENTS: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
FOREIGN = Opaque("gemini_generate", "sig")
SEAL = Opaque(NAME, {"signature": "Eq0B"})
REDACTED = Opaque(NAME, {"type": "redacted_thinking", "data": "Zm9v"})
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}}


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
        for event in events
    )


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **more}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ending(reason: str, **usage: Any) -> dict[str, Any]:
    told = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": told, "usage": usage}


USAGE = {"input_tokens": 40, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 2}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5"}
BEGIN: dict[str, Any] = {
    "type": "message_start",
    "message": MESSAGE | {"content": [], "usage": USAGE | {"output_tokens": 1}},
}
END = {"type": "message_stop"}
CLOCK = sse(
    BEGIN,
    start(0, type="thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="User wants the time."),
    delta(0, "signature_delta", signature="Eq0B"),
    stop(0),
    {"type": "ping"},
    start(1, type="tool_use", id="toolu_1", name="clock", input={}, caller={"type": "direct"}),
    delta(1, "input_json_delta", partial_json=""),
    delta(1, "input_json_delta", partial_json='{"tz":'),
    delta(1, "input_json_delta", partial_json='"UTC"}'),
    stop(1),
    ending("tool_use", output_tokens=37),
    END,
)
CLOCK_EVENTS: list[Event] = [
    Started("msg_1", "claude-sonnet-5"),
    Opened(0, "thinking"),
    Delta(0, "User wants the time."),
    Sealed(0, SEAL),
    Closed(0),
    Opened(1, "tool_call", "toolu_1", "clock"),
    Delta(1, '{"tz":'),
    Delta(1, '"UTC"}'),
    Closed(1),
    Usage(45, 37, 2, 3),
    Finished("tool_calls"),
]


def read(*pieces: bytes) -> list[Event]:
    reader = read_stream()
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.finish()
    return InOrder().check(events)


def told(events: list[Event], telling: Telling = TELLING) -> bytes:
    writer = write_stream(telling)
    return writer.open() + writer.write(events)


def documents(wire: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(data) for _, data in Frames().feed(wire)]


def as_the_sdk_sees(wire: bytes) -> Message:
    """What the vendor's own library makes of a stream."""
    snapshot: Any = None
    unfinished: dict[int, bytes] = {}
    for event, data in Frames().feed(wire):
        parsed = EVENTS.validate_python(orjson.loads(data))
        assert parsed.type == event.decode()
        snapshot = accumulate_event(event=parsed, current_snapshot=snapshot, json_bufs=unfinished)
    assert isinstance(snapshot, Message)
    return snapshot


def answer(*parts: Part) -> list[Event]:
    """A stream that says these parts, one delta a block."""
    return unfold(ChatReply("msg_up", "m", parts, Usage(5, 7), "stop"))


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("cut", range(0, len(CLOCK), 7))
def test_a_recorded_stream_is_read_wherever_it_is_cut(cut: int) -> None:
    assert read(CLOCK[:cut], CLOCK[cut:]) == CLOCK_EVENTS


@pytest.mark.parametrize(
    "wire",
    [
        CLOCK.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + CLOCK,
        CLOCK.replace(b"event: ping", b": still here\n\nevent: ping"),
        CLOCK.replace(b"event: ", b"event:").replace(b"data: ", b"data:"),
        b"\n".join(line for line in CLOCK.split(b"\n") if not line.startswith(b"event:")),
        CLOCK.replace(b'"}\n\n', b'"   }\n\n'),
    ],
    ids=["crlf", "bom", "comment", "no space", "no names", "padded"],
)
def test_other_line_ends_and_padding_change_nothing(wire: bytes) -> None:
    assert read(*(bytes([byte]) for byte in wire)) == CLOCK_EVENTS


def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    """R-001: cut after every single byte."""
    for place in range(CLOCK.index(b'"stop_reason":"')):
        reader = read_stream()
        reader.feed(CLOCK[:place])
        assert not reader.done
        with pytest.raises(BrokenTransfer):
            reader.finish()


def test_a_stop_reason_and_a_clean_end_are_enough() -> None:
    assert read(CLOCK.removesuffix(sse(END))) == CLOCK_EVENTS  # R-002


def test_a_call_cut_off_by_the_limit_is_closed_all_the_same() -> None:
    wire = sse(
        BEGIN,
        start(0, type="tool_use", id="t", name="f", input={}),
        delta(0, "input_json_delta", partial_json='{"a'),
        ending("max_tokens", output_tokens=9),
        END,
    )
    reply = fold(read(wire))
    assert (reply.parts, reply.reason) == ((ToolCall("t", "f", '{"a'),), "length")


@pytest.mark.parametrize("more", [(), (delta(0, "input_json_delta", partial_json=""),)])
def test_a_call_without_arguments_has_an_empty_object(more: Any) -> None:
    opened = start(0, type="tool_use", id="t", name="f", input={})
    wire = sse(BEGIN, opened, *more, stop(0), ending("tool_use", output_tokens=1), END)
    assert fold(read(wire)).parts == (ToolCall("t", "f", "{}"),)


def test_arguments_that_come_with_the_start_are_not_lost() -> None:
    opened = start(0, type="tool_use", id="t", name="f", input={"a": 1})
    wire = sse(BEGIN, opened, stop(0), ending("tool_use", output_tokens=1), END)
    assert fold(read(wire)).parts == (ToolCall("t", "f", '{"a":1}'),)


def test_redacted_thoughts_and_the_platforms_own_tools_are_kept_for_the_way_back() -> None:
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    cited = {"type": "web_search_result_location", "url": "https://e.com", "title": "E"}
    wire = sse(
        BEGIN,
        start(0, type="redacted_thinking", data="Zm9v"),
        stop(0),
        start(1, **SEARCH | {"input": {}}),
        delta(1, "input_json_delta", partial_json='{"q":"x"}'),
        stop(1),
        start(2, **found),
        stop(2),
        start(3, type="text", text=""),
        delta(3, "text_delta", text="So."),
        delta(3, "citations_delta", citation=cited),
        delta(3, "citations_delta", citation={"type": "char_location"}),
        delta(3, "unheard_of_delta", thing=1),
        stop(3),
        ending("end_turn", output_tokens=9),
        END,
    )
    reply = fold(read(wire))
    assert reply.parts == (
        Thinking("", REDACTED),
        Opaque(NAME, SEARCH),
        Opaque(NAME, found),
        Text("So."),
    )
    assert reply.citations == (Citation("https://e.com", "E"),)


def test_a_refusal_says_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not this."}
    told_why = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    wire = sse(
        BEGIN,
        start(0, type="text", text=""),
        stop(0),
        {"type": "message_delta", "delta": told_why, "usage": {"output_tokens": 0}},
        END,
    )
    reply = fold(read(wire))
    assert (reply.parts[-1], reply.reason) == (Refusal("Not this."), "refused")


def test_later_usage_overrides_only_what_it_says() -> None:
    last = ending("end_turn", output_tokens=8, input_tokens=None, cache_read_input_tokens=4)
    last["usage"]["output_tokens_details"] = {"thinking_tokens": 6}
    assert fold(read(sse(BEGIN, last, END))).usage == Usage(47, 8, 4, 3, 6)


@pytest.mark.parametrize("absurd", [-1, 10**18, "12", 1.5, True])
def test_absurd_usage_leaves_the_last_sane_one(absurd: Any) -> None:  # R-016
    usage = fold(read(sse(BEGIN, ending("end_turn", output_tokens=absurd), END))).usage
    assert usage == Usage(45, 1, 2, 3)


def test_an_error_inside_a_stream_ends_it() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    reader = read_stream()
    events = reader.feed(sse(BEGIN, error, END))
    assert events[-1] == Failed(Trouble("Overloaded", 529, type="overloaded_error"))
    assert reader.done and reader.finish() == []


@pytest.mark.parametrize(
    "payload",
    [b"{not json", b"5", b"[]", b"{}", b'{"type":"message_start"}']
    + [orjson.dumps(delta(0, "text_delta", text=5)), orjson.dumps(start(0))],
)
def test_a_garbled_event_is_a_bad_reply(payload: bytes) -> None:
    reader = read_stream()
    reader.feed(sse(BEGIN, start(0, type="text", text="")))
    with pytest.raises(BadReply):
        reader.feed(b"data: " + payload + b"\n\n")


def test_an_event_nobody_knows_is_skipped() -> None:
    assert read_stream().feed(b'data: {"type":"unheard_of"}\n\ndata: {"type":5}\n\n') == []


ANY_JSON = nonsense(
    "type index delta text content_block message usage id name input".split(),
    "message_start content_block_start content_block_delta text_delta tool_use".split(),
    leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ANY_JSON, max_size=4))
def test_nonsense_from_the_platform_is_never_a_crash(values: list[Any]) -> None:
    reader, ear = read_stream(), tap()
    wire = b"".join(b"data: " + orjson.dumps(value) + b"\n\n" for value in values)
    ear.feed(wire)
    try:
        reader.feed(wire)
        reader.finish()
    except BadReply:
        pass
    for value in values:
        try:
            read_reply(value if isinstance(value, dict) else {"content": value})
        except BadReply:
            pass


# ---------------------------------------------------------------- writing


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
OPAQUES = st.sampled_from([None, FOREIGN, SEAL])
PARTS = st.one_of(
    st.builds(Text, WORDS, st.sampled_from([None, FOREIGN])),
    st.builds(Thinking, WORDS, OPAQUES),
    st.just(Thinking("", REDACTED)),
    st.just(Opaque(NAME, SEARCH)),
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Valid streams: blocks one after another, calls in groups side by side."""
    parts = draw(st.lists(PARTS, max_size=4))
    events = answer(*parts)[:-2]
    index, many = len(parts), draw(st.integers(0, 3))
    for i in range(many):
        mark = draw(st.sampled_from([None, FOREIGN]))
        events.append(Opened(index + i, "tool_call", f"call_{i}", "f", mark))
    events += [Delta(index + i, '{"a":') for i in draw(st.permutations(range(many)))]
    events += [Delta(index + i, "1}") for i in draw(st.permutations(range(many)))]
    events += [Closed(index + i) for i in draw(st.permutations(range(many)))]
    events.append(
        draw(st.builds(Usage, st.just(10**6), st.integers(0, 9), *[st.integers(0, 9)] * 3))
    )
    reason: Any = "tool_calls" if many else draw(st.sampled_from(["stop", "length", "refused"]))
    return [*events, Finished(reason)]


@settings(max_examples=120, deadline=None)
@given(answers(), st.integers(1, 50))
def test_what_is_written_is_read_back_by_us_and_by_the_vendors_library(
    events: list[Event], step: int
) -> None:
    wire = told(events)
    meant, found = fold(events), fold(
        read(*(wire[i : i + step] for i in range(0, len(wire), step)))
    )
    assert (found.usage, found.reason) == (meant.usage, meant.reason)
    message = as_the_sdk_sees(wire)
    assert message.stop_reason is not None
    content = [block.model_dump(exclude_none=True) for block in message.content]
    again = read_blocks([b for b in content if b != {"type": "text", "text": ""}], "content")
    assert again == meant.parts  # marks of other platforms find their way home


@settings(max_examples=80, deadline=None)
@given(answers())
def test_a_whole_answer_says_the_same_as_its_stream(events: list[Event]) -> None:
    reply = fold(events)
    whole = write_reply(reply, TELLING)
    Message.model_validate(whole)
    streamed = as_the_sdk_sees(told(unfold(reply)))
    dumped = [block.model_dump(exclude_none=True) for block in streamed.content]
    assert dumped == whole["content"]
    assert read_reply(whole).usage == reply.usage


def test_a_wordless_answer_still_has_a_block() -> None:
    assert [event["type"] for event in documents(told(answer()))] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert write_reply(fold(answer()), TELLING)["content"] == [{"type": "text", "text": ""}]


def test_free_text_for_a_tool_is_wrapped_in_an_object() -> None:
    call = ToolCall("c", "sh", 'echo "hi"', custom=True)
    message = as_the_sdk_sees(told(answer(call)))
    assert message.content[0].model_dump()["input"] == {"input": 'echo "hi"'}
    assert message.stop_reason == "tool_use"
    whole = write_reply(fold(answer(call)), TELLING)
    assert whole["content"][0]["input"] == {"input": 'echo "hi"'}


def test_a_picture_is_shown_in_the_text() -> None:
    from_parts = answer(Image(Inline("image/png", "AAAA")))
    text = "![image](data:image/png;base64,AAAA)"
    assert as_the_sdk_sees(told(from_parts)).content[0].model_dump()["text"] == text
    assert write_reply(fold(from_parts), TELLING)["content"][0]["text"] == text


def test_no_thoughts_means_none_at_all() -> None:
    events = answer(Thinking("hm", SEAL), Thinking("", REDACTED), Opaque(NAME, SEARCH), Text("Hi"))
    assert [b.type for b in as_the_sdk_sees(told(events, QUIET)).content] == ["text"]
    assert write_reply(fold(events), QUIET)["content"] == [{"type": "text", "text": "Hi"}]


def late(*parts: Part) -> list[Event]:
    """The stream of an answer whose texts are sealed when they are over, as Google's are."""
    events: list[Event] = []
    for event in answer(*parts):
        if isinstance(event, Opened) and event.kind == "text" and event.opaque is not None:
            mark = Sealed(event.index, event.opaque)
            events.append(replace(event, opaque=None))
        elif isinstance(event, Closed) and isinstance(parts[event.index], Text):
            events += [mark, event]
        else:
            events.append(event)
    return events


def test_what_a_stranger_wants_back_with_a_text_stands_before_it() -> None:
    """Claude Code prints nothing where the last block is no text."""
    events = answer(Thinking("hm", SEAL), Text("Hi", FOREIGN))
    whole = write_reply(fold(events), TELLING)["content"]
    message = as_the_sdk_sees(told(events))

    assert [block.type for block in message.content] == ["thinking", "thinking", "text"]
    assert [block.model_dump(exclude_none=True) for block in message.content] == whole
    assert read_blocks(whole, "content") == (Thinking("hm", SEAL), Text("Hi", FOREIGN))


def test_what_comes_too_late_for_that_is_left_out_of_the_end_alone() -> None:
    call = ToolCall("c", "f", "{}")
    ended = as_the_sdk_sees(told(late(Text("Hi", FOREIGN))))
    called = as_the_sdk_sees(told(late(Text("Hi", FOREIGN), call)))
    content = [block.model_dump(exclude_none=True) for block in called.content]

    assert [block.type for block in ended.content] == ["text"]
    assert [block["type"] for block in content] == ["text", "thinking", "tool_use"]
    assert read_blocks(content, "content") == (Text("Hi", FOREIGN), call)


def test_no_thoughts_means_none_for_a_strangers_seal_either() -> None:
    events = answer(Text("Hi", FOREIGN), ToolCall("c", "f", "{}", opaque=FOREIGN))
    kinds = ["text", "tool_use"]
    assert [b.type for b in as_the_sdk_sees(told(events, QUIET)).content] == kinds
    assert [b["type"] for b in write_reply(fold(events), QUIET)["content"]] == kinds


def test_a_thought_nobody_signed_comes_back_unsigned() -> None:
    block = as_the_sdk_sees(told(answer(Thinking("hm"), Text("x")))).content[0].model_dump()
    assert block["signature"]
    assert read_blocks([block], "content") == (Thinking("hm"),)


def test_sources_are_told() -> None:
    events = answer(Text("So."))
    events.insert(-3, Cited(0, "https://e.com", "E"))
    block: Any = as_the_sdk_sees(told(events)).content[0]
    assert [(one.url, one.title) for one in block.citations] == [("https://e.com", "E")]
    assert fold(read(told(events))).citations == (Citation("https://e.com", "E"),)
    assert read_reply(write_reply(fold(events), TELLING)).citations == fold(events).citations


def test_the_start_goes_out_once_and_nothing_follows_the_end() -> None:
    writer = write_stream(TELLING)
    wire = writer.open() + writer.open() + writer.write(answer(Text("Hi")))
    assert [event["type"] for event in documents(wire)].count("message_start") == 1
    assert STREAM_END == b""


def test_silence_and_failure_have_their_events() -> None:
    writer = write_stream(TELLING)
    assert writer.beat() == sse({"type": "ping"})
    assert documents(writer.fail(Trouble("Overloaded", 529))) == [
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    ]


# ---------------------------------------------------------------- listening


def test_the_tap_hears_usage_and_the_end_of_a_stream_cut_anywhere() -> None:
    ear = tap()
    for byte in CLOCK:
        ear.feed(bytes([byte]))
    assert (ear.done, ear.spoke, ear.usage, ear.trouble) == (True, True, Usage(45, 37, 2, 3), None)


def test_the_tap_hears_an_error() -> None:
    ear = tap()
    ear.feed(sse(BEGIN, {"type": "error", "error": {"type": "api_error", "message": "Oh"}}))
    assert (ear.done, ear.spoke) == (True, False)
    assert ear.trouble == Trouble("Oh", 500, type="api_error")


# ---------------------------------------------------------------- the simulator's own streams


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-8", "claude-opus-5-5"])
@pytest.mark.parametrize(
    "prompt",
    ["Hi"]
    + [
        f"simulate: {words}"
        for words in ("words=9 pings=2", "redacted", "padding", "interleave", "refusal", "cached")
    ],
)
@pytest.mark.parametrize("tools", [False, True])
def test_a_stream_and_a_whole_answer_of_the_platform_say_the_same(
    model: str, prompt: str, tools: bool
) -> None:
    tool = Tool("w", "", {"type": "object", "properties": {"c": {"type": "string"}}})
    request = ChatRequest(
        model,
        (Turn("user", (Text(prompt),)),),
        tools=(tool,) if tools else (),
        reasoning=Reasoning(effort="high"),
    )
    streamed = fold(read(*_simulated(replace(request, stream=True))))
    whole = read_reply(orjson.loads(b"".join(_simulated(request))))
    bare = [
        replace(part, call_id="") if isinstance(part, ToolCall) else part for part in whole.parts
    ]
    assert [
        replace(part, call_id="") if isinstance(part, ToolCall) else part for part in streamed.parts
    ] == bare
    assert (streamed.reason, streamed.usage) == (whole.reason, whole.usage)


def _simulated(request: ChatRequest) -> list[bytes]:
    body = orjson.dumps(write_request(request, PLATFORM.catalogue.facts(request.model)))
    headers = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
    headers["x-api-key"] = "key"
    reply = ClaudeApiSimulator().answer(Call("POST", "/v1/messages", "", headers, body))
    assert reply.status == 200, reply.body
    if isinstance(reply.body, bytes):
        return [reply.body]
    return [frame.data for frame in reply.body.frames]
