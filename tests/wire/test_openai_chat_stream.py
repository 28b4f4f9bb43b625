"""Chat streams read and written: the shape that is promised, nothing lost, nonsense refused."""

from __future__ import annotations

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
from app.canonical.parts import Opaque, Text, Thinking
from app.canonical.reply import Citation, fold
from app.errors import BadReply, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.openai_chat import KEEP_ALIVE, STREAM_END, read_stream, write_stream
from app.wire.openai_chat_stream import LONGEST_PIECE
from tests.nonsense import nonsense

TELLING = Telling("abc", "asked", 1_795_000_000, usage=True)
WORDS = st.sampled_from(
    ["a", "你好", "😀\u200d👩", "\u2028\x85", '"}\n\n', "data: [DONE]", "<think>"]
)
SEAL = Opaque("anthropic_messages", {"signature": "c2VhbGVk"})


@st.composite
def stories(draw) -> list[Event]:
    """Events in a legal order: thoughts (some sealed), text with sources, refusals, calls side by side."""
    events: list[Event] = [Started("chatcmpl-1", "m")]
    index = 0
    for kind in draw(
        st.lists(st.sampled_from(["text", "thinking", "refusal", "calls"]), max_size=5)
    ):
        if kind == "calls":
            count = draw(st.integers(1, 3))
            places = range(index, index + count)
            kinds = [draw(st.sampled_from(["tool_call", "custom_call"])) for _ in places]
            seals = [draw(st.sampled_from([None, SEAL])) for _ in places]
            for place, one, seal in zip(places, kinds, seals, strict=True):
                events.append(Opened(place, one, f"call_{place}", "f", seal))
            for place in draw(st.lists(st.sampled_from(places), max_size=6)):
                events.append(Delta(place, draw(WORDS)))
            events += [Closed(place) for place in places]
            index += count
            continue
        events.append(Opened(index, kind))
        events += [Delta(index, piece) for piece in draw(st.lists(WORDS, min_size=1, max_size=3))]
        if kind == "thinking":
            events.append(Sealed(index, Opaque("anthropic_messages", {"signature": f"s{index}"})))
        if kind == "text" and draw(st.booleans()):
            events.append(
                Cited(index, f"https://x/{index}", draw(st.sampled_from(["", "A title"])))
            )
        events.append(Closed(index))
        index += 1
    called = any(isinstance(event, Opened) and event.call_id for event in events)
    reason = draw(st.sampled_from(["stop", "length", "refused", "tool_calls"]))
    reason = "tool_calls" if called and reason == "stop" else reason
    return [*events, Usage(9, 5, cached=3, cache_write=2, reasoning=1), Finished(reason)]


def told(events: list[Event], telling: Telling = TELLING, size: int = 1) -> bytes:
    writer = write_stream(telling)
    pieces = (events[at : at + size] for at in range(0, len(events), size))
    return writer.open() + b"".join(map(writer.write, pieces))


def heard(wire: bytes, places: list[int]) -> list[Event]:
    reader, order, events, at = read_stream(), InOrder(), [], 0
    for place in [*sorted(min(place, len(wire)) for place in places), len(wire)]:
        events += order.check(reader.feed(wire[at:place]))
        at = max(at, place)
    assert reader.done
    return events + order.check(reader.finish())


def chunks(wire: bytes) -> list[dict]:
    """The chunks of a stream that has the framing that was promised (C-098, C-102, K-064, K-065)."""
    *frames, last, empty = wire.split(b"\n\n")
    assert (last, empty) == (b"data: [DONE]", b"")
    assert all(one.startswith(b"data: {") and b"\n" not in one for one in frames)
    return [orjson.loads(one[6:]) for one in frames]


def merged(events: list[Event]):
    """What was said, with neighbours of one kind joined, as a flat stream cannot tell them apart."""
    reply, parts = fold(events), []
    for part in reply.parts:
        if parts and isinstance(part, Text) and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text + part.text)
        elif (
            parts
            and type(part) is type(parts[-1])
            and hasattr(part, "text")
            and not isinstance(part, Thinking)
        ):
            parts[-1] = type(part)(parts[-1].text + part.text)
        else:
            parts.append(part)
    return parts, reply.usage, reply.reason, reply.citations


