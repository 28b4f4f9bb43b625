"""Blocks: inferring where they begin and end, putting them in turn, and refusing nonsense.

`Blocks` serves readers of flat dialects, which never say that a block begins. `InTurn` serves
writers of dialects in which blocks strictly follow each other. `InOrder` stands between the two,
always on.
"""

from __future__ import annotations

from collections.abc import Hashable

from app.canonical.events import (
    Cited,
    Closed,
    Delta,
    Event,
    Failed,
    Finished,
    Kind,
    Opened,
    Sealed,
    Started,
    Usage,
)
from app.canonical.parts import Opaque
from app.errors import BadReply

CALLS: frozenset[Kind] = frozenset({"tool_call", "custom_call"})


class Blocks:
    """Opens and closes blocks for an upstream that only says "more of this".

    `key` is whatever the upstream calls the thing. Text, thought and refusal close when something
    else begins; calls stay open side by side until the end, or until text begins again.
    """

    __slots__ = ("_open", "_next", "_solo")

    def __init__(self) -> None:
        self._open: dict[Hashable, int] = {}
        self._next = 0
        self._solo: Hashable = None  # the open block that tolerates no other

    def append(
        self,
        key: Hashable,
        kind: Kind,
        text: str,
        call_id: str = "",
        name: str = "",
        opaque: Opaque | None = None,
    ) -> list[Event]:
        """The events that add `text` to the block called `key`, opening it first where needed."""
        index = self._open.get(key)
        if index is not None:
            return [Delta(index, text)] if text else []
        events = self._make_room(kind)
        index, self._next = self._next, self._next + 1
        self._open[key] = index
        if kind not in CALLS:
            self._solo = key
        events.append(Opened(index, kind, call_id, name, opaque))
        if text:
            events.append(Delta(index, text))
        return events

    def seal(self, key: Hashable, opaque: Opaque) -> list[Event]:
        """Seals the open block called `key`; nothing if it is not open."""
        index = self._open.get(key)
        return [] if index is None else [Sealed(index, opaque)]

    def index(self, key: Hashable) -> int | None:
        """The index of the open block called `key`."""
        return self._open.get(key)

    def close(self, key: Hashable) -> list[Event]:
        """Closes one block; nothing if it is not open."""
        index = self._open.pop(key, None)
        if self._solo == key:
            self._solo = None
        return [] if index is None else [Closed(index)]

    def close_all(self) -> list[Event]:
        """Closes whatever is open, in the order it was opened."""
        events: list[Event] = [Closed(index) for index in self._open.values()]
        self._open.clear()
        self._solo = None
        return events

    def _make_room(self, kind: Kind) -> list[Event]:
        if kind not in CALLS:
            return self.close_all()
        return self.close(self._solo) if self._solo is not None else []


class InTurn:
    """Holds back a block until the one before it has closed.

    Only calls ever run side by side, and no client acts on half a call's arguments, so the wait is
    not felt.
    """

    __slots__ = ("_front", "_waiting")

    def __init__(self) -> None:
        self._front: int | None = None
        self._waiting: dict[int, list[Event]] = {}

    def put(self, events: list[Event]) -> list[Event]:
        """The events that may go out now, in an order in which no two blocks overlap."""
        if not self._waiting and self._quiet(events):
            return events
        ready: list[Event] = []
        for event in events:
            self._one(event, ready)
        return ready

    def _quiet(self, events: list[Event]) -> bool:
        """Nothing but more of the block in front: the common case, passed on as it is."""
        front = self._front
        for event in events:
            if type(event) is not Delta or event.index != front:
                return False
        return True

    def _one(self, event: Event, ready: list[Event]) -> None:
        if not isinstance(event, (Opened, Delta, Sealed, Cited, Closed)):
            ready.append(event)
        elif self._front is None:
            self._front = event.index
            ready.append(event)
            self._advance(event, ready)
        elif event.index == self._front:
            ready.append(event)
            self._advance(event, ready)
        else:
            self._waiting.setdefault(event.index, []).append(event)

    def _advance(self, event: Event, ready: list[Event]) -> None:
        while isinstance(event, Closed):
            self._front = None
            if not self._waiting:
                return
            self._front = next(iter(self._waiting))
            held = self._waiting.pop(self._front)
            ready.extend(held)
            event = held[-1]


class InOrder:
    """Refuses an event that has no business where it is: a second start, a delta to a closed block,
    an end too early.
    """

    __slots__ = ("_started", "_finished", "_open", "_seen")

    def __init__(self) -> None:
        self._started = self._finished = False
        self._open: dict[int, Kind] = {}
        self._seen = -1

    def check(self, events: list[Event]) -> list[Event]:
        """The same events, or `BadReply`."""
        open_blocks = self._open
        for event in events:
            if type(event) is Delta:
                if event.index not in open_blocks:
                    raise BadReply("the platform added to a block that is not open")
            else:
                self._check(event)
        return events

    def _check(self, event: Event) -> None:
        if isinstance(event, Failed):
            return
        if isinstance(event, Started):
            if self._started:
                raise BadReply("the platform started its answer twice")
            self._started = True
            return
        if not self._started:
            raise BadReply("the platform spoke before it started")
        if isinstance(event, Usage):
            return
        if self._finished:
            raise BadReply("the platform went on after the end of its answer")
        self._check_block(event)

    def _check_block(self, event: Event) -> None:
        if isinstance(event, Opened):
            self._check_opened(event)
        elif isinstance(event, Finished):
            if self._open:
                raise BadReply("the platform ended its answer inside a block")
            self._finished = True
        elif isinstance(event, (Sealed, Cited, Closed)):
            if event.index not in self._open:
                raise BadReply("the platform spoke of a block that is not open")
            if isinstance(event, Closed):
                del self._open[event.index]

    def _check_opened(self, event: Opened) -> None:
        if event.index <= self._seen:
            raise BadReply("the platform opened a block twice")
        others = self._open.values()
        if others and (event.kind not in CALLS or any(kind not in CALLS for kind in others)):
            raise BadReply("the platform opened a block inside another")
        self._seen = event.index
        self._open[event.index] = event.kind
