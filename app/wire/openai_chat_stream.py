"""The stream of OpenAI chat completions, in both directions.

The stream is flat: no chunk says that a block begins or ends, so `Blocks` infers it. Parallel calls
are told apart by `index`. Usage comes after the finish reason, in a chunk without choices, so the
reader holds `Finished` back until the stream is over. `[DONE]` is not required: a finish reason and
a clean end are enough.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.canonical.blocks import CALLS, Blocks
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
from app.canonical.parts import Opaque, Thinking
from app.errors import BadReply, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.fields import count, in_own_words, is_count, is_whole
from app.wire.openai_chat_seals import read_call_seal, read_details, write_call_seal, write_detail
from app.wire.sse import KEEP_ALIVE, Frames, frame

ID_PREFIX = "foaicmpl-"
DONE = b"data: [DONE]\n\n"
LONGEST_PIECE = (
    10_000  # characters; at most 6 bytes each in JSON, so that a line stays below 64 KiB (K-069)
)

REASONS: dict[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refused",
}
FINISH_REASONS: dict[Reason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "refused": "content_filter",
}
TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}  # by status; what is not listed is a server_error from 500 on


def read_usage(usage: Any) -> Usage | None:
    """What an upstream says it counted; None where it does not say, or says something absurd."""
    if not isinstance(usage, dict) or not is_count(usage.get("prompt_tokens")):
        return None
    if not is_count(usage.get("completion_tokens", 0)):
        return None
    asked, told = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    asked = asked if isinstance(asked, dict) else {}
    told = told if isinstance(told, dict) else {}
    return Usage(
        usage["prompt_tokens"],
        count(usage.get("completion_tokens")),
        count(asked.get("cached_tokens")),
        count(asked.get("cache_write_tokens")),
        count(told.get("reasoning_tokens")),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    written: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    if not usage.estimated:
        written["prompt_tokens_details"] = {"cached_tokens": usage.cached}
        written["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
        if usage.cache_write:
            written["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write
    return written


def read_error(status: int, body: Any) -> Trouble:
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return Trouble(error, status)
    if not isinstance(error, dict):
        return Trouble("", status)
    code = error.get("code")
    message = error.get("message")
    param = error.get("param")
    return Trouble(
        message if isinstance(message, str) else "",
        status,
        str(code) if code is not None else "",
        error["type"] if isinstance(error.get("type"), str) else "",
        param if isinstance(param, str) else None,
    )


def write_error(trouble: Trouble) -> dict[str, Any]:
    if trouble.own is not None:
        return {"error": trouble.own}
    kind = trouble.type or TYPES.get(trouble.status, "")
    if not kind:
        kind = "server_error" if trouble.status >= 500 else "invalid_request_error"
    error = {
        "message": trouble.message,
        "type": kind,
        "param": trouble.param,
        "code": trouble.code or None,
    }
    return {"error": error}


def text_of(value: Any) -> str:
    """Text that an upstream gave; raises `TypeError` for anything else."""
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


class ChatReader:
    """Chunks to events. Only the first choice is read: several are never asked for across
    dialects.
    """

    __slots__ = ("done", "_frames", "_blocks", "_started", "_finished")

    def __init__(self) -> None:
        self.done = False
        self._frames = Frames()
        self._blocks = Blocks()
        self._started = False
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

    def _end(self, events: list[Event]) -> None:
        self.done = True
        if not self._started:
            raise BrokenTransfer("the platform's answer ended before it was complete")
        events.extend(self._blocks.close_all())
        events.append(self._finished or Finished("stop"))

    def _read(self, payload: bytes, events: list[Event]) -> None:
        if payload.startswith(b"[DONE]"):
            self._end(events)
            return
        try:
            chunk = orjson.loads(payload)
            if "error" in chunk and chunk["error"]:
                self.done = True
                events.append(Failed(in_own_words(read_error(0, chunk), chunk["error"])))
                return
            self._read_chunk(chunk, events)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an event that cannot be read") from error

    def _read_chunk(self, chunk: dict[str, Any], events: list[Event]) -> None:
        if not self._started:
            self._started = True
            events.append(Started(str(chunk.get("id") or ""), str(chunk.get("model") or "")))
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                if delta := choice.get("delta"):
                    self._read_delta(delta, events)
                if reason := choice.get("finish_reason"):
                    self._finished = Finished(REASONS.get(reason, "stop"))
        if (usage := read_usage(chunk.get("usage"))) is not None:
            events.append(usage)

    def _read_delta(self, delta: dict[str, Any], events: list[Event]) -> None:
        append = self._blocks.append
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            events.extend(append("thinking", "thinking", text_of(thought)))
        if text := delta.get("content"):
            events.extend(append("text", "text", text_of(text)))
        if refusal := delta.get("refusal"):
            events.extend(append("refusal", "refusal", text_of(refusal)))
        for call in delta.get("tool_calls") or ():
            self._read_call(call, events)
        for note in delta.get("annotations") or ():
            self._read_note(note, events)
        if "reasoning_details" in delta:
            for sealed in read_details(delta):
                self._read_seal(sealed, events)

    def _read_seal(self, sealed: Thinking, events: list[Event]) -> None:
        """A seal ends its thought, which may be one that was never told in words."""
        assert sealed.opaque is not None
        if self._blocks.index("thinking") is None:
            events.extend(self._blocks.append("thinking", "thinking", sealed.text))
        events.extend(self._blocks.seal("thinking", sealed.opaque))
        events.extend(self._blocks.close("thinking"))

    def _read_call(self, call: dict[str, Any], events: list[Event]) -> None:
        kind: Kind = "tool_call"
        inner = call.get("function") or {}
        text = inner.get("arguments") or ""
        if "custom" in call:
            kind, inner = "custom_call", call["custom"]
            text = inner.get("input") or ""
        key, call_id = int(call.get("index") or 0), text_of(call.get("id") or "")
        name, opaque = text_of(inner.get("name") or ""), read_call_seal(call)
        if name or self._blocks.index(key) is not None:
            events.extend(self._blocks.append(key, kind, text_of(text), call_id, name, opaque))
        elif text:
            raise ValueError("arguments of a call that has no name")

    def _read_note(self, note: dict[str, Any], events: list[Event]) -> None:
        cited = note.get("url_citation") or {}
        index = self._blocks.index("text")
        if index is not None and cited.get("url"):
            title = text_of(cited.get("title") or "")
            events.append(Cited(index, text_of(cited["url"]), title))


class ChatWriter:
    """Events to chunks. The shape of a text chunk is one template, filled once per stream."""

    __slots__ = (
        "_telling",
        "_head",
        "_opened",
        "_kinds",
        "_kept",
        "_calls",
        "_usage",
        "_quiet",
        "_inline",
        "_deltas",
    )

    def __init__(self, telling: Telling) -> None:
        head = {
            "id": ID_PREFIX + telling.id,
            "object": "chat.completion.chunk",
            "created": telling.created,
            "model": telling.model,
        }
        self._telling = telling
        self._head = b"data: " + orjson.dumps(head)[:-1]
        self._opened = False
        self._kinds: dict[int, Kind] = {}
        self._kept: dict[int, list[str]] = {}  # text of blocks that must be told whole
        self._calls: dict[int, int] = {}
        self._usage: Usage | None = None
        self._quiet = telling.reasoning == "none"
        start = self._head + b',"choices":[{"index":0,"delta":{'
        self._deltas: dict[str, bytes] = {
            "text": start + b'"content":',
            "thinking": start + b'"reasoning_content":',
            "refusal": start + b'"refusal":',
        }
        self._inline = telling.reasoning == "inline"
        if self._inline:
            del self._deltas["thinking"]

    def open(self) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        return self._chunk({"role": "assistant"})

    def beat(self) -> bytes:
        return KEEP_ALIVE

    def fail(self, trouble: Trouble) -> bytes:
        return frame(orjson.dumps(write_error(trouble)))

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        kinds, deltas, dumps = self._kinds, self._deltas, orjson.dumps
        for event in events:
            if type(event) is Delta:
                kind = kinds.get(event.index)
                if kind is None or not event.text:
                    continue
                head = deltas.get(kind)
                if head is not None and len(event.text) <= LONGEST_PIECE:
                    out.append(head + dumps(event.text) + b'},"finish_reason":null}]}\n\n')
                else:
                    self._rare_delta(event, kind, out)
                if event.index in self._kept:
                    self._kept[event.index].append(event.text)
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
                self._seal(index, opaque, out)
            case Closed(index):
                self._close_block(index, out)
            case Cited(_, url, title):
                cited = {"start_index": 0, "end_index": 0, "url": url, "title": title}
                note = {"type": "url_citation", "url_citation": cited}
                out.append(self._chunk({"annotations": [note]}))
            case Usage():
                self._usage = event
            case Finished(reason):
                self._finish(reason, out)
            case Failed(trouble):
                out.append(self.fail(trouble))
            case Delta():
                raise AssertionError("deltas are written above")

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choices = orjson.dumps([{"index": 0, "delta": delta, "finish_reason": finish}])
        return self._head + b',"choices":' + choices + b"}\n\n"

    def _rare_delta(self, event: Delta, kind: Kind, out: list[bytes]) -> None:
        """Arguments, inline thoughts, and whatever is too long for one line."""
        if kind == "image":
            return
        if kind == "thinking" and self._inline:
            if not self._kept[event.index]:
                out.append(self._chunk({"content": "<think>"}))
            kind = "text"
        for piece in in_pieces(event.text):
            if kind in CALLS:
                call = {"index": self._calls[event.index], _inner(kind): {_words(kind): piece}}
                out.append(self._chunk({"tool_calls": [call]}))
            else:
                out.append(
                    self._deltas[kind] + orjson.dumps(piece) + b'},"finish_reason":null}]}\n\n'
                )

    def _open_block(self, event: Opened, out: list[bytes]) -> None:
        kind = event.kind
        if kind == "opaque" or (kind == "thinking" and self._quiet):
            return
        self._kinds[event.index] = kind
        if kind in CALLS:
            self._open_call(event, out)
        elif kind == "image":
            self._kept[event.index] = [f"![image](data:{event.name};base64,"]
        elif kind == "thinking":
            self._kept[event.index] = []

    def _open_call(self, event: Opened, out: list[bytes]) -> None:
        place = self._calls[event.index] = len(self._calls)
        inner = {"name": event.name, _words(event.kind): ""}
        call: dict[str, Any] = {
            "index": place,
            "id": event.call_id or f"call_{self._telling.id}_{place}",
        }
        call["type"] = _inner(event.kind)
        call[call["type"]] = inner
        if event.opaque is not None:
            call |= write_call_seal(event.opaque)
        out.append(self._chunk({"tool_calls": [call]}))

    def _seal(self, index: int, opaque: Opaque, out: list[bytes]) -> None:
        """A sealed thought goes out whole once more, beside its seal, for clients that echo it."""
        if self._kinds.get(index) == "thinking" and not self._inline:
            words = "".join(self._kept[index])
            out.append(self._chunk({"reasoning_details": [write_detail(words, opaque)]}))

    def _close_block(self, index: int, out: list[bytes]) -> None:
        kind = self._kinds.pop(index, None)
        kept = self._kept.pop(index, None)
        if kind == "image" and kept is not None:
            out.append(self._chunk({"content": "".join(kept) + ")"}))
        elif kind == "thinking" and self._inline and kept:
            out.append(self._chunk({"content": "</think>"}))

    def _finish(self, reason: Reason, out: list[bytes]) -> None:
        if reason == "stop" and self._calls:
            reason = "tool_calls"  # K-076: some platforms say "stop" all the same
        out.append(self._chunk({}, FINISH_REASONS[reason]))
        if self._telling.usage and self._usage is not None:
            usage = orjson.dumps(write_usage(self._usage))
            out.append(self._head + b',"choices":[],"usage":' + usage + b"}\n\n")
        out.append(DONE)


def in_pieces(text: str) -> list[str]:
    """The text in pieces that each fit a line (K-069), cut between characters."""
    return [text[at : at + LONGEST_PIECE] for at in range(0, len(text), LONGEST_PIECE)]


def _inner(kind: Kind) -> str:
    return "function" if kind == "tool_call" else "custom"


def _words(kind: Kind) -> str:
    return "arguments" if kind == "tool_call" else "input"
