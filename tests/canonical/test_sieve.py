"""What a caller does not want is left out of a stream, and the rest stays whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.canonical.blocks import InOrder
from app.canonical.events import Closed, Delta, Event, Finished, Opened, Sealed, Started, Usage
from app.canonical.parts import Opaque
from app.canonical.sieve import Sieve

THOUGHT: list[Event] = [
    Opened(0, "thinking"),
    Delta(0, "hm"),
    Sealed(0, Opaque("d", 1)),
    Closed(0),
]
TEXT: list[Event] = [Opened(1, "text"), Delta(1, "so"), Closed(1)]
FIRST: list[Event] = [Opened(2, "tool_call", "a", "f"), Delta(2, "{}"), Closed(2)]
SECOND: list[Event] = [Opened(3, "custom_call", "b", "g"), Delta(3, "x"), Closed(3)]
STARTED, END = Started("a", "m"), [Usage(1, 2), Finished("tool_calls")]
ALL: list[Event] = [STARTED, *THOUGHT, *TEXT, *FIRST, *SECOND, *END]


def cut_up(events: list[Event], size: int) -> Iterator[list[Event]]:
    for place in range(0, len(events), size):
        yield events[place : place + size]


@pytest.mark.parametrize("size", [1, 2, 3, 99])
@pytest.mark.parametrize(
    "thoughts, one_call, left",
    [
        (True, False, ALL),
        (False, False, [STARTED, *TEXT, *FIRST, *SECOND, *END]),
        (True, True, [STARTED, *THOUGHT, *TEXT, *FIRST, *END]),
        (False, True, [STARTED, *TEXT, *FIRST, *END]),
    ],
)
def test_whole_blocks_are_left_out(
    thoughts: bool, one_call: bool, left: list[Event], size: int
) -> None:
    """C-075, C-127."""
    sieve = Sieve(thoughts=thoughts, one_call=one_call)

    passed = [event for piece in cut_up(ALL, size) for event in sieve.pass_on(piece)]

    assert InOrder().check(passed) == left


def test_of_calls_told_side_by_side_the_first_is_left() -> None:
    events = [FIRST[0], SECOND[0], FIRST[1], SECOND[1], SECOND[2], FIRST[2]]

    assert Sieve(thoughts=True, one_call=True).pass_on(events) == FIRST
