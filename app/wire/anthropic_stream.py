"""The stream of Anthropic's Messages, in both directions.

Blocks say when they begin and end, and never overlap. Usage comes in two halves: what was read with the start, what was
written with the end. A status of 200 may still end in an `error` event. There is no `[DONE]`: `message_stop` ends it.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.canonical.blocks import InTurn
from app.canonical.events import (
    Cited,
    Closed,
    Delta,
    Event,
    Failed,
    Finished,
    Kind,
    Opened,
    Reason,
    Sealed,
    Started,
    Trouble,
    Usage,
)
from app.canonical.parts import Opaque, carry
from app.errors import BadReply, BrokenTransfer
from app.wire.anthropic_blocks import NAME, call_seal, fitting_id
from app.wire.dialect import Telling
from app.wire.fields import count
from app.wire.sse import Frames, frame

PING = frame(b'{"type":"ping"}', b"ping")
REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refused",
    "pause_turn": "stop",
}
STOP_REASONS: dict[Reason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refused": "refusal",
}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
STATUSES = {kind: status for status, kind in TYPES.items() if status != 503} | {"api_error": 500}


def read_usage(usage: Any, before: Usage | None = None) -> Usage | None:
    """Totals, each half of a stream filling in what the other does not say."""
    if not isinstance(usage, dict):
        return before
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    fresh = usage.get("input_tokens")
    if before is not None:
        read = before.cached if read is None else read
        written = before.cache_write if written is None else written
        if fresh is None:
            fresh = before.input - before.cached - before.cache_write
    details = usage.get("output_tokens_details")
    thinking = details.get("thinking_tokens") if isinstance(details, dict) else 0
    cached, cache_write = count(read), count(written)
    output = count(usage.get("output_tokens"))
    return Usage(count(fresh) + cached + cache_write, output, cached, cache_write, count(thinking))


def write_usage(usage: Usage) -> dict[str, Any]:
    written: dict[str, Any] = {
        "input_tokens": max(usage.input - usage.cached - usage.cache_write, 0),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written


def read_error(status: int, body: Any) -> Trouble:
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return Trouble(error, status)
    if not isinstance(error, dict):
        return Trouble("", status)
    message, kind = error.get("message"), error.get("type")
    kind = kind if isinstance(kind, str) else ""
    return Trouble(
        message if isinstance(message, str) else "",
        status or STATUSES.get(kind, 0),
        type=kind,
    )


def write_error(trouble: Trouble) -> dict[str, Any]:
    status = trouble.status
    kind = TYPES.get(status) or ("api_error" if status >= 500 or not status else TYPES[400])
    return {"type": "error", "error": {"type": kind, "message": trouble.message}}


class MessagesReader:
    """Events of Anthropic's to events of ours. Indexes are ours: a block we do not read leaves no gap."""

    __slots__ = ("done", "_frames", "_open", "_kinds", "_next", "_usage", "_finished")

    def __init__(self) -> None:
        self.done = False
        self._frames = Frames()
        self._open: dict[int, int] = {}  # theirs to ours
        self._kinds: dict[int, Kind] = {}
        self._next = 0
        self._usage: Usage | None = None
        self._finished: Finished | None = None

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for _, payload in self._frames.feed(data):
            if self.done:
                break
            self._read(payload, events)
        return events

    def finish(self) -> list[Event]:
        events: list[Event] = []
        for _, payload in self._frames.finish():
            if not self.done:
                self._read(payload, events)
        if not self.done:
            if self._finished is None:
                raise BrokenTransfer("the platform's answer ended before it was complete")
            self._end(events)
        return events

    def _read(self, payload: bytes, events: list[Event]) -> None:
        try:
            event = orjson.loads(payload)
            if event["type"] == "content_block_delta":
                self._delta(event["index"], event["delta"], events)
            else:
                self._other(event, events)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an event that cannot be read") from error

    def _delta(self, theirs: int, delta: dict[str, Any], events: list[Event]) -> None:
        index = self._open.get(theirs)
        if index is None:
            return
        match delta["type"]:
            case "text_delta":
                text = delta["text"]
            case "input_json_delta":
                text = delta["partial_json"]
            case "thinking_delta":
                text = delta["thinking"]
            case "signature_delta":
                events.append(Sealed(index, Opaque(NAME, {"signature": delta["signature"]})))
                return
            case "citations_delta":
                citation = delta["citation"]
                if citation.get("url"):
                    events.append(Cited(index, citation["url"], citation.get("title") or ""))
                return
            case _:
                return
        if text:
            events.append(Delta(index, text))

    def _other(self, event: dict[str, Any], events: list[Event]) -> None:
        match event["type"]:
            case "message_start":
                message = event["message"]
                self._usage = read_usage(message.get("usage"))
                events.append(Started(str(message["id"]), str(message["model"])))
            case "content_block_start":
                self._start(event["index"], event["content_block"], events)
            case "content_block_stop":
                if (index := self._open.pop(event["index"], None)) is not None:
                    events.append(Closed(index))
            case "message_delta":
                self._usage = read_usage(event.get("usage"), self._usage)
                reason = event["delta"].get("stop_reason")
                stop = event["delta"].get("stop_sequence")
                self._finished = Finished(REASONS.get(reason, "stop"), stop)
            case "message_stop":
                self._end(events)
            case "error":
                self.done = True
                events.append(Failed(read_error(0, event)))

    def _start(self, theirs: int, block: dict[str, Any], events: list[Event]) -> None:
        match block["type"]:
            case "text":
                opened, text = Opened(self._next, "text"), block.get("text")
            case "thinking":
                opened, text = Opened(self._next, "thinking"), block.get("thinking")
            case "tool_use":
                opened, text = Opened(self._next, "tool_call", block["id"], block["name"]), None
            case "redacted_thinking":
                opened, text = Opened(self._next, "opaque", opaque=Opaque(NAME, block)), None
            case _:
                return  # the platform's own tools and their results
        self._open[theirs] = self._next
        self._next += 1
        events.append(opened)
        if text:
            events.append(Delta(opened.index, text))

    def _end(self, events: list[Event]) -> None:
        self.done = True
        events.extend(Closed(index) for index in self._open.values())
        self._open.clear()
        if self._usage is not None:
            events.append(self._usage)
        events.append(self._finished or Finished("stop"))