@settings(max_examples=300, deadline=None)
@given(stories(), st.lists(st.integers(0, 4000), max_size=8), st.integers(1, 9))
def test_what_is_told_is_heard_again_wherever_it_is_cut(events, places, size):
    """R-004, R-006, R-023: with seals, sources, refusals and calls side by side."""
    assert merged(heard(told(events, size=size), places)) == merged(events)


@settings(max_examples=20, deadline=None)
@given(stories())
def test_byte_by_byte_gives_the_same_events_as_at_once(events):
    wire = told(events)

    assert fold(heard(wire, list(range(len(wire))))) == fold(heard(wire, []))


@settings(max_examples=200, deadline=None)
@given(stories())
def test_every_stream_has_the_promised_shape(events):
    """C-098 to C-105, K-061 to K-079, C-130."""
    said = chunks(told(events))
    *choices, usage = said

    assert usage["choices"] == [] and usage["usage"]["total_tokens"] == 14
    assert choices[0]["choices"][0]["delta"] == {"role": "assistant"}
    assert [one["choices"][0]["finish_reason"] for one in choices[:-1]] == [None] * (
        len(choices) - 1
    )
    assert choices[-1]["choices"][0]["delta"] == {} and choices[-1]["choices"][0]["finish_reason"]
    for one in said:
        assert (one["id"], one["object"]) == ("foaicmpl-abc", "chat.completion.chunk")
        assert (one["model"], one["created"]) == ("asked", 1_795_000_000) and "error" not in one
    for one in choices[1:-1]:
        assert one["choices"][0]["index"] == 0 and len(one["choices"][0]["delta"]) == 1
        assert "" not in one["choices"][0]["delta"].values() and "usage" not in one


def test_calls_are_told_a_piece_a_chunk_with_name_and_id_first():
    """K-075, K-076."""
    events = [Started("a", "m"), Opened(0, "tool_call", "c0", "f"), Opened(1, "tool_call", "", "g")]
    events += [Delta(1, "{}"), Delta(0, "{}"), Closed(0), Closed(1), Finished("stop")]
    said = [one["choices"][0] for one in chunks(told(events, Telling("abc", "m", 1)))]

    named = {"id": "c0", "type": "function", "function": {"name": "f", "arguments": ""}}
    other = {"id": "call_abc_1", "type": "function", "function": {"name": "g", "arguments": ""}}
    assert [one["delta"]["tool_calls"] for one in said[1:-1]] == [
        [{"index": 0} | named],
        [{"index": 1} | other],
        [{"index": 1, "function": {"arguments": "{}"}}],
        [{"index": 0, "function": {"arguments": "{}"}}],
    ]
    assert said[-1]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("kind", ["text", "thinking", "refusal", "tool_call", "custom_call"])
@pytest.mark.parametrize(
    "text", ["\x01" * 70_000, "😀" * 35_000, '"' * 40_000, "ab" * LONGEST_PIECE]
)
@pytest.mark.parametrize("reasoning", ["field", "inline"])
def test_no_line_is_longer_than_a_line_reader_takes(kind, text, reasoning):
    """K-069, C-112, K-083."""
    call = ("c", "f") if kind.endswith("call") else ()
    events = [
        Started("a", "m"),
        Opened(0, kind, *call),
        Delta(0, text),
        Closed(0),
        Finished("stop"),
    ]
    wire = told(events, Telling("abc", "asked", 1, reasoning))

    assert max(map(len, wire.split(b"\n"))) < 65536
    (part,) = fold(heard(wire, [])).parts
    found = part.arguments if call else part.text
    assert found == (
        f"<think>{text}</think>" if (kind, reasoning) == ("thinking", "inline") else text
    )


THOUGHT = [Started("a", "m"), Opened(0, "thinking"), Delta(0, "so "), Delta(0, "so"), Closed(0)]
THOUGHT += [Opened(1, "text"), Delta(1, "yes"), Closed(1), Finished("stop")]


@pytest.mark.parametrize(
    "reasoning, deltas",
    [
        ("field", [{"reasoning_content": "so "}, {"reasoning_content": "so"}, {"content": "yes"}]),
        ("none", [{"content": "yes"}]),
        ("inline", [{"content": one} for one in ("<think>", "so ", "so", "</think>", "yes")]),
    ],
)
def test_thoughts_go_where_the_caller_wants_them(reasoning, deltas):
    """C-127 to C-129, K-067, K-068: a tag is a chunk of its own."""
    said = chunks(told(THOUGHT, Telling("abc", "m", 1, reasoning)))

    assert [one["choices"][0]["delta"] for one in said[1:-1]] == deltas


