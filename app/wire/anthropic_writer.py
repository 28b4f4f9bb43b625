"""Answers and streams of Anthropic's Messages as they are written.

The caller's SDK builds the answer from the events alone: a block not begun, or not ended, is lost
to it. Both the `event:` line and the `type` inside are looked at, by different clients.
"""

from __future__ import annotations

from typing import Any

import orjson

from app.canonical.blocks import CALLS, InTurn
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
from app.wire.anthropic_blocks import (
    NEXT_TEXT,
    UNSIGNED,
    call_seal,
    fitting_id,
    foreign,
    own,
    redacted,
    signature,
)
from app.wire.anthropic_stream import KINDS, TOO_LONG, TYPES
from app.wire.dialect import Telling
from app.wire.sse import frame

PING = frame(b'{"type":"ping"}', b"ping")
STOP_REASONS: dict[Reason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refused": "refusal",
}


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


def write_error(trouble: Trouble) -> dict[str, Any]:
    if trouble.own is not None:
        return {"type": "error", "error": trouble.own}
    status, message = trouble.status, trouble.message
    kind = TYPES.get(status, "api_error" if status >= 500 or not status else TYPES[400])
    if not status and trouble.type in KINDS:
        kind = (
            trouble.type
        )  # names are shared with other vendors: where there is a status, it decides
    if trouble.code == "context_length_exceeded" and TOO_LONG not in message:
        message = (
            f"{TOO_LONG}: {message}"  # the words that make Claude Code compact the conversation
        )
    if trouble.param and trouble.param not in message:
        message = f"{trouble.param}: {message}"  # there is no field for it in this envelope
    return {"type": "error", "error": {"type": kind, "message": message}}


def stop_details(reason: Reason) -> dict[str, Any] | None:
    if reason != "refused":
        return None
    return {"type": "refusal", "category": None, "explanation": None}


def citation(url: str, title: str) -> dict[str, Any]:
    place = {"type": "web_search_result_location", "url": url, "title": title}
    return place | {"cited_text": "", "encrypted_index": ""}


def picture(media_type: str) -> str:
    """How a text shows a picture, up to its data: an answer has no other place for one."""
    return f"![image](data:{media_type};base64,"


