"""A whole answer and its stream tell the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.blocks import Blocks, InOrder
from app.canonical.events import Cited, Closed, Delta, Failed, Opened, Sealed, Trouble, Usage
from app.canonical.parts import (
    Image,
    Inline,
    Link,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.canonical.reply import ChatReply, Citation, fold, unfold

WORDS, SEAL = st.text(max_size=4), st.none() | st.builds(Opaque, st.just("d"), st.integers())
PARTS = st.one_of(
    st.builds(Text, WORDS, SEAL),
    st.builds(Thinking, WORDS, SEAL),
    st.builds(Refusal, WORDS),
    st.builds(ToolCall, st.just("c"), st.just("f"), WORDS, st.booleans(), SEAL),
    st.builds(Image, st.builds(Inline, st.just("image/png"), WORDS), st.just(""), SEAL),
    st.builds(Opaque, st.just("d"), st.integers()),
)
REASONS = st.sampled_from(["stop", "stop_sequence", "length", "tool_calls", "refused"])


@given(
    st.lists(PARTS, max_size=5),
    st.none() | st.builds(Usage, st.integers(0, 9), st.integers(0, 9)),
    REASONS,
    st.lists(st.builds(Citation, WORDS, WORDS), unique=True, max_size=2),
)
def test_an_answer_unfolded_and_folded_is_the_same(parts, usage, reason, citations):
    has_text = any(isinstance(part, Text) for part in parts)
    reply = ChatReply(
        "a", "m", tuple(parts), usage, reason, None, tuple(citations) if has_text else ()
    )

    events = InOrder().check(unfold(reply))
    assert fold(events) == reply


def test_a_source_named_twice_is_one_source():
    reply = ChatReply("a", "m", (Text("x"),), None, "stop")
    events = unfold(reply)
    events[2:2] = [Cited(0, "u", "t"), Cited(0, "u", "t"), Cited(0, "v")]

    assert fold(events).citations == (Citation("u", "t"), Citation("v"))


def test_an_error_is_no_part_of_an_answer():
    events = [*unfold(ChatReply("a", "m", (), None, "stop")), Failed(Trouble("no"))]

    assert fold(events) == ChatReply("a", "m", (), None, "stop")


@pytest.mark.parametrize("part", [ToolResult("c", ()), Image(Link("https://x"))])
def test_what_only_a_caller_can_say_is_no_part_of_an_answer(part):
    with pytest.raises(ValueError, match="cannot hold"):
        unfold(ChatReply("a", "m", (part,), None, "stop"))


def test_a_block_is_sealed_and_closed_only_while_it_is_open():
    blocks, seal = Blocks(), Opaque("d", 1)

    assert blocks.seal("t", seal) == blocks.close("t") == blocks.close_all() == []
    assert blocks.append("t", "thinking", "") == [Opened(0, "thinking")]
    assert blocks.append("t", "thinking", "") == [] and blocks.index("t") == 0
    assert blocks.seal("t", seal) == [Sealed(0, seal)]
    assert blocks.close("t") == [Closed(0)] and blocks.index("t") is None
    assert blocks.append("t", "thinking", "x") == [Opened(1, "thinking"), Delta(1, "x")]