@pytest.mark.parametrize("reasoning", ["field", "inline", "none"])
def test_a_sealed_thought_without_words_leaves_no_empty_tags(reasoning):
    events = [Started("a", "m"), Opened(0, "thinking"), Sealed(0, SEAL), Closed(0)]
    events += [Opened(1, "text"), Delta(1, "yes"), Closed(1), Finished("stop")]
    wire = told(events, Telling("abc", "m", 1, reasoning))

    sealed = (Thinking("", SEAL),) if reasoning == "field" else ()
    assert fold(heard(wire, [])).parts == (*sealed, Text("yes"))
    assert b"think>" not in wire


def test_an_image_is_one_chunk_of_markdown():
    """C-114, K-070."""
    events = [
        Started("a", "m"),
        Opened(0, "image", name="image/png"),
        Delta(0, "AA"),
        Delta(0, "AA"),
    ]
    said = chunks(told([*events, Closed(0), Finished("stop")], Telling("abc", "m", 1)))

    assert said[1]["choices"][0]["delta"] == {"content": "![image](data:image/png;base64,AAAA)"}
    assert len(said) == 3


def test_an_error_is_an_event_and_the_beat_is_a_comment():
    """C-107, C-109, K-066, K-077."""
    writer = write_stream(TELLING)

    failed = orjson.loads(
        writer.fail(Trouble("gone", 502, "upstream_error")).removeprefix(b"data: ")
    )
    assert failed["error"] == {
        "message": "gone",
        "type": "server_error",
        "param": None,
        "code": "upstream_error",
    }
    assert writer.beat() == KEEP_ALIVE == b": keep-alive\n\n" and STREAM_END == b"data: [DONE]\n\n"


def test_usage_is_told_to_who_asked_and_only_then():
    """K-074, R-017."""
    events = [Started("a", "m"), Usage(1, 2), Finished("stop")]

    assert all(one["choices"] for one in chunks(told(events, Telling("abc", "m", 1))))
    assert chunks(told(events))[-1]["usage"]["prompt_tokens"] == 1


def test_an_estimate_says_nothing_of_details():
    events = [Started("a", "m"), Usage(1, 2, cache_write=1, estimated=True), Finished("stop")]
    usage = chunks(told(events))[-1]["usage"]

    assert usage == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


# ---------------------------------------------------------------- reading what platforms send


def sent(*bodies, done: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: " + orjson.dumps(body) + b"\n\n" for body in bodies) + done


def piece(delta=None, finish=None, **more) -> dict:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "x", "model": "m", "choices": [choice]} | more


def test_the_end_of_the_transfer_is_an_end_once_there_was_a_reason():
    """R-002, R-003."""
    for wire in (
        sent(piece({"content": "x"}), piece(finish="stop"), done=b""),
        sent(piece({"content": "x"})),
        sent(piece({"content": "x"}), done=b"data: [DONE]"),
        sent(
            piece({"content": "x"}), piece(finish="stop"), done=b'data: {"choices":[],"usage":{"pro'
        ),
    ):
        reader = read_stream()
        events = reader.feed(wire) + reader.finish()
        assert fold(events).parts == (Text("x"),) and events[-1] == Finished("stop") and reader.done


def test_an_end_anywhere_before_is_a_broken_transfer():
    """R-001: cut after every single byte."""
    wire = sent(piece({"role": "assistant"}), piece({"content": "yes"}), piece({"content": "no"}))
    ends = wire.index(b"data: [DONE]") + len(b"data: [DONE]")

    for place in range(ends):
        reader = read_stream()
        reader.feed(wire[:place])
        with pytest.raises(BrokenTransfer):
            reader.finish()


def test_nothing_at_all_is_a_broken_transfer():
    with pytest.raises(BrokenTransfer):
        read_stream().feed(b"data: [DONE]\n\n")


def test_what_follows_the_end_is_not_read():
    reader = read_stream()
    events = reader.feed(sent(piece({"content": "x"}, "stop")) + sent(piece({"content": "y"})))

    assert fold(events).parts == (Text("x"),)
    assert reader.feed(b"data: nonsense\n\ndata: {") == [] and reader.finish() == []


