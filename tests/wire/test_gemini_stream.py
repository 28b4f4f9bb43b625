"""Streams and whole answers of generateContent, in both directions and both framings."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from app.canonical.parts import Image, Inline, Opaque, Refusal, Text, Thinking, ToolCall
from app.canonical.reply import ChatReply, Citation, fold, unfold
from app.errors import BadReply, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.gemini_generate import (
    NAME,
    read_array_stream,
    read_reply,
    read_stream,
    write_array_stream,
    write_reply,
    write_stream,
)
from app.wire.gemini_parts import seal

TELLING = Telling("id1", "asked-for", 0)
OWN = Opaque(NAME, {"thoughtSignature": "Q2s="})
FOREIGN = Opaque("anthropic_messages", {"signature": "sig"})
FRAMINGS = {
    "events": (read_stream, write_stream),
    "array": (read_array_stream, write_array_stream),
}


def chunk(*parts: Any, finish: str = "", usage: Any = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if finish:
        candidate["finishReason"] = finish
    told: dict[str, Any] = {"candidates": [candidate | more]}
    if usage is not None:
        told["usageMetadata"] = usage
    return told | {"modelVersion": "gemini-3.8-flash", "responseId": "r1"}


def events_of(*chunks: Any, end: bytes = b"\r\n\r\n") -> bytes:
    return b"".join(b"data: " + orjson.dumps(one) + end for one in chunks)


def array_of(*chunks: Any) -> bytes:
    return b"[" + b"\n,\r\n".join(orjson.dumps(one) for one in chunks) + b"\n]\n"


def heard(data: bytes, framing: str = "events", size: int = 1 << 20) -> list[Event]:
    reader = FRAMINGS[framing][0]()
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += reader.feed(data[start : start + size])
    events += reader.finish()
    return InOrder().check(events)


TRANSCRIPT = (
    chunk({"text": "Plan: greet", "thought": True}, usage={"promptTokenCount": 5}),
    chunk({"text": "Hel"}, usage={"promptTokenCount": 5, "candidatesTokenCount": 1}),
    chunk({"text": "lo"}),
    chunk(
        {"text": "", "thoughtSignature": "Q2s="},
        finish="STOP",
        usage={"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 12},
    ),
)
TOLD = [
    Started("r1", "gemini-3.8-flash"),
    Opened(0, "thinking"),
    Delta(0, "Plan: greet"),
    Closed(0),
    Opened(1, "text"),
    Delta(1, "Hel"),
    Delta(1, "lo"),
    Sealed(1, OWN),
    Closed(1),
    Usage(5, 14, reasoning=12),
    Finished("stop"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("framing", "data"),
    [
        ("events", events_of(*TRANSCRIPT)),
        ("events", events_of(*TRANSCRIPT, end=b"\n\n")),
        ("events", b"\xef\xbb\xbf: hello\n\n" + events_of(*TRANSCRIPT, end=b"\r\r")),
        ("array", array_of(*TRANSCRIPT)),
        ("array", orjson.dumps(TRANSCRIPT, option=orjson.OPT_INDENT_2)),
    ],
    ids=["crlf", "lf", "bom, comment, cr", "array", "pretty array"],
)
def test_a_stream_says_the_same_however_it_is_cut(framing: str, data: bytes, size: int) -> None:
    assert heard(data, framing, size) == TOLD


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_stream_without_its_finish_reason_is_broken_wherever_it_ends(framing: str) -> None:
    """R-001: cut after every single byte."""
    data = {"events": events_of, "array": array_of}[framing](*TRANSCRIPT)
    for place in range(data.index(b'"finishReason"')):
        with pytest.raises(BrokenTransfer):
            heard(data[:place], framing)


def test_what_comes_after_the_finish_reason_still_counts() -> None:
    late = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 9}}

    assert heard(events_of(chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}), late)) == [
        Started("r1", "gemini-3.8-flash"),
        Opened(0, "text"),
        Delta(0, "a"),
        Delta(0, "b"),
        Closed(0),
        Usage(1, 9),
        Finished("stop"),
    ]


@pytest.mark.parametrize("absurd", [-1, 10**18, "many", 1.5, True])
def test_absurd_totals_are_passed_over_for_the_last_that_make_sense(absurd: Any) -> None:
    sane = {"promptTokenCount": 3, "candidatesTokenCount": 1}
    last = chunk(finish="STOP", usage=sane | {"candidatesTokenCount": absurd})

    assert Usage(3, 1) in heard(events_of(chunk({"text": "a"}, usage=sane), last))


def test_calls_without_ids_get_ids_that_differ_and_the_first_keeps_its_signature() -> None:
    first = {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "Q2s="}
    second = {"functionCall": {"name": "g"}}
    data = events_of(chunk(first), chunk(second, finish="STOP"))

    assert heard(data)[1:] == [
        Opened(0, "tool_call", "call_unnamed_r1_1", "f", OWN),
        Delta(0, '{"a":1}'),
        Closed(0),
        Opened(1, "tool_call", "call_unnamed_r1_2", "g"),
        Delta(1, "{}"),
        Closed(1),
        Finished("tool_calls"),
    ]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "refused"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_a_finish_reason_without_words_is_an_end(finish: str, reason: Any) -> None:
    assert heard(events_of(chunk(finish=finish)))[1:] == [Finished(reason)]


def test_an_empty_text_with_a_signature_is_not_an_answer() -> None:  # C-113
    data = events_of(chunk({"text": "", "thoughtSignature": "Q2s="}, finish="STOP"))

    assert heard(data)[1:] == [Finished("stop")]


def test_words_after_a_signature_begin_a_new_block() -> None:
    sealed = {"text": "a", "thought": True, "thoughtSignature": "Q2s="}
    told = heard(events_of(chunk(sealed, {"text": "b", "thought": True}, finish="STOP")))

    assert fold(told).parts == (Thinking("a", OWN), Thinking("b"))


def test_a_blocked_prompt_is_a_refusal() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r1"}

    assert fold(heard(events_of(blocked))) == ChatReply(
        "r1", "", (Refusal("the platform blocked the prompt: SAFETY"),), None, "refused"
    )


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: [error]])
def test_an_error_inside_a_stream_ends_it(wrap: Any) -> None:
    error = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    data = events_of(chunk({"text": "a"}, usage={"promptTokenCount": 2}), wrap(error))

    assert heard(data + events_of(*TRANSCRIPT))[3:] == [
        Usage(2, 0),
        Failed(Trouble("busy", 503, type="UNAVAILABLE")),
    ]


def test_code_that_google_ran_is_told_in_fences() -> None:  # C-076
    code = {"executableCode": {"language": "PYTHON", "code": "print(1)"}}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}
    data = events_of(chunk({"text": "So:"}, code, result, {"text": "One."}, finish="STOP"))

    words = "So:\n```python\nprint(1)\n```\n\n```\n1\n\n```\nOne."
    assert fold(heard(data)).parts == (Text(words),)


def test_pictures_are_told_but_not_those_drawn_while_thinking() -> None:
    draft = {"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thought": True}
    picture = {"inlineData": {"mimeType": "image/png", "data": "AQ=="}, "thoughtSignature": "Q2s="}
    sound = {"inlineData": {"mimeType": "audio/L16", "data": "AA=="}}

    assert fold(heard(events_of(chunk(draft, picture, sound, finish="STOP")))).parts == (
        Image(Inline("image/png", "AQ=="), opaque=OWN),
        Opaque(NAME, sound),
    )


def test_sources_are_cited_once_each() -> None:
    sources = {"groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"maps": {}}]}
    data = events_of(
        chunk({"text": "a"}, groundingMetadata=sources),
        chunk(finish="STOP", groundingMetadata=sources),
    )

    assert [event for event in heard(data) if isinstance(event, Cited)] == [
        Cited(0, "https://a", "A")
    ]


def test_only_the_first_candidate_is_read() -> None:
    told = chunk({"text": "a"}, finish="STOP")
    told["candidates"].append({"content": {"parts": [{"text": "b"}]}, "index": 1})

    assert fold(heard(events_of(told))).parts == (Text("a"),)


# ---------------------------------------------------------------- whole answers

REPLY = ChatReply(
    "r1",
    "gemini-3.8-flash",
    (
        Thinking("Plan", FOREIGN),
        Text("Hello"),
        Image(Inline("image/png", "AA==")),
        ToolCall("a", "f", '{"x":1}', opaque=FOREIGN),
        ToolCall("b", "g", "{}", opaque=OWN),
        Opaque(NAME, {"toolCall": {"id": "t"}}),
    ),
    Usage(10, 7, 4, reasoning=3),
    "tool_calls",
)
WHOLE = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "Plan", "thought": True, "thoughtSignature": seal(FOREIGN)},
                    {"text": "Hello"},
                    {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                    {
                        "functionCall": {"id": "a", "name": "f", "args": {"x": 1}},
                        "thoughtSignature": seal(FOREIGN),
                    },
                    {
                        "functionCall": {"id": "b", "name": "g", "args": {}},
                        "thoughtSignature": "Q2s=",
                    },
                    {"toolCall": {"id": "t"}},
                ],
                "role": "model",
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 10,
        "candidatesTokenCount": 4,
        "thoughtsTokenCount": 3,
        "cachedContentTokenCount": 4,
        "totalTokenCount": 17,
    },
    "modelVersion": "gemini-3.8-flash",
    "responseId": "r1",
}


def test_a_whole_answer_is_read_and_written() -> None:
    assert read_reply(WHOLE) == REPLY
    assert write_reply(REPLY, Telling("r1", "gemini-3.8-flash", 0)) == WHOLE


def test_citations_survive_a_whole_answer() -> None:
    cited = ChatReply(
        "id1",
        "asked-for",
        (Text("a"),),
        Usage(1, 1),
        "stop",
        citations=(Citation("https://a", "A"),),
    )

    assert read_reply(write_reply(cited, TELLING)) == cited


def test_no_thought_is_told_to_a_caller_who_wants_none() -> None:  # C-127
    quiet = Telling("id1", "m", 0, reasoning="none")
    parts = (Thinking("secret", FOREIGN), Text("open"))
    reply = ChatReply("", "", parts, None, "stop")

    assert read_reply(write_reply(reply, quiet)).parts == (Text("open"),)
    assert b"secret" not in write_stream(quiet).write(unfold(reply))
    assert seal(FOREIGN).encode() not in write_stream(quiet).write(unfold(reply))


@pytest.mark.parametrize(
    "whole",
    [
        {"error": {"message": "no"}},
        {"candidates": [{"content": {"parts": [{"text": 5}]}, "finishReason": "STOP"}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]},
        {"candidates": {"a": 1}},
        {"candidates": [{"finishReason": ["STOP"]}]},
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(whole: Any) -> None:
    with pytest.raises(BadReply):
        read_reply(whole)


# ---------------------------------------------------------------- writing streams


def told(data: bytes) -> list[Any]:
    return [orjson.loads(frame[6:]) for frame in data.split(b"\n\n") if frame]


def test_a_stream_is_written_chunk_by_chunk_and_every_chunk_has_a_part() -> None:
    head = {"modelVersion": "asked-for", "responseId": "id1"}

    def part(one: Any) -> Any:
        content = {"parts": [one], "role": "model"}
        return {"candidates": [{"content": content, "index": 0}], **head}

    last = part({"text": ""})
    last["candidates"][0]["finishReason"] = "STOP"
    last["usageMetadata"] = {
        "promptTokenCount": 5,
        "candidatesTokenCount": 2,
        "totalTokenCount": 19,
        "thoughtsTokenCount": 12,
    }

    assert told(write_stream(TELLING).write(list(TOLD))) == [
        part({"text": "Plan: greet", "thought": True}),
        part({"text": "Hel"}),
        part({"text": "lo"}),
        part({"text": "", "thoughtSignature": "Q2s="}),
        last,
    ]


def test_side_by_side_calls_come_whole_and_one_after_the_other() -> None:
    events: list[Event] = [
        Started("", ""),
        Opened(0, "tool_call", "a", "f", FOREIGN),
        Opened(1, "custom_call", "b", "g"),
        Delta(1, '{"free'),
        Delta(0, '{"x":'),
        Delta(1, ' text"}'),
        Delta(0, "1}"),
        Closed(1),
        Closed(0),
        Finished("tool_calls"),
    ]
    chunks = told(write_stream(TELLING).write(events))

    assert [one["candidates"][0]["content"]["parts"][0] for one in chunks] == [
        {
            "functionCall": {"id": "a", "name": "f", "args": {"x": 1}},
            "thoughtSignature": seal(FOREIGN),
        },
        {"functionCall": {"id": "b", "name": "g", "args": {"input": '{"free text"}'}}},
        {"text": ""},
    ]


@pytest.mark.parametrize("before", [[], TOLD[:4]])
def test_an_array_with_an_error_in_it_is_whole_json(before: list[Event]) -> None:
    writer = write_array_stream(TELLING)
    data = writer.open() + writer.beat() + writer.write(list(before)) + writer.beat()
    *_, last = orjson.loads(data + writer.fail(Trouble("busy", 503)))

    assert last == {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}


def test_a_sign_of_life_may_come_between_any_two_chunks_of_an_array() -> None:
    writer = write_array_stream(TELLING)
    data = b"".join(writer.beat() + writer.write([event]) for event in TOLD)

    assert len(orjson.loads(data)) == 5


WORDS = st.text(min_size=1, max_size=6)
SEALS = st.sampled_from([None, OWN, FOREIGN])
ARGUMENTS = st.dictionaries(WORDS, st.integers(0, 9) | WORDS, max_size=2).map(
    lambda given: orjson.dumps(given).decode()
)


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Answers as streams: words in alternation, then calls side by side."""
    events: list[Event] = [Started("id1", "asked-for")]
    kinds = draw(st.permutations(["thinking", "text", "image"]))
    index = 0
    for kind in kinds[: draw(st.integers(0, 3))]:
        events.append(Opened(index, kind, name="image/png" if kind == "image" else ""))
        pieces = ["AA=="] if kind == "image" else draw(st.lists(WORDS, min_size=1, max_size=3))
        events += [Delta(index, piece) for piece in pieces]
        if (opaque := draw(SEALS)) is not None:
            events.append(Sealed(index, opaque))
        events.append(Closed(index))
        index += 1
    calls = range(index, index + draw(st.integers(0, 3)))
    texts = {call: draw(ARGUMENTS) for call in calls}
    events += [Opened(call, "tool_call", f"id{call}", "f", draw(SEALS)) for call in calls]
    for place in range(max(map(len, texts.values()), default=0)):
        events += [Delta(call, text[place]) for call, text in texts.items() if text[place:]]
    events += [Closed(call) for call in draw(st.permutations(calls))]
    events.append(Usage(draw(st.integers(0, 99)), 9, reasoning=draw(st.integers(0, 9))))
    return [*events, Finished("tool_calls" if calls else "stop")]


@settings(max_examples=150, deadline=None)
@given(answers(), st.sampled_from(sorted(FRAMINGS)), st.integers(1, 90))
def test_what_is_written_is_read_again(events: list[Event], framing: str, size: int) -> None:
    writer = FRAMINGS[framing][1](TELLING)
    data = writer.open() + b"".join(writer.write([event]) for event in InOrder().check(events))

    assert fold(heard(data, framing, size)) == fold(events)
