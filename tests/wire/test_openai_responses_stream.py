"""Streams of the Responses dialect, written and read back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
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
from app.canonical.parts import Opaque, Text, Thinking, ToolCall, carry
from app.canonical.reply import ChatReply, fold, unfold
from app.canonical.request import Turn
from app.errors import BrokenTransfer
from app.wire.dialect import Telling
from app.wire.openai_responses import (
    NAME,
    ResponsesTap,
    read_request,
    read_stream,
    write_reply,
    write_stream,
)
from app.wire.sse import KEEP_ALIVE, Frames

TELLING = Telling("abc", "gpt-6-sol", 1_795_000_000)
STRICT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
FOREIGN = Opaque("gemini_generate", "sig")


def told(events: list[Event], telling: Telling = TELLING) -> bytes:
    writer = write_stream(telling)
    return writer.open() + writer.write(events)


def documents(wire: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(data) for _, data in Frames().feed(wire)]


def read(pieces: list[bytes]) -> list[Event]:
    reader = read_stream()
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.finish()
    InOrder().check(events)
    return events


def said(reply: ChatReply) -> tuple[Any, ...]:
    return reply.parts, reply.usage, reply.reason, reply.citations


# ---------------------------------------------------------------- any answer there can be


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
PIECES = st.lists(WORDS, min_size=1, max_size=3)
NAMES = st.sampled_from("fg")


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """Valid streams: blocks one after another, calls in groups side by side."""
    events: list[Event] = [Started("resp_up", "gpt")]
    index, called = 0, False
    for kind in draw(
        st.lists(
            st.sampled_from(["text", "thinking", "refusal", "calls", "opaque", "image"]), max_size=5
        )
    ):
        if kind == "calls":
            many = draw(st.integers(1, 3))
            events += _calls(draw, index, many)
            index, called = index + many, True
        else:
            events += _block(draw, index, kind)
            index += 1
    events.append(draw(st.builds(Usage, *[st.integers(0, 10**6)] * 5)))
    events.append(
        Finished("tool_calls" if called else draw(st.sampled_from(["stop", "length", "refused"])))
    )
    return events


def _calls(draw: st.DrawFn, index: int, many: int) -> list[Event]:
    kinds = [draw(st.sampled_from(["tool_call", "custom_call"])) for _ in range(many)]
    opened: list[Event] = [
        Opened(index + i, kind, f"call_{index + i}", draw(NAMES))  # type: ignore[arg-type]
        for i, kind in enumerate(kinds)
    ]
    inner: list[Event] = []
    for i, kind in enumerate(kinds):
        words = draw(PIECES) if kind == "custom_call" else ['{"a":', "1}"]
        inner += [Delta(index + i, word) for word in words]
    return (
        opened
        + draw(st.permutations(inner).filter(_in_order))
        + [Closed(index + i) for i in range(many)]
    )


def _in_order(events: list[Event]) -> bool:
    """JSON pieces must not change places; free text may."""
    texts = [(event.index, event.text) for event in events if isinstance(event, Delta)]
    return all(
        [text for index, text in texts if index == one] != ["1}", '{"a":'] for one, _ in texts
    )


def _block(draw: st.DrawFn, index: int, kind: str) -> list[Event]:
    if kind == "opaque":
        action = {"type": "search", "query": "q", "queries": ["q"]}
        item: dict[str, Any] = {
            "type": "web_search_call",
            "id": f"ws_{index}",
            "status": "completed",
        }
        item |= {"action": action}
        return [Opened(index, "opaque", opaque=Opaque(NAME, item)), Closed(index)]
    words = draw(PIECES)
    opened = Opened(index, kind)  # type: ignore[arg-type]
    events: list[Event] = [opened, *(Delta(index, word) for word in words)]
    if kind == "image":
        opened.name = "image/png"
        item = {
            "id": f"ig_{index}",
            "type": "image_generation_call",
            "status": "completed",
            "output_format": "png",
        }
        opened.opaque = Opaque(NAME, item)
    elif kind == "thinking" and draw(st.booleans()):
        summary = [{"type": "summary_text", "text": "".join(words)}]
        item = {
            "id": f"rs_{index}",
            "type": "reasoning",
            "summary": summary,
            "encrypted_content": "gAAA",
        }
        opened.opaque = Opaque(NAME, item)
        events.append(Sealed(index, opened.opaque))
    elif kind == "text":
        if draw(st.booleans()):
            opened.opaque = Opaque(NAME, {"phase": "final_answer"})
        if draw(st.booleans()):
            events.append(Cited(index, "https://x.test", "X"))
    return [*events, Closed(index)]


@settings(max_examples=150, deadline=None)
@given(answers(), st.data())
def test_an_answer_survives_the_wire_in_any_pieces(
    events: list[Event], data: st.DataObject
) -> None:
    wire = told(events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)])]

    assert said(fold(read(pieces))) == said(fold(events))


@settings(max_examples=100, deadline=None)
@given(answers())
def test_the_stream_is_what_the_vendor_documents(events: list[Event]) -> None:
    """3.6: numbered; an item keeps its id from start to end; the last event repeats all."""
    sent = documents(told(events))
    kinds = [one["type"] for one in sent]

    assert [one["sequence_number"] for one in sent] == list(range(len(sent)))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] in ("response.completed", "response.incomplete")
    added = [
        (o["output_index"], o["item"]["id"])
        for o in sent
        if o["type"] == "response.output_item.added"
    ]
    done = [
        (o["output_index"], o["item"]) for o in sent if o["type"] == "response.output_item.done"
    ]
    assert (
        added
        == [(i, item["id"]) for i, item in done]
        == list(enumerate(item["id"] for _, item in done))
    )
    assert sent[-1]["response"]["output"] == [item for _, item in done]
    for one in sent:
        STRICT.validate_python(one)


RICH: list[Event] = [
    Started("resp_up", "gpt"),
    Opened(0, "thinking"),
    Delta(0, "Let"),
    Delta(0, " me"),
    Closed(0),
    Opened(1, "text"),
    Delta(1, "Zürich "),
    Delta(1, "\U0001f469\u200d\U0001f52c\u2028"),
    Cited(1, "https://x.test", "X"),
    Closed(1),
    Opened(2, "tool_call", "call_a", "f"),
    Opened(3, "custom_call", "call_b", "g"),
    Delta(2, '{"a":'),
    Delta(3, "go"),
    Delta(2, "1}"),
    Closed(2),
    Closed(3),
    Usage(9, 5, 3, 1, 2),
    Finished("tool_calls"),
]


def test_every_kind_of_event_is_told_in_order() -> None:
    """codex.md 10: what Codex CLI reads."""
    sent = documents(told(RICH))

    assert [one["type"].removeprefix("response.") for one in sent] == """created in_progress
        output_item.added reasoning_summary_part.added reasoning_summary_text.delta
        reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done
        output_item.done
        output_item.added content_part.added output_text.delta output_text.delta
        output_text.annotation.added output_text.done content_part.done output_item.done
        output_item.added function_call_arguments.delta function_call_arguments.delta
        function_call_arguments.done output_item.done
        output_item.added custom_tool_call_input.delta custom_tool_call_input.done output_item.done
        completed""".split()
    assert sent[11] == {
        "type": "response.output_text.delta",
        "item_id": "msg_abc_1",
        "output_index": 1,
        "content_index": 0,
        "delta": "Zürich ",
        "logprobs": [],
        "sequence_number": 11,
    }


def test_the_last_event_holds_the_whole_answer() -> None:
    response = documents(told(RICH))[-1]["response"]

    assert (response["id"], response["status"], response["model"]) == (
        "resp_abc",
        "completed",
        "gpt-6-sol",
    )
    assert response["output"] == [
        {
            "id": "rs_abc_0",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Let me"}],
        },
        {
            "id": "msg_abc_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [
                {
                    "type": "output_text",
                    "text": "Zürich \U0001f469\u200d\U0001f52c\u2028",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url": "https://x.test",
                            "title": "X",
                            "start_index": 0,
                            "end_index": 0,
                        }
                    ],
                    "logprobs": [],
                }
            ],
        },
        {
            "id": "fc_abc_2",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_a",
            "name": "f",
            "arguments": '{"a":1}',
        },
        {
            "id": "ctc_abc_3",
            "type": "custom_tool_call",
            "call_id": "call_b",
            "name": "g",
            "input": "go",
        },
    ]
    assert response["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 14,
    }
    Response.model_validate(response, strict=False)
    assert "error" not in response


def test_an_answer_survives_being_cut_at_every_byte() -> None:
    """R-004, R-005."""
    wire = told(RICH)
    expected = said(fold(RICH))

    assert said(fold(read([wire[i : i + 1] for i in range(len(wire))]))) == expected
    for cut in range(0, len(wire), 5):
        assert said(fold(read([wire[:cut], wire[cut:]]))) == expected


@pytest.mark.parametrize(
    "wire",
    [
        told(RICH).replace(b"\n", b"\r\n"),
        told(RICH).replace(b"\n", b"\r"),
        b"\xef\xbb\xbf" + told(RICH),
        b": hello\n\n" + told(RICH).replace(b"\n\n", b"\n\n: keep-alive\n\n"),
        told(RICH) + b"data: [DONE]\n\n",
        b"\n".join(line for line in told(RICH).split(b"\n") if not line.startswith(b"event:")),
        told(RICH).removesuffix(b"\n\n"),
        told(RICH).replace(b'"type":"response.output_text.done"', b'"type":"response.brand_new"'),
    ],
    ids=["crlf", "cr", "bom", "comments", "done", "unnamed", "no last blank line", "unknown event"],
)
def test_framing_does_not_matter(wire: bytes) -> None:
    """R-002, R-005, R-007."""
    assert said(fold(read([wire[:100], wire[100:]]))) == said(fold(RICH))


def test_an_answer_without_its_last_event_is_a_broken_transfer() -> None:
    """R-001: at every end of a frame, and in the middle of each."""
    wire = told(RICH)
    ends = [i + 2 for i in range(len(wire)) if wire[i : i + 2] == b"\n\n"]
    for end in [0, *ends[:-1], *(e + 40 for e in ends[:-1])]:
        reader = read_stream()
        reader.feed(wire[:end])
        with pytest.raises(BrokenTransfer):
            reader.finish()
        assert not reader.done


# ---------------------------------------------------------------- what only the writer does


def test_texts_in_a_row_share_a_message_unless_they_differ_in_phase() -> None:
    commentary, final = (Opaque(NAME, {"phase": p}) for p in ("commentary", "final_answer"))
    parts = (Text("a"), Text("b"), Text("c", commentary), Text("\n\nd", final), Text("e"))
    reply = ChatReply("x", "m", parts, None, "stop")

    items = write_reply(reply, TELLING)["output"]

    assert [(item.get("phase"), [part["text"] for part in item["content"]]) for item in items] == [
        (None, ["a", "b"]),
        ("commentary", ["c"]),
        ("final_answer", ["\n\nd"]),
        (None, ["e"]),
    ]


def test_open_is_said_once() -> None:
    writer = write_stream(TELLING)

    first = writer.open()

    assert [one["type"] for one in documents(first)] == ["response.created", "response.in_progress"]
    assert writer.open() == b"" and writer.write([Started("x", "m")]) == b""


def test_a_sign_of_life_is_an_event_only_in_a_stream_of_ours() -> None:
    """Codex counts events and not comments; a stream that passes raw has its own numbers."""
    writer = write_stream(TELLING)
    assert writer.beat() == KEEP_ALIVE
    writer.open()
    (beat,) = documents(writer.beat())
    assert (beat["type"], beat["sequence_number"]) == ("response.in_progress", 2)
    writer.write([Finished("stop")])
    assert writer.beat() == KEEP_ALIVE


def test_thoughts_are_left_out_where_nobody_wants_them() -> None:
    """C-127."""
    quiet = Telling("abc", "m", 1, reasoning="none")
    sealed: list[Event] = []
    for event in RICH:
        sealed += [Sealed(event.index, FOREIGN)] if isinstance(event, Closed) else []
        sealed.append(event)

    sent = documents(told(sealed, quiet))

    assert not any("reasoning" in one["type"] for one in sent)
    assert [item["type"] for item in sent[-1]["response"]["output"]] == [
        "message",
        "function_call",
        "custom_tool_call",
    ]


@pytest.mark.parametrize(
    ("reason", "kind", "details"),
    [
        ("stop", "response.completed", None),
        ("stop_sequence", "response.completed", None),
        ("tool_calls", "response.completed", None),
        ("length", "response.incomplete", {"reason": "max_output_tokens"}),
        ("refused", "response.incomplete", {"reason": "content_filter"}),
    ],
)
def test_an_answer_says_how_it_ended(reason: Any, kind: str, details: Any) -> None:
    last = documents(told([Started("x", "m"), Finished(reason)]))[-1]

    assert (last["type"], last["response"]["incomplete_details"]) == (kind, details)


def test_a_call_without_arguments_gets_an_empty_object_and_half_a_call_is_incomplete() -> None:
    events: list[Event] = [
        Started("x", "m"),
        Opened(0, "tool_call", "", "f"),
        Closed(0),
        Opened(1, "tool_call", "c", "f"),
        Delta(1, '{"a'),
        Closed(1),
        Finished("length"),
    ]

    output = documents(told(events))[-1]["response"]["output"]

    assert [(o["call_id"], o["arguments"], o["status"]) for o in output] == [
        ("call_abc_0", "{}", "completed"),
        ("c", '{"a', "incomplete"),
    ]


@pytest.mark.parametrize("begin", [[], [Started("x", "m"), Opened(0, "text"), Delta(0, "Hi")]])
@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Trouble("Slow down", 429, "slow"), "rate_limit_exceeded"),
        (Trouble("Too long", 400, "context_length_exceeded"), "context_length_exceeded"),
        (Trouble("Bad", 400, "invalid_value", param="input"), "invalid_prompt"),
        (Trouble("Cut", 502, "upstream_truncated"), "upstream_truncated"),
        (Trouble("Oops"), "server_error"),
    ],
)
def test_an_error_is_told_to_every_kind_of_client(
    begin: list[Event], trouble: Trouble, code: str
) -> None:
    """Node's SDK reads the `error` event, Codex `response.failed`, Python's the nested object."""
    writer = write_stream(TELLING)
    writer.open()
    writer.write(begin)

    error, failed = documents(writer.fail(trouble))

    assert error["type"] == "error" and error["message"] == trouble.message
    assert error["error"]["message"] == trouble.message and error["error"]["type"]
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": code, "message": trouble.message}
    assert writer.write([Delta(0, "more"), Closed(0), Finished("stop")]) == b""
    assert writer.fail(trouble) == b""


def test_a_failure_among_the_events_is_told_like_one_from_outside() -> None:
    trouble = Trouble("Oops", 500)
    inside, outside = write_stream(TELLING), write_stream(TELLING)

    assert inside.open() + inside.write([Failed(trouble)]) == outside.open() + outside.fail(trouble)


# ---------------------------------------------------------------- signatures on a journey


@pytest.mark.parametrize("early", [True, False])
def test_foreign_signatures_come_back_with_the_next_request(early: bool) -> None:
    """A caller sends the items back as they came; each signature is where its platform left it."""
    parts = (
        Thinking("Hm", FOREIGN),
        Thinking("", FOREIGN),
        Text("a"),
        Text("b", FOREIGN),
        Text("c"),
        ToolCall("c1", "f", "{}", opaque=FOREIGN),
        ToolCall("c2", "g", "go", custom=True, opaque=FOREIGN),
        ToolCall("c3", "f", "{}"),
    )
    reply = ChatReply("x", "m", parts, None, "tool_calls")
    output = (
        write_reply(reply, TELLING)["output"]
        if early
        else documents(told(_late(reply)))[-1]["response"]["output"]
    )

    request = read_request({"model": "m", "input": [{"role": "user", "content": "Hi"}, *output]})

    assert request.turns[1] == Turn("assistant", parts)


def _late(reply: ChatReply) -> list[Event]:
    """The same with every signature told only after the block's words."""
    events: list[Event] = []
    for event in unfold(reply):
        if isinstance(event, Closed) and (
            opaque := getattr(reply.parts[event.index], "opaque", None)
        ):
            events.append(Sealed(event.index, opaque))
        if isinstance(event, Opened):
            event.opaque = None
        events.append(event)
    return events


