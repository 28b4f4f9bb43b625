"""The stream of Anthropic's Messages as it is read; `anthropic_writer` writes it.

Blocks say when they begin and end, and never overlap. Usage comes in two halves: what was read with
the start, what was written with the end. A status of 200 may still end in an `error` event. There
is no `[DONE]`: `message_stop` ends it.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from app.canonical.events import (
    Cited,
    Closed,
    Delta,
    Event,
    Failed,
    Finished,
    Opened,
    Reason,
    Sealed,
    Started,
    Trouble,
    Usage,
)
from app.canonical.parts import Opaque
from app.errors import BadReply, BrokenTransfer
from app.wire.anthropic_blocks import NAME, REDACTED
from app.wire.fields import count, in_own_words, is_whole
from app.wire.sse import Frames

REASONS: dict[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refused",
}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
STATUSES = {kind: status for status, kind in TYPES.items() if status != 503} | {"api_error": 500}
KINDS = frozenset(STATUSES) | {"conflict_error"}
TOO_LONG = "prompt is too long"
CODES = {
    TOO_LONG: "context_length_exceeded",
    "credit balance is too low": "authentication_error",  # comes as a 400, but is about the key
}
COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens")
_PLACE = re.compile(r"([a-z_]+(?:\.\w+)*): ")  # a message begins with the field it is about


def read_usage(usage: Any, before: Usage | None = None) -> Usage | None:
    """Totals, each half of a stream filling in what the other does not say."""
    if not isinstance(usage, dict):
        return before
    if not any(_is_count(usage.get(name)) for name in COUNTS):
        return before
    known = before or Usage(0, 0)
    read = _told(usage, "cache_read_input_tokens", known.cached)
    written = _told(usage, "cache_creation_input_tokens", known.cache_write)
    fresh = _told(usage, "input_tokens", known.input - known.cached - known.cache_write)
    details = usage.get("output_tokens_details")
    thinking = details if isinstance(details, dict) else {}
    return Usage(
        fresh + read + written,
        _told(usage, "output_tokens", known.output),
        read,
        written,
        _told(thinking, "thinking_tokens", known.reasoning),
    )


def _told(usage: dict[str, Any], name: str, before: int) -> int:
    value = usage.get(name)
    return count(value) if _is_count(value) else before


def _is_count(value: Any) -> bool:
    """Whether the platform says a number that can be meant (R-016)."""
    return value == 0 and type(value) is int or count(value) > 0


def read_error(status: int, body: Any) -> Trouble:
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return Trouble(error, status)
    if not isinstance(error, dict):
        return Trouble("", status)
    message, kind = error.get("message"), error.get("type")
    message = message if isinstance(message, str) else ""
    kind = kind if isinstance(kind, str) else ""
    code = next((code for words, code in CODES.items() if words in message), "")
    place = _PLACE.match(message)
    return Trouble(
        message,
        status or STATUSES.get(kind, 0),
        code,
        kind,
        place[1] if place is not None else None,
    )


def explanation(told: Any) -> str:
    """Why the platform refuses, where it says so."""
    details = told.get("stop_details") if told.get("stop_reason") == "refusal" else None
    words = details.get("explanation") if isinstance(details, dict) else None
    return words if isinstance(words, str) else ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


class MessagesReader:
    """Events of Anthropic's to events of ours. Blocks of its own tools come whole, when they are
    complete.
    """

    __slots__ = (
        "done",
        "_frames",
        "_open",
        "_silent",
        "_blank",
        "_held",
        "_next",
        "_usage",
        "_finished",
    )

    def __init__(self) -> None:
        self.done = False
        self._frames = Frames()
        self._open: dict[int, int] = {}  # theirs to ours
        self._silent = -1  # the open call that has said nothing yet
        self._blank = -1  # theirs: a text that has said nothing yet, and may never
        self._held: dict[int, tuple[dict[str, Any], list[str]]] = {}
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
            if not self.done and is_whole(payload):
                self._read(payload, events)
        if not self.done:
            if self._finished is None:
                raise BrokenTransfer("the platform's answer ended before it was complete")
            self._end(events)
        return events

    def _read(self, payload: bytes, events: list[Event]) -> None:
        try:
            told = orjson.loads(payload)
            kind = told["type"]
            if kind != "content_block_delta":
                self._other(kind, told, events)
                return
            delta = told["delta"]
            field = WORDS.get(delta["type"])
            index = self._open.get(told["index"])
            if index is None and told["index"] == self._blank:
                index = self._begin(told["index"], events)
            if field is None or index is None:
                self._aside(told["index"], index, delta, events)
            elif text := delta[field]:
                if type(text) is not str:
                    raise TypeError("text expected")
                if index == self._silent:
                    self._silent = -1
                events.append(Delta(index, text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an event that cannot be read") from error

    def _aside(
        self, theirs: int, index: int | None, delta: dict[str, Any], events: list[Event]
    ) -> None:
        """What is no text of an open block: signatures, sources, the input of the platform's own
        tools.
        """
        kind = delta["type"]
        if index is None:
            if theirs in self._held and kind == "input_json_delta":
                self._held[theirs][1].append(delta["partial_json"])
        elif kind == "signature_delta":
            if delta["signature"]:
                signature = _text(delta["signature"])
                events.append(Sealed(index, Opaque(NAME, {"signature": signature})))
        elif kind == "citations_delta":
            cited = delta["citation"]
            if cited.get("url"):
                title = _text(cited.get("title") or "")
                events.append(Cited(index, _text(cited["url"]), title))

    def _other(self, kind: str, told: dict[str, Any], events: list[Event]) -> None:
        match kind:
            case "message_start":
                message = told["message"]
                self._usage = read_usage(message.get("usage"))
                events.append(Started(str(message["id"]), str(message["model"])))
            case "content_block_start":
                self._close_all(events)  # a block that was cut off is not always closed
                self._start(told["index"], told["content_block"], events)
            case "content_block_stop":
                self._stop(told["index"], events)
            case "message_delta":
                self._usage = read_usage(told.get("usage"), self._usage)
                self._ending(told["delta"], events)
            case "message_stop":
                self._end(events)
            case "error":
                self.done = True
                events.append(Failed(in_own_words(read_error(0, told), told.get("error"))))

    def _start(self, theirs: int, block: dict[str, Any], events: list[Event]) -> None:
        index = self._next
        match block["type"]:
            case "text" if not block.get("text"):
                self._blank = theirs
                return
            case "text":
                opened, text = Opened(index, "text"), block["text"]
            case "thinking":
                opened, text = Opened(index, "thinking"), block.get("thinking")
            case "redacted_thinking":
                opened, text = Opened(index, "thinking"), None
            case "tool_use":
                opened = Opened(index, "tool_call", _text(block["id"]), _text(block["name"]))
                given = block.get("input")
                if given and not isinstance(given, dict):
                    raise TypeError("object expected")
                text = orjson.dumps(given).decode() if given else None
                self._silent = index if text is None else -1
            case _:
                self._held[theirs] = (block, [])
                return
        self._open[theirs] = index
        self._next += 1
        events.append(opened)
        if text:
            events.append(Delta(index, _text(text)))
        if block["type"] == REDACTED:
            seal = Opaque(NAME, {"type": REDACTED, "data": _text(block["data"])})
            events.append(Sealed(index, seal))

    def _begin(self, theirs: int, events: list[Event]) -> int:
        """Opens the text that now has something to say."""
        index = self._open[theirs] = self._next
        self._next += 1
        self._blank = -1
        events.append(Opened(index, "text"))
        return index

    def _stop(self, theirs: int, events: list[Event]) -> None:
        index = self._open.pop(theirs, None)
        if index is not None:
            self._close(index, events)
        elif theirs in self._held:
            block, pieces = self._held.pop(theirs)
            if words := "".join(pieces):
                block["input"] = orjson.loads(words)
            events.append(Opened(self._next, "opaque", opaque=Opaque(NAME, block)))
            events.append(Closed(self._next))
            self._next += 1

    def _close(self, index: int, events: list[Event]) -> None:
        if index == self._silent:
            self._silent = -1
            events.append(Delta(index, "{}"))  # clients parse what they got, and nothing is no JSON
        events.append(Closed(index))

    def _close_all(self, events: list[Event]) -> None:
        for index in self._open.values():
            self._close(index, events)
        self._open.clear()
        self._held.clear()
        self._blank = -1

    def _ending(self, delta: dict[str, Any], events: list[Event]) -> None:
        if words := explanation(delta):
            self._close_all(events)
            events += [Opened(self._next, "refusal"), Delta(self._next, words), Closed(self._next)]
            self._next += 1
        if (reason := delta.get("stop_reason")) is None:
            return  # usage in between; the answer goes on
        stop = delta.get("stop_sequence")
        told = None if stop is None else _text(stop)
        self._finished = Finished(REASONS.get(_text(reason), "stop"), told)

    def _end(self, events: list[Event]) -> None:
        self.done = True
        self._close_all(events)
        if self._usage is not None:
            events.append(self._usage)
        events.append(self._finished or Finished("stop"))


WORDS = {"text_delta": "text", "input_json_delta": "partial_json", "thinking_delta": "thinking"}


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
            if not event:
                event = _named(payload)
            if event == b"content_block_delta":
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


def _named(payload: bytes) -> bytes:
    """The type of an event that came without a name."""
    _, _, rest = payload.partition(b'"type":')
    return rest.lstrip()[1:64].partition(b'"')[0]