class MessagesWriter:
    """Events of ours to events of Anthropic's, one block after the other."""

    __slots__ = (
        "_telling",
        "_turn",
        "_opened",
        "_index",
        "_kind",
        "_head",
        "_tail",
        "_sealed",
        "_usage",
        "_called",
        "_quiet",
        "_dropped",
    )

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._turn = InTurn()
        self._opened = False
        self._index = -1  # of the block going out
        self._kind: Kind | None = None
        self._head = b""
        self._tail = b""
        self._sealed = False
        self._usage: Usage | None = None
        self._called = False
        self._quiet = telling.reasoning == "none"
        self._dropped: set[int] = set()

    def open(self) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        message = envelope(self._telling) | {
            "content": [],
            "stop_reason": None,
            "usage": write_usage(Usage(0, 0)),
        }
        return _event("message_start", message=message)

    def beat(self) -> bytes:
        return PING

    def fail(self, trouble: Trouble) -> bytes:
        return frame(orjson.dumps(write_error(trouble)), b"error")

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        dropped = self._dropped
        for event in self._turn.put(events):
            if type(event) is Delta:
                if self._head and event.index not in dropped:
                    out += (self._head, orjson.dumps(event.text), self._tail)
            else:
                self._write(event, out)
        return b"".join(out)

    def _write(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Started():
                out.append(self.open())
            case Opened():
                self._open_block(event, out)
            case Sealed(index, opaque):
                if index not in self._dropped and self._kind == "thinking":
                    self._seal(_signature(opaque), out)
            case Cited(index, url, title):
                citation = {"type": "web_search_result_location", "url": url, "title": title}
                citation |= {"cited_text": "", "encrypted_index": ""}
                if index not in self._dropped:
                    self._delta({"type": "citations_delta", "citation": citation}, out)
            case Closed(index):
                self._close(index, out)
            case Usage():
                self._usage = event
            case Finished():
                self._finish(event, out)
            case Failed(trouble):
                out.append(self.fail(trouble))
            case Delta():
                raise AssertionError("deltas are written above")

    def _delta(self, delta: dict[str, Any], out: list[bytes]) -> None:
        out.append(_event("content_block_delta", index=self._index, delta=delta))

    def _open_block(self, event: Opened, out: list[bytes]) -> None:
        own = event.kind == "opaque" and event.opaque is not None and event.opaque.dialect == NAME
        if event.kind == "image" or (event.kind == "opaque" and not own):
            self._dropped.add(event.index)
            return
        if self._quiet and (event.kind == "thinking" or own):
            self._dropped.add(event.index)
            return
        if event.kind in ("tool_call", "custom_call") and event.opaque is not None:
            self._carry(event, out)
        self._kind, self._sealed = event.kind, False
        self._start(_block(event, self._telling), out)
        self._head = self._tail = b""
        field = _FIELDS.get(event.kind)
        if field is not None:
            kind, name = field
            head = {"type": "content_block_delta", "index": self._index, "delta": {"type": kind}}
            start = orjson.dumps(head)[:-2] + f',"{name}":'.encode()
            self._head, self._tail = b"event: content_block_delta\ndata: " + start, b"}}\n\n"

    def _start(self, block: dict[str, Any], out: list[bytes]) -> None:
        self._index += 1
        self._called = self._called or block["type"] == "tool_use"
        out.append(_event("content_block_start", index=self._index, content_block=block))

    def _carry(self, event: Opened, out: list[bytes]) -> None:
        """An empty thought before a call, with what the call has no place for."""
        assert event.opaque is not None
        self._kind = "thinking"
        self._start({"type": "thinking", "thinking": "", "signature": ""}, out)
        self._seal(call_seal(fitting_id(event.call_id), event.opaque), out)
        out.append(_event("content_block_stop", index=self._index))

    def _seal(self, signature: str, out: list[bytes]) -> None:
        self._sealed = True
        self._delta({"type": "signature_delta", "signature": signature}, out)

    def _close(self, index: int, out: list[bytes]) -> None:
        if index in self._dropped:
            return
        if self._kind == "thinking" and not self._sealed:
            # A client keeps a thought only with a signature; this one tells us to leave it out next time.
            self._seal(carry(Opaque("", None)), out)
        self._head = b""
        out.append(_event("content_block_stop", index=self._index))

    def _finish(self, event: Finished, out: list[bytes]) -> None:
        out.append(self.open())
        reason = event.reason
        if reason == "stop" and self._called:
            reason = "tool_calls"
        if self._index < 0:
            self._start({"type": "text", "text": ""}, out)
            out.append(_event("content_block_stop", index=self._index))
        delta = {"stop_reason": STOP_REASONS[reason], "stop_sequence": event.stop_sequence}
        usage = write_usage(self._usage or Usage(0, 0))
        out.append(_event("message_delta", delta=delta, usage=usage))
        out.append(_event("message_stop"))


_FIELDS: dict[Kind, tuple[str, str]] = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_call": ("input_json_delta", "partial_json"),
}