@pytest.mark.parametrize("before", [(), (piece({"content": "x"}),)], ids=["first", "after words"])
@pytest.mark.parametrize(
    "error, trouble",
    [
        ({"message": "no", "type": "t", "code": 7, "param": "p"}, Trouble("no", 0, "7", "t", "p")),
        ("just words", Trouble("just words")),
        ({"message": 5, "param": []}, Trouble("")),
        (True, Trouble("")),
    ],
    ids=str,
)
def test_an_error_inside_a_stream_ends_it(before, error, trouble):
    """R-012."""
    reader = read_stream()
    events = reader.feed(sent(*before, {"error": error}))

    assert events[-1] == Failed(trouble) and reader.done


@pytest.mark.parametrize(
    "usage, counted",
    [
        ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(3, 2)),
        ({"prompt_tokens": 3}, Usage(3, 0)),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": -1},
            },
            Usage(3, 2, 1, 1),
        ),
        ({"prompt_tokens": -3, "completion_tokens": 2}, None),
        ({"prompt_tokens": 3, "completion_tokens": 10**18}, None),
        ({"prompt_tokens": "3", "completion_tokens": 2}, None),
        ({"prompt_tokens": True, "completion_tokens": 2}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
    ids=str,
)
def test_usage_is_believed_only_where_it_makes_sense(usage, counted):
    """R-016: the last sane one wins, wherever it stands."""
    bodies = [piece({"content": "x"}, usage={"prompt_tokens": 1, "completion_tokens": 1})]
    bodies += [piece(finish="stop"), {"choices": [], "usage": usage}]

    assert fold(read_stream().feed(sent(*bodies))).usage == (counted or Usage(1, 1))


def test_names_that_are_null_are_empty_and_an_index_that_is_null_is_the_first():
    choice = {"index": None, "delta": {"content": "x"}, "finish_reason": "stop"}
    events = read_stream().feed(sent({"id": None, "model": None, "choices": [choice]}))

    assert events[0] == Started("", "") and fold(events).parts == (Text("x"),)


def test_only_the_first_choice_is_read():
    second = {"index": 1, "delta": {"content": "no"}, "finish_reason": None}
    body = piece({"content": "yes"})
    events = read_stream().feed(
        sent({**body, "choices": [second, *body["choices"]]}, piece(finish="stop"))
    )

    assert fold(events).parts == (Text("yes"),)


def test_sources_of_a_text_are_read():
    note = {"type": "url_citation", "url_citation": {"url": "https://x", "title": None}}
    body = [piece({"content": "x"}), piece({"annotations": [note, {"type": "other"}]}, "stop")]

    assert fold(read_stream().feed(sent(*body))).citations == (Citation("https://x"),)


@pytest.mark.parametrize(
    "body",
    [
        b"nonsense",
        b"[]",
        b"7",
        b'"error"',
        b"null",
        b"",
        orjson.dumps(piece({"content": 5})),
        orjson.dumps(piece({"content": ["a"]})),
        orjson.dumps(piece({"reasoning_content": {"a": 1}})),
        orjson.dumps(piece({"tool_calls": [{"index": [1], "function": {"name": "f"}}]})),
        orjson.dumps(piece({"tool_calls": [{"index": 0, "function": {"name": 5}}]})),
        orjson.dumps(piece({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]})),
        orjson.dumps(piece({"tool_calls": {"index": 0}})),
        orjson.dumps(piece(finish=["stop"])),
        orjson.dumps({"choices": "x"}),
        orjson.dumps({"choices": {"index": 0}}),
    ],
)
def test_an_event_that_makes_no_sense_is_a_bad_reply(body):
    """R-011."""
    with pytest.raises(BadReply):
        read_stream().feed(b"data: " + body + b"\n\n")


NAMES = """choices delta content index finish_reason tool_calls function name arguments id usage error custom
    prompt_tokens reasoning_content refusal annotations url_citation url reasoning_details signature
    extra_content google thought_signature""".split()
ANY = nonsense(NAMES)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        ANY | st.builds(piece, st.dictionaries(st.sampled_from(NAMES), ANY, max_size=4), ANY),
        max_size=4,
    )
)
def test_whatever_is_sent_is_read_or_refused(bodies):
    """R-011: nothing but `BadReply`, and only events that the writer can tell."""
    reader, order = read_stream(), InOrder()
    try:
        events = order.check(reader.feed(sent(*bodies, done=b"")))
        events += [] if reader.done else order.check(reader.finish())
    except BadReply:
        return
    told([event for event in events if not isinstance(event, Failed)])
    fold(events)
