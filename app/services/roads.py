"""The three ways from a caller to a platform and back.

`raw`: both speak the same native dialect; the caller's bytes go out, the platform's bytes come
back, a tap listens. `patched`: both speak chat completions; a few fields change, everything else
passes. `translated`: through the canonical form.

A road knows no HTTP. It gives the bytes to send, and turns what comes back into what the caller
reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import orjson

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
from app.canonical.model import ModelFacts
from app.canonical.reply import fold, unfold
from app.canonical.request import ChatRequest
from app.errors import BadReply, BadRequest, BrokenTransfer, EmptyReply
from app.media.inbound import Basket
from app.services.attachments import inlined
from app.services.call import ChatCall
from app.services.meter import estimated
from app.upstream.platform import Framing, Platform
from app.wire import openai_chat
from app.wire.dialect import Dialect, StreamWriter, Tap, Telling
from app.wire.names import given_twice
from app.wire.openai_chat_patch import ChatPatch, patch_reply, patch_request

SMALL = 65536  # bytes; above, looking through the caller's costs as much as writing our own


class Flow(Protocol):
    """One stream on its way to the caller. `spoke` = content has gone by, so no other attempt may
    follow.
    """

    @property
    def done(self) -> bool: ...

    @property
    def spoke(self) -> bool: ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def trouble(self) -> Trouble | None: ...

    def restart(self) -> None:
        """A new attempt begins; nothing of the last one counts."""

    def open(self) -> bytes: ...

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...

    def beat(self) -> bytes:
        """A sign of life; nothing where none can go between what was sent and what will be."""

    def fail(self, trouble: Trouble) -> bytes:
        """The error event that takes the place of the rest."""


class Road(Protocol):
    name: str
    framing: Framing

    @property
    def payload(self) -> bytes: ...

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        """What the caller is told, and what it cost."""

    def flow(self) -> Flow: ...


def choose(platform: Platform, call: ChatCall, basket: Callable[[], Basket]) -> Road:
    """The shortest road that can carry this call."""
    upstream = platform.chat.dialect
    facts = platform.catalogue.facts(call.model)
    if upstream is call.spoken and upstream is not openai_chat:
        return RawRoad(call, upstream)
    if (
        upstream is call.spoken
        and call.telling.reasoning == "field"
        and call.thinking_budget is None
    ):
        if (body := patch_request(call.body, call.model, facts)) is not None:
            return PatchedRoad(call, body)
    return TranslatedRoad(call, upstream, facts, basket)


# ---------------------------------------------------------------- raw


class RawRoad:
    name = "raw"

    def __init__(self, call: ChatCall, dialect: Dialect) -> None:
        self._call = call
        self._dialect = dialect
        if twice := given_twice(call.raw):
            raise BadRequest("{field} is given twice", param=twice, field=twice)
        self.payload = call.raw
        self.framing: Framing = "array" if call.array else "events" if call.stream else "whole"

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        usage = self._dialect.find_usage(_parsed(body))
        return body, usage or estimated(len(self.payload), len(body))

    def flow(self) -> Flow:
        writer = make_writer(self._call)
        make = getattr(self._dialect, "array_tap", None) if self._call.array else None
        verbatim = self._call.caller.brought is not None
        return RawFlow(make or self._dialect.tap, writer, array=self._call.array, verbatim=verbatim)


def make_writer(call: ChatCall) -> StreamWriter:
    """The caller's kind of stream; one dialect has two framings."""
    spoken: Any = call.spoken
    write = spoken.write_array_stream if call.array else spoken.write_stream
    writer: StreamWriter = write(call.telling)
    return writer


