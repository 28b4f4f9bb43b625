"""A stream on its way from a platform to a caller, on each of the three roads.

A flow is fed what arrives and gives what the caller gets. It knows whether the answer is complete,
whether anything has been said yet, and what went wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from app.canonical.blocks import InOrder
from app.canonical.cut import Cut
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
from app.canonical.sieve import Sieve
from app.errors import BrokenTransfer, EmptyReply
from app.services.meter import estimated, so_far
from app.wire import openai_chat
from app.wire.dialect import Dialect, ElementTap, StreamWriter, Tap, Telling
from app.wire.openai_chat_patch import ChatPatch
from app.wire.sse import WholeEvents

FRAME_BYTES = 60  # of a chat stream for each character of text: most of it is envelope


class Flow(Protocol):
    """One stream on its way to the caller. `spoke` = content has gone by, so no other attempt may
    follow.
    """

    @property
    def done(self) -> bool: ...

    @property
    def spoke(self) -> bool: ...

    @property
    def is_ill(self) -> bool:
        """An error has gone by in the platform's own words, so the caller knows already."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def spent(self) -> Usage | None:
        """What it has cost, whether it has come to its end or not; None where nothing has gone by."""

    @property
    def trouble(self) -> Trouble | None: ...

    def restart(self) -> None:
        """A new attempt begins; nothing of the last one counts."""

    def open(self) -> bytes: ...

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...

    def rest(self) -> bytes:
        """What has come of an event that is not whole; nobody is told of it but who wants the bytes as they
        are (C-048).
        """

    def beat(self) -> bytes:
        """A sign of life; nothing where none can go between what was sent and what will be."""

    def fail(self, trouble: Trouble) -> bytes:
        """The error event that takes the place of the rest."""


