"""Blocks: inferred, put in turn, kept in order; stop sequences cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.blocks import Blocks, InOrder, InTurn
from app.canonical.cut import Cut
from app.canonical.events import (
    Closed,
    Delta,
    Event,
    Finished,
    Opened,
    Started,
    Usage,
)
from app.canonical.parts import Opaque, carry, uncarry
from app.canonical.reply import fold
from app.errors import BadReply

STARTED, DONE = Started("a", "m"), Finished("stop")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


@st.composite
def stories(draw) -> list[Event]:
    """Events in a legal order, calls side by side."""
    events: list[Event] = [STARTED]
    index = 0
    for kind in draw(st.lists(st.sampled_from(["text", "thinking", "calls"]), max_size=4)):
        if kind != "calls":
            pieces = draw(st.lists(st.text(max_size=3), max_size=3))
            events += [
                Opened(index, kind),
                *(Delta(index, piece) for piece in pieces),
                Closed(index),
            ]
            index += 1
            continue
        count = draw(st.integers(1, 3))
        events += [Opened(index + i, "tool_call", f"c{index + i}", "f") for i in range(count)]
        for i in draw(st.lists(st.integers(0, count - 1), max_size=6)):
            events.append(Delta(index + i, "1"))
        events += [Closed(index + i) for i in draw(st.permutations(range(count)))]
        index += count
    return [*events, Usage(1, 2), DONE]


@settings(max_examples=300, deadline=None)
@given(stories(), st.integers(1, 9))
def test_in_turn_no_two_blocks_overlap_and_nothing_is_lost(events, size):
    turn, order, put = InTurn(), InOrder(), []
    for start in range(0, len(events), size):
        put += turn.put(order.check(events[start : start + size]))

    open_now: list[int] = []
    for event in put:
        if isinstance(event, Opened):
            assert not open_now
            open_now.append(event.index)
        elif isinstance(event, Closed):
            open_now.remove(event.index)
    assert sorted(map(repr, put)) == sorted(map(repr, events))
    assert {p.index: p for p in put if isinstance(p, Opened)} == {
        e.index: e for e in events if isinstance(e, Opened)
    }
    assert fold(put) == fold(events)


@pytest.mark.parametrize(
    "events",
    [
        [Delta(0, "x")],
        [Opened(0, "text")],
        [STARTED, STARTED],
        [STARTED, Delta(0, "x")],
        [STARTED, Opened(0, "text"), Opened(1, "text")],
        [STARTED, Opened(0, "thinking"), Opened(1, "tool_call")],
        [STARTED, Opened(0, "text"), Closed(0), Delta(0, "x")],
        [STARTED, Opened(0, "text"), Closed(0), Opened(0, "text")],
        [STARTED, Opened(0, "text"), DONE],
        [STARTED, DONE, DONE],
        [STARTED, DONE, Opened(0, "text")],
        [STARTED, Closed(3)],
    ],
    ids=str,
)
def test_nonsense_is_refused(events):
    with pytest.raises(BadReply):
        InOrder().check(events)


def test_a_flat_stream_gets_its_blocks():
    blocks = Blocks()
    events = blocks.append("t", "thinking", "hm")
    events += blocks.append("a", "text", "so ") + blocks.append("a", "text", "it is")
    events += blocks.append(0, "tool_call", "{", "c0", "f") + blocks.append(
        1, "tool_call", "", "c1", "g"
    )
    events += blocks.append(0, "tool_call", "}") + blocks.close_all()

    InOrder().check([STARTED, *events, DONE])
    assert events == [
        Opened(0, "thinking"),
        Delta(0, "hm"),
        Closed(0),
        Opened(1, "text"),
        Delta(1, "so "),
        Delta(1, "it is"),
        Closed(1),
        Opened(2, "tool_call", "c0", "f"),
        Delta(2, "{"),
        Opened(3, "tool_call", "c1", "g"),
        Delta(2, "}"),
        Closed(2),
        Closed(3),
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.text("abc.", max_size=30),
    st.lists(st.text("abc.", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.integers(0, 30), max_size=6),
)
def test_text_is_cut_before_the_first_stop_sequence_wherever_it_is_split(text, stops, places):
    """C-074."""
    cuts = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    pieces = [text[a:b] for a, b in zip(cuts, cuts[1:], strict=False) if text[a:b]]
    cut = Cut(tuple(stops))
    events = [STARTED, Opened(0, "text"), *(Delta(0, piece) for piece in pieces), Closed(0), DONE]

    passed = [one for event in events for one in cut.pass_on([event])]

    ends = [(place, stop) for stop in stops if (place := text.find(stop)) >= 0]
    said = "".join(event.text for event in passed if isinstance(event, Delta))
    InOrder().check(passed)
    if not ends:
        assert said == text and passed[-1] == DONE
    else:
        assert cut.hit and passed[-1].reason == "stop_sequence"
        assert not any(stop in said for stop in stops) and text.startswith(said)


@given(st.sampled_from(["a_dialect", ""]), JSON)
def test_an_envelope_gives_back_what_went_in(dialect, value):
    assert uncarry(carry(Opaque(dialect, value))) == Opaque(dialect, value)


@given(st.text())
def test_anything_else_is_no_envelope(text):
    assert uncarry(text) is None and uncarry("tokens1." + text) in (
        None,
        uncarry("tokens1." + text),
    )
