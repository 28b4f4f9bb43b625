"""What OpenAI's Responses answers, whole or as a stream, read into events.

A stream tells everything twice: in deltas, and whole in the `done` events. Deltas count; where a
server left them out, the `done` event does. The last event repeats the whole answer, and counts
where nothing else came. So whole answers and streams are read by the same code. There is no
`[DONE]`: the last event is `response.completed`, `.incomplete` or `.failed`; an `error` event may
come before that in two shapes, flat and nested.

A reasoning item is opened late, with its first word or its seal, because many have neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import orjson

from app.canonical.blocks import Blocks
from app.canonical.events import (
    Cited,
    Delta,
    Event,
    Failed,
    Finished,
    Kind,
    Reason,
    Started,
    Trouble,
    Usage,
)
from app.canonical.parts import Opaque
from app.errors import BadReply, BrokenTransfer
from app.wire.fields import count, in_own_words
from app.wire.openai_responses_items import NAME, namespace_of, reasoning_text
from app.wire.sse import Frames

Json = Mapping[str, Any]

CUTS: dict[Any, Reason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "refused",
}  # why an answer is incomplete; what is not listed is a length
FAILURES = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "bio_policy": 400,
    "cyber_policy": 400,
    "data_residency_mismatch": 403,
    "server_error": 500,
    "vector_store_timeout": 500,
}  # the status an error has that comes inside an answer
CALLS: dict[str, tuple[Kind, str]] = {
    "function_call": ("tool_call", "arguments"),
    "custom_tool_call": ("custom_call", "input"),
}
_AGAIN = re.compile(r"try again in ([0-9]{1,6}(?:\.[0-9]{1,6})?) ?(ms|s)")
_MOST_TOKENS = 10**12


def read_usage(usage: Any) -> Usage | None:
    """Nothing where the totals make no sense (R-016)."""
    if not isinstance(usage, dict):
        return None
    totals = usage.get("input_tokens"), usage.get("output_tokens")
    if any(type(total) is not int or not 0 <= total <= _MOST_TOKENS for total in totals):
        return None
    asked, told = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    asked = asked if isinstance(asked, dict) else {}
    told = told if isinstance(told, dict) else {}
    return Usage(
        count(totals[0]),
        count(totals[1]),
        count(asked.get("cached_tokens")),
        count(asked.get("cache_write_tokens")),
        count(told.get("reasoning_tokens")),
    )


def read_failure(error: Any) -> Trouble:
    """An error that came inside an answer, where no HTTP status says what it means."""
    if isinstance(error, str):
        return Trouble(error)
    error = error if isinstance(error, Mapping) else {}
    message, code, param, kind = (error.get(n) for n in ("message", "code", "param", "type"))
    message = message if isinstance(message, str) else ""
    code = code if isinstance(code, str) else ""
    status = FAILURES.get(code, 400 if "image" in code else 0)
    again = _AGAIN.search(message)
    wait = float(again[1]) / (1000 if again[2] == "ms" else 1) if again else None
    return Trouble(
        message,
        status,
        code,
        kind if isinstance(kind, str) and kind != "error" else "",
        param if isinstance(param, str) else None,
        wait,
    )


class ResponsesReader:
    """Events of the platform to ours. Items are told apart by `output_index`."""

    __slots__ = (
        "done",
        "_frames",
        "_blocks",
        "_started",
        "_text_at",
        "_text_index",
        "_told",
        "_cited",
        "_part",
        "_phases",
        "_gap",
        "_called",
    )

    def __init__(self) -> None:
        self.done = False
        self._frames = Frames()
        self._blocks = Blocks()
        self._started = False
        self._text_at: tuple[Any, Any] | None = None  # the text block that is being added to
        self._text_index = -1
        self._told: set[Hashable] = set()  # what has been told, so that it is not told twice
        self._cited: set[tuple[Hashable, str, str]] = set()
        self._part: dict[Hashable, Hashable] = {}  # by reasoning item: the part of it we are in
        self._phases: dict[Hashable, str] = {}  # by message
        self._gap = False  # a commentary has been told; what follows it begins a new paragraph
        self._called = False

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        loads = orjson.loads
        for _, payload in self._frames.feed(data):
            if self.done:
                break
            try:
                told = loads(payload)
                if told.get("type") == "response.output_text.delta" and self._text_at == (
                    told["output_index"],
                    told["content_index"],
                ):
                    events.append(Delta(self._text_index, _text(told["delta"])))
                else:
                    self._read(told, events)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                if not payload.startswith(b"[DONE]"):
                    raise BadReply("the platform sent an event that cannot be read") from error
        return events

    def finish(self) -> list[Event]:
        events: list[Event] = []
        rest = self._frames.finish()
        if rest and not self.done:
            events = self._last(rest[0][1])
        if not self.done:
            raise BrokenTransfer("the platform's answer ended before it was complete")
        return events

    def whole(self, response: Json) -> list[Event]:
        """The events that tell the same as a whole answer."""
        events: list[Event] = []
        self._start(response, events)
        self._end(response, events)
        return events

    def _last(self, payload: bytes) -> list[Event]:
        """An event without a blank line after it; one that is not whole was cut off."""
        events: list[Event] = []
        try:
            self._read(orjson.loads(payload), events)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return []
        return events

    def _read(self, told: Json, events: list[Event]) -> None:
        kind = told.get("type") or ("error" if told["error"] else "")
        read = _READERS.get(kind)
        if read is None:
            return
        if not self._started and kind not in ("error", "response.failed"):
            self._start(told.get("response") or {}, events)
        read(self, told, events)

    def _start(self, response: Json, events: list[Event]) -> None:
        self._started = True
        events.append(Started(str(response.get("id", "")), str(response.get("model", ""))))

    # ------------------------------------------------------------ what grows

    def _more_text(self, told: Json, events: list[Event]) -> None:
        at = told["output_index"], told["content_index"]
        self._add_text(at, _text(told["delta"]), events)

    def _add_text(self, at: tuple[Any, Any], text: str, events: list[Event]) -> None:
        key = ("text", *at)
        if self._blocks.index(key) is None:
            if self._gap and not text.startswith("\n"):
                text = "\n\n" + text
            self._gap = False
            phase = self._phases.get(at[0])
            opaque = Opaque(NAME, {"phase": phase}) if phase else None
            self._add(key, "text", text, events, opaque=opaque)
        else:
            self._add(key, "text", text, events)
        self._text_at, self._text_index = at, self._blocks.index(key) or 0

    def _more_refusal(self, told: Json, events: list[Event]) -> None:
        key = ("refusal", told["output_index"], told["content_index"])
        self._add(key, "refusal", _text(told["delta"]), events)

    def _more_thought(self, told: Json, events: list[Event]) -> None:
        """A new part of a thought begins a new paragraph."""
        key, text = ("thinking", told["output_index"]), _text(told["delta"])
        part = told.get("summary_index"), told.get("content_index")
        if text and self._part.setdefault(key, part) != part:
            self._part[key] = part
            text = "\n\n" + text
        if text:
            self._add(key, "thinking", text, events)

    def _more_call(self, told: Json, events: list[Event]) -> None:
        key = ("call", told["output_index"])
        if self._blocks.index(key) is None:
            raise BadReply("the platform added to a call that is not open")
        self._add(key, "tool_call", _text(told["delta"]), events)

    def _add(
        self,
        key: Hashable,
        kind: Kind,
        text: str,
        events: list[Event],
        call_id: str = "",
        name: str = "",
        opaque: Opaque | None = None,
    ) -> None:
        if text:
            self._told.add(key)
        if self._blocks.index(key) is None:
            self._text_at = None
        events.extend(self._blocks.append(key, kind, text, call_id, name, opaque))

    # ------------------------------------------------------------ items

    def _item_added(self, told: Json, events: list[Event]) -> None:
        item = told.get("item")
        if item is None:  # seen from servers that fill it in later
            return
        at, kind = told["output_index"], item["type"]
        if kind in CALLS:
            self._open_call(at, item, events)
        elif kind == "message" and isinstance(phase := item.get("phase"), str):
            self._phases[at] = phase

    def _open_call(self, at: Hashable, item: Json, events: list[Event]) -> None:
        kind, said = CALLS[item["type"]]
        self._called = True
        self._told.add(("opened", at))
        name, call_id = _text(item["name"]), _text(item["call_id"])
        words = _text(item.get(said) or "")
        self._add(("call", at), kind, words, events, call_id, name, namespace_of(item))

    def _item_done(self, told: Json, events: list[Event]) -> None:
        at, item = told["output_index"], told["item"]
        if ("done", at) in self._told:
            return
        self._told.add(("done", at))
        close = _ITEMS.get(item["type"], ResponsesReader._other_done)
        close(self, at, item, events)

    def _message_done(self, at: Hashable, item: Json, events: list[Event]) -> None:
        phase = item.get("phase") if at not in self._phases else None
        if isinstance(phase, str):
            self._phases[at] = phase
        for i, part in enumerate(item.get("content") or ()):
            if part["type"] == "output_text":
                self._text_done((at, i), part, phase, events)
            elif part["type"] == "refusal":
                key = ("refusal", at, i)
                if key not in self._told and (words := _text(part["refusal"])):
                    self._add(key, "refusal", words, events)
                self._close(key, events)
        self._gap = self._gap or self._phases.get(at) == "commentary"

    def _text_done(
        self, at: tuple[Hashable, int], part: Json, phase: Any, events: list[Event]
    ) -> None:
        """`phase` is the message's if it came only now; a text already begun is sealed with it."""
        key = ("text", *at)
        if key in self._told and isinstance(phase, str):
            events.extend(self._blocks.seal(key, Opaque(NAME, {"phase": phase})))
        if key not in self._told and (words := _text(part["text"])):
            self._add_text(at, words, events)
        for note in part.get("annotations") or ():
            self._cite(key, note, events)
        self._close(key, events)

    def _reasoning_done(self, at: Hashable, item: Json, events: list[Event]) -> None:
        key = ("thinking", at)
        if key not in self._told and (words := reasoning_text(item)):
            self._add(key, "thinking", words, events)
        if isinstance(item.get("encrypted_content"), str):
            self._add(key, "thinking", "", events)
            events.extend(self._blocks.seal(key, Opaque(NAME, dict(item))))
        self._close(key, events)

    def _call_done(self, at: Hashable, item: Json, events: list[Event]) -> None:
        key = ("call", at)
        if ("opened", at) not in self._told:
            self._open_call(at, item, events)
        elif key not in self._told:
            kind, said = CALLS[item["type"]]
            self._add(key, kind, _text(item.get(said) or ""), events)
        self._close(key, events)

    def _image_done(self, at: Hashable, item: Json, events: list[Event]) -> None:
        if not isinstance(item.get("result"), str):
            self._other_done(at, item, events)
            return
        rest = {name: value for name, value in item.items() if name != "result"}
        media_type = f"image/{item.get('output_format') or 'png'}"
        key = ("image", at)
        self._add(key, "image", item["result"], events, name=media_type, opaque=Opaque(NAME, rest))
        self._close(key, events)

    def _other_done(self, at: Hashable, item: Json, events: list[Event]) -> None:
        """A tool that ran at the platform, or something newer than this reader."""
        key = ("opaque", at)
        self._add(key, "opaque", "", events, opaque=Opaque(NAME, dict(item)))
        self._close(key, events)

    def _close(self, key: Hashable, events: list[Event]) -> None:
        self._text_at = None
        events.extend(self._blocks.close(key))

    def _annotated(self, told: Json, events: list[Event]) -> None:
        key = ("text", told["output_index"], told["content_index"])
        self._cite(key, told["annotation"], events)

    def _cite(self, key: Hashable, note: Json, events: list[Event]) -> None:
        if note["type"] != "url_citation":
            return
        url, title = _text(note["url"]), _text(note.get("title") or "")
        index = self._blocks.index(key)
        if index is not None and (key, url, title) not in self._cited:
            self._cited.add((key, url, title))
            events.append(Cited(index, url, title))

    # ------------------------------------------------------------ the answer as a whole

    def _alive(self, told: Json, events: list[Event]) -> None:
        """The answer has begun, or goes on."""

    def _ended(self, told: Json, events: list[Event]) -> None:
        self._end(told["response"], events)

    def _end(self, response: Json, events: list[Event]) -> None:
        if not self._told:
            for at, item in enumerate(response.get("output") or ()):
                if not (item["type"] in CALLS and item.get("status") == "incomplete"):
                    self._item_done({"output_index": at, "item": item}, events)
        events.extend(self._blocks.close_all())
        if (usage := read_usage(response.get("usage"))) is not None:
            events.append(usage)
        events.append(Finished(self._reason(response)))
        self.done = True

    def _reason(self, response: Json) -> Reason:
        if response.get("status") == "incomplete":
            details = response.get("incomplete_details") or {}
            return CUTS.get(details.get("reason"), "length")
        return "tool_calls" if self._called else "stop"

    def _failed(self, told: Json, events: list[Event]) -> None:
        response = told.get("response") or {}
        if self._started and (usage := read_usage(response.get("usage"))) is not None:
            events.append(usage)
        self._fail(response.get("error"), events)

    def _errored(self, told: Json, events: list[Event]) -> None:
        self._fail(told.get("error") or told, events)

    def _fail(self, error: Any, events: list[Event]) -> None:
        self.done = True
        events.append(Failed(in_own_words(read_failure(error), error)))


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("text expected")
    return value