def _event(kind: str, **values: Any) -> bytes:
    return frame(orjson.dumps({"type": kind, **values}), kind.encode())


def _block(event: Opened, telling: Telling) -> dict[str, Any]:
    match event.kind:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_call" | "custom_call":
            call_id = fitting_id(event.call_id or f"toolu_{telling.id}_{event.index}")
            return {"type": "tool_use", "id": call_id, "name": event.name, "input": {}}
        case "opaque":
            assert event.opaque is not None
            return dict(event.opaque.value)
        case _:
            return {"type": "text", "text": ""}


def _signature(opaque: Opaque) -> str:
    if opaque.dialect == NAME and isinstance(opaque.value, dict) and "signature" in opaque.value:
        return str(opaque.value["signature"])
    return carry(opaque)


def envelope(telling: Telling) -> dict[str, Any]:
    """What an answer and the start of a stream have in common."""
    return {
        "id": f"msg_{telling.id}",
        "type": "message",
        "role": "assistant",
        "model": telling.model,
        "stop_sequence": None,
    }


class MessagesTap:
    """Listens to a stream that passes byte for byte."""

    __slots__ = ("done", "spoke", "usage", "trouble", "_frames")

    def __init__(self) -> None:
        self.done = self.spoke = False
        self.usage: Usage | None = None
        self.trouble: Trouble | None = None
        self._frames = Frames()

    def feed(self, data: bytes) -> None:
        for event, payload in self._frames.feed(data):
            if event == b"content_block_start":
                self.spoke = True
            elif event == b"message_stop":
                self.done = True
            elif event in (b"message_start", b"message_delta", b"error"):
                self._look(event, payload)

    def _look(self, event: bytes, payload: bytes) -> None:
        try:
            found = orjson.loads(payload)
            if event == b"error":
                self.done, self.trouble = True, read_error(0, found)
            elif event == b"message_start":
                self.usage = read_usage(found["message"].get("usage"))
            else:
                self.usage = read_usage(found.get("usage"), self.usage)
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # not ours to judge: the bytes have passed