class MessagesWriter:
    """Events of ours to events of Anthropic's, one block after the other.

    A thought begins late, because only its seal says whether it is redacted. What another platform
    wants back with a call or a text goes out in an empty thought beside it, but never at the end:
    where an answer does not end with its text, Claude Code prints nothing. So what comes too late
    to stand before the last text is left out.
    """

    __slots__ = (
        "_telling",
        "_turn",
        "_opened",
        "_index",
        "_block",
        "_head",
        "_late",
        "_sealed",
        "_mark",
        "_kept",
        "_words",
        "_usage",
        "_called",
        "_quiet",
    )

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._turn = InTurn()
        self._opened = False
        self._index = -1  # of the block going out
        self._block = Opened(-1, "opaque")  # the block of ours that is open
        self._head = b""  # what stands before the text of a delta; empty where none may go out
        self._late = False  # a thought has been opened, but not yet begun
        self._sealed = False
        self._mark: Opaque | None = (
            None  # what has to follow the open block in a thought of its own
        )
        self._kept: Opaque | None = None  # of the text before, for a thought if anything follows
        self._words: list[str] | None = None  # of a call that takes no JSON
        self._usage: Usage | None = None
        self._called = False
        self._quiet = telling.reasoning == "none"

    def open(self) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        message = envelope(self._telling) | {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_usage(Usage(0, 0)),
        }
        return _event("message_start", message=message)

    def beat(self) -> bytes:
        return PING

    def fail(self, trouble: Trouble) -> bytes:
        return frame(orjson.dumps(write_error(trouble)), b"error")

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        dumps = orjson.dumps
        for event in self._turn.put(events):
            if type(event) is Delta:
                if self._head:
                    out += (self._head, dumps(event.text), TAIL)
                else:
                    self._delta(event.text, out)
            else:
                self._write(event, out)
        return b"".join(out)

    def _write(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Started():
                out.append(self.open())
            case Opened():
                self._open_block(event, out)
            case Sealed(_, opaque):
                self._seal(opaque, out)
            case Cited(_, url, title):
                self._more({"type": "citations_delta", "citation": citation(url, title)}, out)
            case Closed():
                self._close(out)
            case Usage():
                self._usage = event
            case Finished():
                self._finish(event, out)
            case Failed(trouble):
                out.append(self.fail(trouble))
            case Delta():
                raise AssertionError("deltas are written above")

    def _delta(self, text: str, out: list[bytes]) -> None:
        """The text of a block that takes none as it is, or not yet."""
        if self._words is not None:
            self._words.append(text)
        elif self._late:
            self._start({"type": "thinking", "thinking": "", "signature": ""}, out, "thinking")
            out += (self._head, orjson.dumps(text), TAIL)

    def _more(self, delta: dict[str, Any], out: list[bytes]) -> None:
        out.append(_event("content_block_delta", index=self._index, delta=delta))

    def _open_block(self, event: Opened, out: list[bytes]) -> None:
        self._block, self._head, self._mark, self._words = event, b"", None, None
        self._late = self._sealed = False
        if self._kept is not None:
            self._carry(call_seal("", self._kept), out)
            self._kept = None
        match event.kind:
            case "thinking":
                self._late = not self._quiet
                if event.opaque is not None:
                    self._seal(event.opaque, out)
            case "tool_call" | "custom_call":
                self._open_call(event, out)
            case "opaque":
                block = dict(own(event.opaque))
                if "type" in block and not self._quiet:
                    self._start(block, out, "")
                    out.append(_event("content_block_stop", index=self._index))
            case "image":
                self._start({"type": "text", "text": ""}, out, "text")
                out += (self._head, orjson.dumps(picture(event.name)), TAIL)
            case _:
                if (mark := foreign(event.opaque)) is not None:
                    self._carry(call_seal(NEXT_TEXT, mark), out)
                self._start({"type": "text", "text": ""}, out, "text")

    def _open_call(self, event: Opened, out: list[bytes]) -> None:
        call_id = self._call_id()
        if (mark := foreign(event.opaque)) is not None:
            self._carry(call_seal(call_id, mark), out)
        self._called = True
        block = {"type": "tool_use", "id": call_id, "name": event.name, "input": {}}
        custom = event.kind == "custom_call"
        self._start(block, out, "" if custom else "tool_call")
        self._words = [] if custom else None

    def _call_id(self) -> str:
        block = self._block
        return fitting_id(block.call_id or f"toolu_{self._telling.id}_{block.index}")

    def _start(self, block: dict[str, Any], out: list[bytes], kind: str) -> None:
        self._index += 1
        self._late = False
        out.append(_event("content_block_start", index=self._index, content_block=block))
        self._head = HEADS[kind] % self._index if kind else b""

    def _carry(self, seal: str, out: list[bytes]) -> None:
        """An empty thought beside a block, with what the block has no place for."""
        if self._quiet:
            return
        self._start({"type": "thinking", "thinking": "", "signature": ""}, out, "")
        self._more({"type": "signature_delta", "signature": seal}, out)
        out.append(_event("content_block_stop", index=self._index))

    def _seal(self, opaque: Opaque, out: list[bytes]) -> None:
        if self._block.kind != "thinking":
            self._mark = foreign(opaque)
            return
        if self._quiet or self._sealed:
            return
        if self._late and (block := redacted(opaque)) is not None:
            self._sealed = True
            self._start(block, out, "")
            return
        if self._late:
            self._start({"type": "thinking", "thinking": "", "signature": ""}, out, "thinking")
        self._sealed = True
        self._more({"type": "signature_delta", "signature": signature(opaque)}, out)

    def _close(self, out: list[bytes]) -> None:
        kind = self._block.kind
        if kind == "opaque" or self._late or (kind == "thinking" and self._quiet):
            self._late = False
            return  # closed already, or never begun
        if kind == "thinking" and not self._sealed:
            self._more({"type": "signature_delta", "signature": UNSIGNED}, out)
        elif kind == "image":
            out += (self._head, b'")"', TAIL)
        elif self._words is not None:
            text = orjson.dumps({"input": "".join(self._words)}).decode()
            self._more({"type": "input_json_delta", "partial_json": text}, out)
        out.append(_event("content_block_stop", index=self._index))
        if kind not in CALLS:
            self._kept = self._mark
        elif self._mark is not None:
            self._carry(call_seal(self._call_id(), self._mark), out)
        self._head, self._words, self._mark = b"", None, None

    def _finish(self, event: Finished, out: list[bytes]) -> None:
        out.append(self.open())
        reason = event.reason
        if reason == "stop" and self._called:
            reason = "tool_calls"
        if self._index < 0:  # an answer is never without a block
            self._start({"type": "text", "text": ""}, out, "")
            out.append(_event("content_block_stop", index=self._index))
        delta = {
            "stop_reason": STOP_REASONS[reason],
            "stop_sequence": event.stop_sequence,
            "stop_details": stop_details(reason),
        }
        usage = write_usage(self._usage or Usage(0, 0))
        out.append(_event("message_delta", delta=delta, usage=usage))
        out.append(_event("message_stop"))


def _head(kind: str, name: str) -> bytes:
    start = '{"type":"content_block_delta","index":%d,"delta":{"type":'
    return f'event: content_block_delta\ndata: {start}"{kind}","{name}":'.encode()


HEADS = {
    "text": _head("text_delta", "text"),
    "thinking": _head("thinking_delta", "thinking"),
    "tool_call": _head("input_json_delta", "partial_json"),
}  # a delta up to its text; the number of the block is filled in when it begins
TAIL = b"}}\n\n"


def _event(kind: str, **values: Any) -> bytes:
    return frame(orjson.dumps({"type": kind, **values}), kind.encode())


def envelope(telling: Telling) -> dict[str, Any]:
    """What an answer and the start of a stream have in common."""
    return {
        "id": f"msg_{telling.id}",
        "type": "message",
        "role": "assistant",
        "model": telling.model,
    }