_Read = Callable[[ResponsesReader, Json, list[Event]], None]
_Close = Callable[[ResponsesReader, Hashable, Json, list[Event]], None]

_ITEMS: dict[str, _Close] = {
    "message": ResponsesReader._message_done,
    "reasoning": ResponsesReader._reasoning_done,
    "function_call": ResponsesReader._call_done,
    "custom_tool_call": ResponsesReader._call_done,
    "image_generation_call": ResponsesReader._image_done,
}
_READERS: dict[str, _Read] = {
    "response.created": ResponsesReader._alive,
    "response.queued": ResponsesReader._alive,
    "response.in_progress": ResponsesReader._alive,
    "response.output_item.added": ResponsesReader._item_added,
    "response.output_item.done": ResponsesReader._item_done,
    "response.output_text.delta": ResponsesReader._more_text,
    "response.output_text.annotation.added": ResponsesReader._annotated,
    "response.refusal.delta": ResponsesReader._more_refusal,
    "response.reasoning_summary_text.delta": ResponsesReader._more_thought,
    "response.reasoning_text.delta": ResponsesReader._more_thought,
    "response.function_call_arguments.delta": ResponsesReader._more_call,
    "response.custom_tool_call_input.delta": ResponsesReader._more_call,
    "response.completed": ResponsesReader._ended,
    "response.incomplete": ResponsesReader._ended,
    "response.failed": ResponsesReader._failed,
    "error": ResponsesReader._errored,
}
