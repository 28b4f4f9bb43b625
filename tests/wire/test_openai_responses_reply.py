"""What the platform answers in the Responses dialect, whole or as a stream, as it was seen to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

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
from app.canonical.reply import ChatReply, Citation, fold
from app.errors import (
    BadReply,
    BrokenTransfer,
    ContextTooLong,
    GatewayError,
    RequestRefused,
    Throttled,
    UpstreamError,
)
from app.wire.dialect import Telling
from app.wire.openai_responses import (
    NAME,
    find_usage,
    read_error,
    read_reply,
    read_stream,
    write_error,
    write_reply,
)

REASONING: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}],
    "encrypted_content": "gAAA",
}
MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [
        {
            "type": "output_text",
            "text": "Hello",
            "annotations": [
                {
                    "type": "url_citation",
                    "url": "https://x.test",
                    "title": "X",
                    "start_index": 0,
                    "end_index": 5,
                },
                {"type": "file_citation", "file_id": "file-1", "filename": "f", "index": 1},
            ],
            "logprobs": [],
        },
        {"type": "refusal", "refusal": "But no"},
    ],
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "wx",
    "arguments": '{"city":"Oslo"}',
    "status": "completed",
}
CUSTOM: dict[str, Any] = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "call_2",
    "name": "g",
    "input": "go",
}
SEARCH: dict[str, Any] = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search"},
}
PICTURE: dict[str, Any] = {
    "type": "image_generation_call",
    "id": "ig_1",
    "status": "completed",
    "result": "iVBORw0KGgo=",
    "output_format": "webp",
}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 14,
}


def answer(*output: Any, **more: Any) -> dict[str, Any]:
    head = {"id": "resp_1", "object": "response", "created_at": 1.5, "model": "gpt-6-sol-2026"}
    return {**head, "status": "completed", "output": list(output), "usage": USAGE, **more}


def stream(*told: dict[str, Any]) -> bytes:
    events = [{"type": "response.created", "response": answer(status="in_progress")}, *told]
    return b"".join(
        b"event: "
        + one["type"].encode()
        + b"\ndata: "
        + orjson.dumps(one | {"sequence_number": i})
        + b"\n\n"
        for i, one in enumerate(events)
    )


def added(at: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": at, "item": item}


def done(at: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": at, "item": item}


def more(kind: str, at: int, delta: str, **place: int) -> dict[str, Any]:
    return {
        "type": f"response.{kind}.delta",
        "output_index": at,
        "item_id": "x",
        "delta": delta,
        **place,
    }


def completed(*output: Any, **over: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": answer(*output, **over)}


def read(*told: dict[str, Any]) -> list[Event]:
    reader = read_stream()
    events = reader.feed(stream(*told)) + reader.finish()
    return InOrder().check(events)


def test_a_whole_answer_is_read() -> None:
    reply = read_reply(answer(REASONING, MESSAGE, SEARCH, CALL, CUSTOM, PICTURE))

    rest = {name: value for name, value in PICTURE.items() if name != "result"}
    assert reply == ChatReply(
        "resp_1",
        "gpt-6-sol-2026",
        (
            Thinking("One\n\nTwo", Opaque(NAME, REASONING)),
            Text("Hello", Opaque(NAME, {"phase": "final_answer"})),
            Refusal("But no"),
            Opaque(NAME, SEARCH),
            ToolCall("call_1", "wx", '{"city":"Oslo"}'),
            ToolCall("call_2", "g", "go", custom=True),
            Image(Inline("image/webp", "iVBORw0KGgo="), opaque=Opaque(NAME, rest)),
        ),
        Usage(9, 5, 4, 2, 3),
        "tool_calls",
        citations=(Citation("https://x.test", "X"),),
    )


def test_a_whole_answer_survives_reading_and_writing() -> None:
    """Ids of messages and calls are ours, a thought keeps the one it is sealed under."""
    message = MESSAGE | {
        "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}]
    }
    namespaced = CALL | {"namespace": "mcp"}
    output = [REASONING, message, SEARCH, namespaced, CUSTOM, PICTURE]

    written = write_reply(read_reply(answer(*output)), Telling("abc", "m", 7))

    assert written["output"] == [
        REASONING,
        message | {"id": "msg_abc_1"},
        SEARCH,
        namespaced | {"id": "fc_abc_3"},
        CUSTOM | {"id": "ctc_abc_4"},
        PICTURE,
    ]
    assert (written["id"], written["created_at"], written["usage"]) == ("resp_abc", 7, USAGE)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (answer(MESSAGE), "stop"),
        (answer(MESSAGE, CALL), "tool_calls"),
        (answer(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (answer(status="incomplete", incomplete_details={"reason": "max_tokens"}), "length"),
        (answer(status="incomplete", incomplete_details={"reason": "content_filter"}), "refused"),
        (answer(status="incomplete", incomplete_details=None), "length"),
    ],
)
def test_the_end_of_an_answer_has_a_reason(body: dict[str, Any], reason: str) -> None:
    assert read_reply(body).reason == reason


def test_a_call_that_was_cut_is_left_out_of_a_whole_answer() -> None:
    cut = CALL | {"arguments": '{"ci', "status": "incomplete"}
    details = {"reason": "max_output_tokens"}

    assert read_reply(answer(cut, status="incomplete", incomplete_details=details)).parts == ()


def test_an_answer_without_output_is_read_as_it_is() -> None:
    assert read_reply(answer(usage=None)) == ChatReply("resp_1", "gpt-6-sol-2026", (), None, "stop")


@pytest.mark.parametrize(
    ("code", "message", "error"),
    [
        ("rate_limit_exceeded", "Please try again in 1.5s.", Throttled),
        ("insufficient_quota", "No money", Throttled),
        ("context_length_exceeded", "Too long", ContextTooLong),
        ("invalid_prompt", "Bad", RequestRefused),
        ("invalid_image_format", "Bad", RequestRefused),
        ("server_error", "Oops", UpstreamError),
        ("brand_new", "Oops", UpstreamError),
        (None, None, UpstreamError),
    ],
)
def test_a_failed_answer_is_an_error(code: Any, message: Any, error: type[GatewayError]) -> None:
    """codex.md 6.3."""
    with pytest.raises(error) as caught:
        read_reply(answer(status="failed", error={"code": code, "message": message}))
    assert type(caught.value) is error
    assert caught.value.retry_after == (1.5 if "try again" in (message or "") else None)


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", 5])
def test_an_unfinished_answer_makes_no_sense(status: Any) -> None:
    with pytest.raises(BadReply):
        read_reply(answer(status=status))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (USAGE, Usage(9, 5, 4, 2, 3)),
        ({"input_tokens": 9, "output_tokens": 5}, Usage(9, 5)),
        ({"input_tokens": 9, "output_tokens": 5, "input_tokens_details": None}, Usage(9, 5)),
        (None, None),
        ("many", None),
        ({"input_tokens": -1, "output_tokens": 5}, None),
        ({"input_tokens": 10**18, "output_tokens": 5}, None),
        ({"input_tokens": "9", "output_tokens": 5}, None),
        ({"input_tokens": 9}, None),
    ],
)
def test_absurd_usage_is_ignored(usage: Any, expected: Usage | None) -> None:
    """R-016."""
    assert find_usage({"usage": usage}) == expected


# ---------------------------------------------------------------- streams as they were seen


def test_a_thought_and_a_call_in_recorded_order() -> None:
    """The blob that comes with the announcement is preliminary; the one at the end counts."""
    early = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "early"}
    empty_call = CALL | {"arguments": "", "status": "in_progress"}

    events = read(
        {"type": "response.in_progress", "response": answer()},
        added(0, early),
        {"type": "response.reasoning_summary_part.added", "output_index": 0, "summary_index": 0},
        more("reasoning_summary_text", 0, "O", summary_index=0),
        more("reasoning_summary_text", 0, "ne", summary_index=0),
        more("reasoning_summary_text", 0, "Two", summary_index=1),
        done(0, REASONING),
        added(1, empty_call),
        more("function_call_arguments", 1, '{"city":'),
        more("function_call_arguments", 1, '"Oslo"}'),
        done(1, CALL),
        completed(REASONING, CALL),
    )

    assert events == [
        Started("resp_1", "gpt-6-sol-2026"),
        Opened(0, "thinking"),
        Delta(0, "O"),
        Delta(0, "ne"),
        Delta(0, "\n\nTwo"),
        Sealed(0, Opaque(NAME, REASONING)),
        Closed(0),
        Opened(1, "tool_call", "call_1", "wx"),
        Delta(1, '{"city":'),
        Delta(1, '"Oslo"}'),
        Closed(1),
        Usage(9, 5, 4, 2, 3),
        Finished("tool_calls"),
    ]
    assert fold(events) == read_reply(answer(REASONING, CALL))


def test_two_calls_side_by_side_are_told_apart() -> None:
    one, two = CALL | {"arguments": ""}, CUSTOM | {"input": ""}

    events = read(
        added(0, one),
        added(1, two),
        more("custom_tool_call_input", 1, "g"),
        more("function_call_arguments", 0, '{"city":"Oslo"}'),
        more("custom_tool_call_input", 1, "o"),
        done(0, CALL),
        done(1, CUSTOM),
        completed(CALL, CUSTOM),
    )

    assert fold(events).parts == read_reply(answer(CALL, CUSTOM)).parts


@pytest.mark.parametrize(
    "told",
    [
        [done(i, item) for i, item in enumerate([REASONING, MESSAGE, CALL])],
        [
            done(0, REASONING),
            done(1, MESSAGE),
            added(2, CALL | {"arguments": ""}),
            done(2, CALL),
        ],
        [],
    ],
    ids=["only done", "arguments only when done", "only the last event"],
)
def test_what_deltas_left_out_is_taken_from_what_repeats_it(told: list[dict[str, Any]]) -> None:
    """Vector 4 of codex.md 11."""
    output = [REASONING, MESSAGE, CALL]

    assert fold(read(*told, completed(*output))) == read_reply(answer(*output))


def test_collected_items_win_over_an_empty_last_event() -> None:
    events = read(done(0, MESSAGE), completed())

    assert fold(events).parts == read_reply(answer(MESSAGE)).parts


def test_a_commentary_is_a_paragraph_of_its_own() -> None:
    """Vector 5: callers who know no phases see the texts joined."""
    commentary = MESSAGE | {
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "Wait."}],
    }
    final = MESSAGE | {"content": [{"type": "output_text", "text": "Done."}]}

    events = read(
        added(0, commentary | {"content": []}),
        more("output_text", 0, "Wait.", content_index=0),
        done(0, commentary),
        added(1, final | {"content": []}),
        more("output_text", 1, "Do", content_index=0),
        more("output_text", 1, "ne.", content_index=0),
        done(1, final),
        completed(commentary, final),
    )

    assert [event.text for event in events if isinstance(event, Delta)] == [
        "Wait.",
        "\n\nDo",
        "ne.",
    ]
    assert fold(events) == read_reply(answer(commentary, final))
    assert fold(events).parts == (
        Text("Wait.", Opaque(NAME, {"phase": "commentary"})),
        Text("\n\nDone.", Opaque(NAME, {"phase": "final_answer"})),
    )


def test_a_phase_that_comes_late_is_kept() -> None:
    bare = {name: value for name, value in MESSAGE.items() if name != "phase"}
    events = read(
        added(0, bare | {"content": []}),
        more("output_text", 0, "Hello", content_index=0),
        done(0, MESSAGE),
        completed(),
    )

    assert fold(events).parts[0] == Text("Hello", Opaque(NAME, {"phase": "final_answer"}))


def test_a_refusal_and_a_source_are_read_while_they_come() -> None:
    note = {"type": "url_citation", "url": "https://x.test", "title": "X"}
    place = {"output_index": 0, "content_index": 0}
    events = read(
        added(0, MESSAGE | {"content": []}),
        more("output_text", 0, "Hello", content_index=0),
        {"type": "response.output_text.annotation.added", **place, "annotation": note},
        more("refusal", 0, "But no", content_index=1),
        done(0, MESSAGE),
        completed(MESSAGE),
    )

    assert [event for event in events if isinstance(event, Cited)] == [
        Cited(0, "https://x.test", "X")
    ]
    assert fold(events) == read_reply(answer(MESSAGE))


def test_thoughts_of_open_models_and_empty_thoughts() -> None:
    empty = {"type": "reasoning", "id": "rs_0", "summary": []}
    bare = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
    }
    events = read(
        added(0, empty),
        done(0, empty),
        added(1, empty),
        more("reasoning_text", 1, "Hm", content_index=0),
        done(1, bare),
        completed(empty, bare),
    )

    assert fold(events).parts == (Thinking("Hm"),) == read_reply(answer(empty, bare)).parts


def test_a_cut_in_the_middle_of_arguments() -> None:
    """Vector 6."""
    details = {"reason": "max_output_tokens"}
    events = read(
        added(0, CALL | {"arguments": ""}),
        more("function_call_arguments", 0, '{"ci'),
        {
            "type": "response.incomplete",
            "response": answer(status="incomplete", incomplete_details=details),
        },
    )

    assert events[-3:] == [Closed(0), Usage(9, 5, 4, 2, 3), Finished("length")]


@pytest.mark.parametrize(
    ("told", "trouble"),
    [
        (
            {"type": "error", "code": "server_error", "message": "m", "param": None},
            Trouble("m", 500, "server_error"),
        ),
        (
            {
                "type": "error",
                "error": {"type": "t", "code": "insufficient_quota", "message": "m", "param": "p"},
            },
            Trouble("m", 429, "insufficient_quota", "t", "p"),
        ),
        (
            {
                "type": "response.failed",
                "response": {"error": {"code": "slow_down", "message": "m"}},
            },
            Trouble("m", 503, "slow_down"),
        ),
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "Please try again in 20ms"},
            Trouble("Please try again in 20ms", 429, "rate_limit_exceeded", retry_after=0.02),
        ),
        ({"type": "error", "error": "overloaded"}, Trouble("overloaded")),
        ({"type": "response.failed", "response": None}, Trouble("")),
    ],
)
def test_an_error_inside_a_stream_ends_it(told: dict[str, Any], trouble: Trouble) -> None:
    """Vector 7, both shapes; what follows is not told again."""
    reader = read_stream()

    events = reader.feed(stream(told, {"type": "response.failed", "response": {"error": {}}}))

    assert (events[1:], reader.done) == ([Failed(trouble)], True)
    assert reader.finish() == []


def test_an_error_in_the_shape_of_chat_is_understood() -> None:
    reader = read_stream()

    assert reader.feed(b'data: {"error":{"message":"m"}}\n\n') == [Failed(Trouble("m"))]


def test_a_lost_connection_is_a_broken_transfer() -> None:
    """Vector 8; R-001."""
    reader = read_stream()
    reader.feed(
        stream(added(0, MESSAGE | {"content": []}), more("output_text", 0, "Hi", content_index=0))
    )
    with pytest.raises(BrokenTransfer):
        reader.finish()


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        b'data: {"type":[]}\n\n',
        b'data: {"type":"response.output_text.delta"}\n\n',
        b'data: {"type":"response.refusal.delta","output_index":0,"content_index":0,"delta":5}\n\n',
        b'data: {"type":"response.function_call_arguments.delta","output_index":0,"delta":"x"}\n\n',
        b'data: {"type":"response.completed"}\n\n',
        b'data: {"type":"response.output_item.done","output_index":0}\n\n',
        b'data: {"type":"response.output_item.added","output_index":[],'
        b'"item":{"type":"function_call","call_id":"c","name":"f"}}\n\n',
    ],
)
def test_a_garbled_event_is_a_bad_reply(data: bytes) -> None:
    """R-011."""
    with pytest.raises(BadReply):
        read_stream().feed(data)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (
            {"error": {"message": "m", "type": "t", "param": "max_output_tokens", "code": "c"}},
            Trouble("m", 400, "c", "t", "max_completion_tokens"),
        ),
        (
            {"error": {"message": "m", "param": "input[2].content"}},
            Trouble("m", 400, param="messages[2].content"),
        ),
        ({"error": {"message": "m", "param": "tools[0]"}}, Trouble("m", 400, param="tools[0]")),
        ({"error": "words"}, Trouble("words", 400)),
        ([{"error": {"message": "m"}}], Trouble("m", 400)),
        ({"message": "m"}, Trouble("m", 400)),
        (None, Trouble("", 400)),
        (5, Trouble("", 400)),
    ],
)
def test_an_error_is_read_in_any_shape(body: Any, trouble: Trouble) -> None:
    """Fields are named as callers of other dialects know them."""
    assert read_error(400, body) == trouble


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (429, "rate_limit_error"),
        (500, "server_error"),
    ],
)
def test_an_error_is_written_in_the_vendors_envelope(status: int, kind: str) -> None:
    """K-084."""
    assert write_error(Trouble("m", status, "c", param="p")) == {
        "error": {"message": "m", "type": kind, "param": "p", "code": "c"}
    }