class RawFlow:
    def __init__(
        self, make_tap: Callable[[], Tap], writer: StreamWriter, *, array: bool, verbatim: bool
    ) -> None:
        self._verbatim = verbatim  # an error that comes first passes too (C-044)
        self._make_tap = make_tap
        self._tap = make_tap()
        self._writer = writer
        self._array = array
        self._sent = False
        self._between = True  # what was sent so far ends with a whole event

    @property
    def done(self) -> bool:
        return self._tap.done

    @property
    def spoke(self) -> bool:
        return self._sent

    @property
    def usage(self) -> Usage | None:
        return self._tap.usage

    @property
    def trouble(self) -> Trouble | None:
        return None if self._sent else self._tap.trouble

    def restart(self) -> None:
        self._tap = self._make_tap()

    def open(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> bytes:
        self._tap.feed(data)
        if self._verbatim or self._tap.trouble is None:
            self._sent = True
        self._between = data.endswith((b"\n\n", b"\r\n\r\n"))
        return data

    def finish(self) -> bytes:
        if not self._tap.done:
            raise BrokenTransfer("the platform's answer ended before it was complete")
        return b""

    def beat(self) -> bytes:
        return self._writer.beat() if self._between and not self._array else b""

    def fail(self, trouble: Trouble) -> bytes:
        if self._array and self._sent:
            return b""  # half an array cannot be mended; the broken transfer tells
        return (b"" if self._between else b"\n\n") + self._writer.fail(trouble)


# ---------------------------------------------------------------- patched


class PatchedRoad:
    name = "patched"

    def __init__(self, call: ChatCall, body: dict[str, Any]) -> None:
        self._call = call
        is_same = len(call.raw) < SMALL and body == call.body and not given_twice(call.raw)
        self.payload = call.raw if is_same else orjson.dumps(body)
        self.framing: Framing = "events" if call.stream else "whole"

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        reply = patch_reply(_parsed(body), self._call.telling)
        message = reply["choices"][0]["message"] if reply["choices"] else {}
        said = message.get("content") or message.get("refusal") or ""
        if not (said or message.get("tool_calls") or message.get("audio")):
            if not reply["choices"] or reply["choices"][0].get("finish_reason") != "length":
                raise EmptyReply("the platform gave an empty answer")
        usage = openai_chat.find_usage(reply)
        if usage is None:
            usage = estimated(len(self.payload), len(said))
            reply["usage"] = openai_chat.write_usage(usage)
        return orjson.dumps(reply), usage

    def flow(self) -> Flow:
        return PatchedFlow(self._call.telling, len(self.payload))


class PatchedFlow:
    def __init__(self, telling: Telling, request_bytes: int) -> None:
        self._telling = telling
        self._request_bytes = request_bytes
        self._patch = ChatPatch(telling)
        self._opened = False

    @property
    def done(self) -> bool:
        return self._patch.done

    @property
    def spoke(self) -> bool:
        return self._patch.spoke

    @property
    def usage(self) -> Usage | None:
        return self._patch.usage

    @property
    def trouble(self) -> Trouble | None:
        return self._patch.trouble

    def restart(self) -> None:
        self._patch = ChatPatch(self._telling)

    def open(self) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        return self._patch.open()

    def feed(self, data: bytes) -> bytes:
        return self._checked(self._patch.feed(data))

    def finish(self) -> bytes:
        return self._checked(self._patch.finish())

    def beat(self) -> bytes:
        return openai_chat.KEEP_ALIVE

    def fail(self, trouble: Trouble) -> bytes:
        return openai_chat.write_stream(self._telling).fail(trouble)

    def _checked(self, out: bytes) -> bytes:
        if self._patch.done and not self._patch.spoke and self._patch.trouble is None:
            if not self._patch.cut_short:
                raise EmptyReply("the platform gave an empty answer")
        return out


# ---------------------------------------------------------------- translated


class TranslatedRoad:
    name = "translated"

    def __init__(
        self, call: ChatCall, upstream: Dialect, facts: ModelFacts, basket: Callable[[], Basket]
    ) -> None:
        request = call.spoken.read_request(call.body)
        if request.variants > 1:
            raise BadRequest(
                "{field} must be 1 here: the platform gives one answer a call", param="n", field="n"
            )
        request = inlined(_with_budget(request, call), upstream, basket)
        self._call = call
        self._upstream = upstream
        self._stops = _stops_to_cut(request, upstream, facts)
        if self._stops:
            request = replace(request, sampling=replace(request.sampling, stop=()))
        written = upstream.write_request(
            replace(request, model=call.model, stream=call.stream), facts
        )
        self.payload = _encoded(written)
        self.framing: Framing = "events" if call.stream else "whole"

    def answer(self, body: bytes) -> tuple[bytes, Usage]:
        events = unfold(self._upstream.read_reply(_parsed(body)))
        if self._stops:
            events = Cut(self._stops).pass_on(events)
        reply = fold(events)
        if not reply.parts and reply.reason in ("stop", "tool_calls"):
            raise EmptyReply("the platform gave an empty answer")
        if reply.usage is None:
            said = sum(len(event.text) for event in events if isinstance(event, Delta))
            reply = replace(reply, usage=estimated(len(self.payload), said))
        assert reply.usage is not None
        written = self._call.spoken.write_reply(reply, self._call.telling)
        return orjson.dumps(written), reply.usage

    def flow(self) -> Flow:
        writer = make_writer(self._call)
        return TranslatedFlow(self._upstream, writer, self._stops, len(self.payload))


def _with_budget(request: ChatRequest, call: ChatCall) -> ChatRequest:
    """`thinking_budget` as a parameter of the call counts where the body says nothing of thinking
    itself.
    """
    if call.thinking_budget is None or request.reasoning.budget is not None:
        return request
    return replace(request, reasoning=replace(request.reasoning, budget=call.thinking_budget))


def _stops_to_cut(request: ChatRequest, upstream: Dialect, facts: ModelFacts) -> tuple[str, ...]:
    """The stop sequences that are ours to see to, because the upstream has none or too few
    (C-074).
    """
    stops = request.sampling.stop
    refused = upstream.STOP_FIELD in facts.refuses | facts.refuses_thinking
    most = facts.most_stops or upstream.MOST_STOPS
    return stops if stops and (refused or len(stops) > most) else ()


class TranslatedFlow:
    def __init__(
        self, upstream: Dialect, writer: StreamWriter, stops: tuple[str, ...], request_bytes: int
    ) -> None:
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
        self._cut = Cut(self._stops) if self._stops else None
        self._said = 0
        self._held: Opened | None = None
        self.usage: Usage | None = None
        self.trouble: Trouble | None = None

    @property
    def done(self) -> bool:
        return self._reader.done or (self._cut is not None and self._cut.hit)

    def open(self) -> bytes:
        return self._writer.open()

    def feed(self, data: bytes) -> bytes:
        return self._tell(self._reader.feed(data))

    def finish(self) -> bytes:
        return b"" if self.done else self._tell(self._reader.finish())

    def beat(self) -> bytes:
        return self._writer.beat()

    def fail(self, trouble: Trouble) -> bytes:
        return self._writer.fail(trouble)

    def _tell(self, events: list[Event]) -> bytes:
        self._order.check(events)
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


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except (
        orjson.JSONEncodeError
    ) as error:  # a call's arguments may be deeper than the body they came in
        raise BadRequest(
            "{field} is nested too deeply", param="messages", field="messages"
        ) from error


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except ValueError as error:
        raise BadReply("the platform sent an answer that is not JSON") from error
    if not isinstance(parsed, dict):
        raise BadReply("the platform sent an answer that cannot be read")
    return parsed