class RawFlow:
    def __init__(
        self,
        make_tap: Callable[[], Tap],
        writer: StreamWriter,
        request_bytes: int,
        *,
        array: bool,
        verbatim: bool,
    ) -> None:
        self._request_bytes = request_bytes
        self._passed = 0
        self._verbatim = verbatim  # an error that comes first passes too (C-044)
        self._make_tap = make_tap
        self._tap = make_tap()
        self._writer = writer
        self._array = array
        self._events = WholeEvents()
        self._sent = False

    @property
    def done(self) -> bool:
        return self._tap.done

    @property
    def spoke(self) -> bool:
        return self._sent

    @property
    def is_ill(self) -> bool:
        return self._sent and self._tap.trouble is not None

    @property
    def usage(self) -> Usage | None:
        return self._tap.usage

    @property
    def spent(self) -> Usage | None:
        if not self._sent:
            return None
        known, said = self._tap.usage, self._passed // FRAME_BYTES
        if known is not None and self._tap.done and not self.is_ill:
            return known
        return so_far(known, self._request_bytes, said)

    @property
    def trouble(self) -> Trouble | None:
        return None if self._sent else self._tap.trouble

    def restart(self) -> None:
        self._tap = self._make_tap()
        self._events = WholeEvents()
        self._passed = 0

    def open(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> bytes:
        self._tap.feed(data)
        if self._tap.trouble is not None and not (self._sent or self._verbatim):
            return b""  # ours to tell, and only if no other attempt follows
        self._passed += len(data)
        out = data if self._array else self._events.feed(data)
        if out:
            self._sent = True
        return out

    def finish(self) -> bytes:
        if not self._tap.done:
            raise BrokenTransfer("the platform's answer ended before it was complete")
        return self.rest()

    def rest(self) -> bytes:
        return self._events.take()

    def beat(self) -> bytes:
        return b"" if self._array else self._writer.beat()

    def fail(self, trouble: Trouble) -> bytes:
        return self._writer.fail(trouble)


class ArrayFlow(RawFlow):
    """A JSON array, passed on an element at a time: so it can be brought to an end wherever it
    stops.
    """

    _tap: ElementTap

    def __init__(
        self, make_tap: Callable[[], ElementTap], writer: StreamWriter, request_bytes: int
    ) -> None:
        super().__init__(make_tap, writer, request_bytes, array=True, verbatim=False)
        self._held = bytearray()
        self._last = b""  # of what was sent, white space aside

    def restart(self) -> None:
        super().restart()
        self._held.clear()

    def feed(self, data: bytes) -> bytes:
        self._tap.feed(data)
        if self._tap.trouble is not None and not self._sent:
            return b""
        self._passed += len(data)
        self._held += data
        whole = len(self._held) - self._tap.unfinished
        out = bytes(self._held[:whole])
        words = out.strip()
        if not self._sent and words in (b"", b"["):
            return b""  # no element yet: another attempt may still follow
        del self._held[:whole]
        self._sent = True
        self._last = words[-1:] or self._last
        return out

    def beat(self) -> bytes:
        return self._writer.beat()

    def fail(self, trouble: Trouble) -> bytes:
        told = self._writer.fail(trouble)
        if not self._sent:
            return told
        if self._last == b"]":
            return b""
        return (b"" if self._last in b",[" else b",\n") + told[1:]


class PatchedFlow:
    is_ill = False

    def __init__(self, telling: Telling, request_bytes: int) -> None:
        self._telling = telling
        self._request_bytes = request_bytes
        self._patch = ChatPatch(telling)
        self._opened = False
        self._passed = 0

    @property
    def done(self) -> bool:
        return self._patch.done

    @property
    def spoke(self) -> bool:
        return self._patch.spoke

    @property
    def usage(self) -> Usage | None:
        """What the platform counted; an estimate where it has ended without counting (C-092)."""
        if self._patch.usage is None and self._patch.done:
            return estimated(self._request_bytes, self._passed // FRAME_BYTES)
        return self._patch.usage

    @property
    def spent(self) -> Usage | None:
        if self._patch.done and not self._patch.trouble:
            return self.usage
        if not self._patch.spoke:
            return None
        return so_far(self._patch.usage, self._request_bytes, self._passed // FRAME_BYTES)

    @property
    def trouble(self) -> Trouble | None:
        return self._patch.trouble

    def restart(self) -> None:
        self._patch = ChatPatch(self._telling)
        self._passed = 0

    def open(self) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        return self._patch.open()

    def feed(self, data: bytes) -> bytes:
        self._passed += len(data)
        return self._checked(self._patch.feed(data))

    def finish(self) -> bytes:
        return self._checked(self._patch.finish())

    def rest(self) -> bytes:
        return b""

    def beat(self) -> bytes:
        return openai_chat.KEEP_ALIVE

    def fail(self, trouble: Trouble) -> bytes:
        return openai_chat.write_stream(self._telling).fail(trouble)

    def _checked(self, out: bytes) -> bytes:
        patch = self._patch
        if patch.has_finished and not (patch.spoke or patch.cut_short or patch.trouble):
            # Before the caller hears of an end: what says why it ends is in `out`.
            raise EmptyReply("the platform gave an empty answer")
        if patch.done and patch.usage is None and self.usage is not None and not patch.trouble:
            return patch.with_usage(out, self.usage)
        return out


class TranslatedFlow:
    is_ill = False

    def __init__(
        self,
        upstream: Dialect,
        writer: StreamWriter,
        stops: tuple[str, ...],
        request_bytes: int,
        *,
        sieve: Callable[[], Sieve | None] = lambda: None,
    ) -> None:
        self._make_sieve = sieve
        self._upstream = upstream
        self._writer = writer
        self._stops = stops
        self._request_bytes = request_bytes
        self._started = False
        self.spoke = False
        self.restart()

    def restart(self) -> None:
        self._reader = self._upstream.read_stream()
        self._order = InOrder()
        self._sieve = self._make_sieve()
        self._cut = Cut(self._stops) if self._stops else None
        self._said = 0
        self._held: Opened | None = None
        self.usage: Usage | None = None
        self.trouble: Trouble | None = None

    @property
    def done(self) -> bool:
        return self._reader.done or (self._cut is not None and self._cut.hit)

    @property
    def spent(self) -> Usage | None:
        if self.done:
            return self.usage
        if not self.spoke:
            return None
        return so_far(self.usage, self._request_bytes, self._said)

    def open(self) -> bytes:
        return self._writer.open()

    def feed(self, data: bytes) -> bytes:
        return self._tell(self._reader.feed(data))

    def finish(self) -> bytes:
        return b"" if self.done else self._tell(self._reader.finish())

    def rest(self) -> bytes:
        return b""

    def beat(self) -> bytes:
        return self._writer.beat()

    def fail(self, trouble: Trouble) -> bytes:
        return self._writer.fail(trouble)

    def _tell(self, events: list[Event]) -> bytes:
        self._order.check(events)
        if self._sieve is not None:
            events = self._sieve.pass_on(events)
        if self._cut is not None:
            events = self._cut.pass_on(events)
        told: list[Event] = []
        for event in events:
            if self._held is not None and self._is_void(event, told):
                continue
            if type(event) is Delta:
                self._said += len(event.text)
                told.append(event)
            elif self._look(event, told):
                told.append(event)
        self._started = self._started or bool(told)
        return self._writer.write(told) if told else b""

    def _is_void(self, event: Event, told: list[Event]) -> bool:
        """Whether nothing is in the block that is held back; as soon as something is, the caller is
        told of it.
        """
        held = self._held
        if held is None or not isinstance(event, (Delta, Sealed, Cited, Closed)):
            return False
        if event.index != held.index:
            return False
        if type(event) is Delta and not event.text:
            return True
        self._held = None
        if type(event) is Closed:
            return True
        self.spoke = True
        told.append(held)
        return False

    def _look(self, event: Event, told: list[Event]) -> bool:
        """Notes what matters to us; whether the caller is told too."""
        match event:
            case Opened(kind="text" | "thinking" | "refusal", opaque=None):
                self._held = event  # some platforms open a block before there is anything to say
                return False
            case Opened():
                self.spoke = True
            case Usage():
                self.usage = event
            case Failed(trouble):
                self.trouble = trouble
                return False
            case Started():
                return not self._started
            case Finished(reason):
                if not self.spoke and reason in ("stop", "tool_calls"):
                    raise EmptyReply("the platform gave an empty answer")
                if self.usage is None:
                    self.usage = estimated(self._request_bytes, self._said)
                    told.append(self.usage)
            case _:
                pass
        return True
