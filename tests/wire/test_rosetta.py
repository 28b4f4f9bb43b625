"""Every dialect says the same thing about the same case, and keeps what another will need back.

Each case is told once in our own events. Whoever tells it, however the bytes are cut, whoever
retells it: what was said must come out the same. Nothing here knows more of a dialect than its ten
functions and how its clients echo an answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from app.canonical.blocks import InOrder
from app.canonical.events import (
    Closed,
    Delta,
    Event,
    Finished,
    Opened,
    Started,
    Usage,
)
from app.canonical.model import ModelFacts
from app.canonical.parts import Opaque, Part, Text, Thinking, ToolCall
from app.canonical.reply import ChatReply, fold, unfold
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses
from app.wire.dialect import Telling

DIALECTS: list[Any] = [anthropic_messages, gemini_generate, openai_chat, openai_responses]
TELLING = Telling("0123456789abcdef01234567", "asked-for", 1_795_000_000, usage=True)
USAGE = Usage(90, 14, cached=30, reasoning=4)


def text(index: int, *pieces: str) -> list[Event]:
    return [Opened(index, "text"), *(Delta(index, piece) for piece in pieces), Closed(index)]


CASES: dict[str, list[Event]] = {
    "a word": [Started("a1", "m"), *text(0, "Hello"), USAGE, Finished("stop")],
    "many tongues": [
        Started("a1", "m"),
        *text(0, "你好", "😀 e\u0301", " \u2028\u2029\x85", '"\\\n\t', "data: {}\n\n", "[DONE]"),
        USAGE,
        Finished("stop"),
    ],
    "a thought, then words": [
        Started("a1", "m"),
        Opened(0, "thinking"),
        Delta(0, "Let me "),
        Delta(0, "see."),
        Closed(0),
        *text(1, "Seen."),
        USAGE,
        Finished("stop"),
    ],
    "one call": [
        Started("a1", "m"),
        Opened(0, "tool_call", "call_a", "add"),
        Delta(0, '{"x":'),
        Delta(0, "1}"),
        Closed(0),
        USAGE,
        Finished("tool_calls"),
    ],
    "words and two calls at once": [
        Started("a1", "m"),
        *text(0, "Adding."),
        Opened(1, "tool_call", "call_a", "add"),
        Opened(2, "tool_call", "call_b", "sub"),
        Delta(1, '{"x":'),
        Delta(2, '{"y":'),
        Delta(1, "1}"),
        Delta(2, "2}"),
        Closed(1),
        Closed(2),
        USAGE,
        Finished("tool_calls"),
    ],
    "a call without arguments": [
        Started("a1", "m"),
        Opened(0, "tool_call", "call_a", "now"),
        Closed(0),
        USAGE,
        Finished("tool_calls"),
    ],
    "cut by the limit": [Started("a1", "m"), *text(0, "So it"), USAGE, Finished("length")],
}
by_name = pytest.mark.parametrize("case", CASES)
dialects = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.NAME)
pairs = pytest.mark.parametrize(
    "first, second",
    list(itertools.permutations(DIALECTS, 2)),
    ids=lambda one: one.NAME,
)


def told(dialect: Any, events: list[Event]) -> bytes:
    """The stream as a caller of this dialect receives it."""
    writer = dialect.write_stream(TELLING)
    return writer.open() + b"".join(writer.write([event]) for event in events)


def heard(dialect: Any, wire: bytes, size: int) -> list[Event]:
    """The events in a stream that arrives in pieces of `size`."""
    reader, order = dialect.read_stream(), InOrder()
    events: list[Event] = []
    for start in range(0, len(wire), size):
        events += order.check(reader.feed(wire[start : start + size]))
    if not reader.done:
        events += order.check(reader.finish())
    return events


def gist(events: list[Event]) -> tuple[Any, ...]:
    """What was said, without names that each dialect gives anew, and without seals."""
    reply = fold(events)
    return tuple(_gist(part) for part in reply.parts), reply.reason, reply.usage


def _gist(part: Part) -> Any:
    match part:
        case ToolCall(call_id, name, arguments):
            return "call", call_id, name, orjson.loads(arguments or "{}")
        case Text(words) | Thinking(words):
            return type(part).__name__, words
        case _:
            return part


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1 << 20])
@dialects
@by_name
def test_a_stream_survives_the_wire_however_it_is_cut(case, dialect, size):
    """R-004, R-006, R-023."""
    events = CASES[case]

    assert gist(heard(dialect, told(dialect, events), size)) == gist(events)


@dialects
@by_name
def test_every_cut_in_two_gives_the_same_events(case, dialect):
    events = CASES[case]
    wire = told(dialect, events)
    whole = heard(dialect, wire, len(wire))

    for place in range(len(wire)):
        reader = dialect.read_stream()
        parts = reader.feed(wire[:place]) + reader.feed(wire[place:])
        parts += [] if reader.done else reader.finish()
        assert fold(parts) == fold(whole), place


@pairs
@by_name
def test_a_story_retold_in_another_dialect_is_the_same(case, first, second):
    events = CASES[case]
    retold = told(second, heard(first, told(first, events), 5))

    assert gist(heard(second, retold, 11)) == gist(events)


@dialects
@by_name
def test_a_whole_answer_says_the_same_as_its_stream(case, dialect):
    events = CASES[case]
    body = orjson.loads(orjson.dumps(dialect.write_reply(fold(events), TELLING)))

    assert gist(unfold(dialect.read_reply(body))) == gist(events)


@dialects
@by_name
def test_a_stream_without_its_end_is_never_whole(case, dialect):
    """R-001: cut after any event but the last, the reader says that something is missing."""
    from app.errors import BrokenTransfer

    events = [event for event in CASES[case] if not isinstance(event, Finished)]
    reader = dialect.read_stream()
    reader.feed(told(dialect, events))

    assert not reader.done
    with pytest.raises(BrokenTransfer):
        reader.finish()


# ---------------------------------------------------------------- what must come back


SEALED: dict[str, tuple[Part, ...]] = {
    "anthropic_messages": (
        Thinking("Let me see.", Opaque("anthropic_messages", {"signature": "c2VhbGVk"})),
        ToolCall("toolu_a", "add", '{"x":1}'),
    ),
    "gemini_generate": (
        ToolCall(
            "call_a",
            "add",
            '{"x":1}',
            opaque=Opaque("gemini_generate", {"thoughtSignature": "c2VhbGVk"}),
        ),
    ),
    "openai_responses": (
        Thinking(
            "Let me see.",
            Opaque(
                "openai_responses",
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "Let me see."}],
                    "encrypted_content": "c2VhbGVk",
                },
            ),
        ),
        ToolCall("call_a", "add", '{"x":1}'),
    ),
}


def echo_chat(answer: dict[str, Any]) -> dict[str, Any]:
    message = answer["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "2"}
        for call in message["tool_calls"]
    ]
    return {"messages": [{"role": "user", "content": "add"}, message, *results]}


def echo_messages(answer: dict[str, Any]) -> dict[str, Any]:
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "2"}
        for block in answer["content"]
        if block["type"] == "tool_use"
    ]
    said = {"role": "assistant", "content": answer["content"]}
    return {
        "messages": [{"role": "user", "content": "add"}, said, {"role": "user", "content": results}]
    }


def echo_responses(answer: dict[str, Any]) -> dict[str, Any]:
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "2"}
        for item in answer["output"]
        if item["type"] == "function_call"
    ]
    return {"input": [{"role": "user", "content": "add"}, *answer["output"], *results]}


def echo_gemini(answer: dict[str, Any]) -> dict[str, Any]:
    said = answer["candidates"][0]["content"]
    results = [
        {"functionResponse": {"name": part["functionCall"]["name"], "response": {"output": "2"}}}
        for part in said["parts"]
        if "functionCall" in part
    ]
    user = {"role": "user", "parts": [{"text": "add"}]}
    return {"contents": [user, said, {"role": "user", "parts": results}], "stream": False}


ECHOES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "anthropic_messages": echo_messages,
    "gemini_generate": echo_gemini,
    "openai_chat": echo_chat,
    "openai_responses": echo_responses,
}


@pytest.mark.parametrize(
    "upstream", [one for one in DIALECTS if one.NAME in SEALED], ids=lambda one: one.NAME
)
@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda one: one.NAME)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_seal_comes_back_to_the_platform_that_set_it(spoken, upstream, streamed):
    """A caller of any dialect who echoes what it was given gives the platform its own seal back."""
    reply = ChatReply("a1", "m", SEALED[upstream.NAME], USAGE, "tool_calls")
    if streamed:
        reader = spoken.read_stream()
        wire = told(spoken, unfold(reply))
        events = reader.feed(wire) + ([] if reader.done else reader.finish())
        answer = spoken.write_reply(fold(events), TELLING)
    else:
        answer = spoken.write_reply(reply, TELLING)

    echoed = orjson.loads(orjson.dumps(ECHOES[spoken.NAME](answer))) | {"model": "m"}
    body = upstream.write_request(
        spoken.read_request(echoed), ModelFacts(thinks="adaptive", prefill=False)
    )

    assert b"c2VhbGVk" in orjson.dumps(body)
    assert b"tokens1." not in orjson.dumps(body)