def test_a_sealed_thought_of_another_platform_is_put_where_the_vendor_keeps_its_own() -> None:
    reply = ChatReply("x", "m", (Thinking("Hm", FOREIGN),), None, "stop")

    assert write_reply(reply, TELLING)["output"] == [
        {
            "id": "rs_abc_0",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "Hm"}],
            "encrypted_content": carry(FOREIGN),
        }
    ]


# ---------------------------------------------------------------- the tap


def test_a_tap_hears_what_matters() -> None:
    wire, tap = told(RICH), ResponsesTap()

    for i in range(0, len(wire), 7):
        tap.feed(wire[i : i + 7])

    assert (tap.done, tap.spoke, tap.usage, tap.trouble) == (True, True, Usage(9, 5, 3, 1, 2), None)


def test_a_tap_is_quiet_until_something_is_said() -> None:
    tap = ResponsesTap()
    tap.feed(write_stream(TELLING).open())

    assert (tap.done, tap.spoke) == (False, False)


@pytest.mark.parametrize(
    ("data", "trouble"),
    [
        (
            b"event: error\n"
            b'data: {"type":"error","error":{"message":"m","code":"insufficient_quota"}}\n\n',
            Trouble("m", 429, "insufficient_quota"),
        ),
        (
            b'data: {"type":"response.failed",'
            b'"response":{"error":{"code":"server_error","message":"m"}}}\n\n',
            Trouble("m", 500, "server_error"),
        ),
        (b'data: {"error":{"message":"m","type":"t"}}\n\n', Trouble("m", type="t")),
    ],
)
def test_a_tap_hears_trouble(data: bytes, trouble: Trouble) -> None:
    tap = ResponsesTap()
    tap.feed(data)

    assert (tap.done, tap.trouble) == (True, trouble)


@given(st.binary(max_size=60), st.booleans())
def test_a_tap_never_minds_what_passes(noise: bytes, named: bool) -> None:
    tap = ResponsesTap()
    tap.feed((b"event: response.completed\n" if named else b"") + b"data: " + noise + b"\n\n")

    assert tap.trouble is None or tap.done
