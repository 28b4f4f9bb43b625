"""Our events told as OpenAI's Responses, as a stream or whole.

Blocks become items. Texts and refusals in a row share one message, each a part of it; everything
else is an item of its own. Items strictly follow each other, and what a `done` event repeats must
have the id its `added` event had: the vendor's SDK checks. The whole answer is what the last event
of the stream holds, so both are made by the same code.

An error is told twice: some clients only read the `error` event, others only `response.failed`. The
`error` event has its fields both flat, as documented, and nested, as the vendor sends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    Kind,
    Opened,
    Reason,
    Sealed,
    Started,
    Trouble,
    Usage,
)
from app.canonical.parts import Opaque, carry
from app.wire.dialect import Telling
from app.wire.openai_chat_stream import write_error
from app.wire.openai_responses_items import NAME, own, seal
from app.wire.sse import KEEP_ALIVE, frame

Json = dict[str, Any]

CUTS: dict[Reason, str] = {"length": "max_output_tokens", "refused": "content_filter"}
DELTAS: dict[Kind, bytes] = {
    "text": b"response.output_text.delta",
    "refusal": b"response.refusal.delta",
    "thinking": b"response.reasoning_summary_text.delta",
    "tool_call": b"response.function_call_arguments.delta",
    "custom_call": b"response.custom_tool_call_input.delta",
}
CODES = frozenset(
    """bio_policy context_length_exceeded cyber_policy insufficient_quota
        invalid_prompt rate_limit_exceeded server_error server_is_overloaded slow_down""".split()
)  # what clients know how to react to; anything else they try again

REPEATED: Json = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}  # what an answer says of its request, and the vendor's defaults where the request said nothing
NESTED: dict[str, Json] = {
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
}  # the same, of objects: each of their fields has its own default


def repeated(asked: Mapping[str, Any]) -> Json:
    """The fields of a request that the answer to it repeats."""
    told = {name: _said(asked, name, default) for name, default in REPEATED.items()}
    for name, defaults in NESTED.items():
        given = _said(asked, name, {})
        given = given if isinstance(given, dict) else {}  # what passes raw is not read by us
        told[name] = given | {one: _said(given, one, least) for one, least in defaults.items()}
    return told


def _said(asked: Mapping[str, Any], name: str, default: Any) -> Any:
    value = asked.get(name)
    return default if value is None else value


def write_usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }


@dataclass(slots=True)
class _Block:
    """The block being told. `head` is what its deltas begin with; None = they are only kept."""

    kind: Kind
    item: Json
    opaque: Opaque | None
    head: bytes | None = None
    tail: bytes = b',"sequence_number":'
    pieces: list[str] = field(default_factory=list)
    notes: list[Json] = field(default_factory=list)
    due: bool = False  # the part that holds a thought is announced with its first word


class ResponsesWriter:
    """Events to bytes. `response` is the answer as told so far."""

    __slots__ = (
        "_telling",
        "_turns",
        "_number",
        "_opened",
        "_ended",
        "_out",
        "_output",
        "_items",
        "_message",
        "_complete",
        "_envelopes",
        "_block",
        "_usage",
        "_repeated",
        "response",
    )

    def __init__(self, telling: Telling) -> None:
        self._telling = telling
        self._turns = InTurn()
        self._number = 0  # of the next event
        self._opened = self._ended = False
        self._out: list[bytes] = []
        self._output: list[Json] = []  # items that are done
        self._items = 0  # how many were begun
        self._message: Json | None = None  # the message that further texts may join
        self._complete = False  # none may
        self._envelopes: list[str] = []  # signatures that follow the message
        self._block: _Block | None = None
        self._usage: Usage | None = None
        self._repeated = repeated(telling.asked)
        self.response = self._respond("in_progress")

    def open(self) -> bytes:
        self._begin_answer()
        return self._flush()

    def beat(self) -> bytes:
        """Codex counts events, not comments, as life. A stream we did not open gets a comment."""
        if not self._opened or self._ended:
            return KEEP_ALIVE
        self._tell("response.in_progress", response=self._respond("in_progress"))
        return self._flush()

    def fail(self, trouble: Trouble) -> bytes:
        self._fail(trouble)
        return self._flush()

    def write(self, events: list[Event]) -> bytes:
        out, dumps = self._out, orjson.dumps
        for event in self._turns.put(events):
            if type(event) is Delta:
                block = self._block
                if block is None:
                    continue
                if block.due and event.text:
                    self._open_thought(block)
                block.pieces.append(event.text)
                if block.head is not None:
                    out.append(
                        b"%b%b%b%d}\n\n" % (block.head, dumps(event.text), block.tail, self._number)
                    )
                    self._number += 1
            elif not self._ended:
                self._write(event)
        return self._flush()

    def _begin_answer(self) -> None:
        if self._opened:
            return
        self._opened = True
        self._tell("response.created", response=self.response)
        self._tell("response.in_progress", response=self.response)

    def _flush(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _tell(self, kind: str, **told: Any) -> None:
        data = orjson.dumps({"type": kind, **told, "sequence_number": self._number})
        self._number += 1
        self._out.append(frame(data, kind.encode()))

    def _write(self, event: Event) -> None:
        match event:
            case Started():
                self._begin_answer()
            case Opened():
                self._open_block(event)
            case Sealed(_, opaque):
                if self._block is not None:
                    self._block.opaque = opaque
            case Cited(_, url, title):
                self._cite(url, title)
            case Closed():
                self._close_block()
            case Usage():
                self._usage = event
            case Finished(reason):
                self._finish(reason)
            case Failed(trouble):
                self._fail(trouble)
            case Delta():
                raise AssertionError("deltas are written above")

    # ------------------------------------------------------------ blocks

    def _open_block(self, event: Opened) -> None:
        self._block = None
        kind, opaque = event.kind, event.opaque
        if kind in ("text", "refusal"):
            self._open_words(kind, opaque)
        elif kind == "thinking":
            if self._telling.reasoning != "none":
                self._open_item(kind, "rs", opaque, type="reasoning", summary=[])
        elif kind in CALLS:
            self._open_call(event)
        elif kind == "image":
            told = {"type": "image_generation_call", "status": "in_progress", "result": None}
            block = self._open_item(kind, "ig", opaque, **told)
            block.item["output_format"] = event.name.removeprefix("image/")
        elif opaque is not None and opaque.dialect == NAME:
            self._close_message()
            self._whole(dict(opaque.value))

    def _open_words(self, kind: Kind, opaque: Opaque | None) -> None:
        phase = own(opaque).get("phase")
        if self._message is not None and kind == "text":
            if self._complete or self._message.get("phase") != phase:
                self._close_message()
        if self._message is None:
            extra = {"phase": phase} if phase else {}
            self._message = self._begin(
                "msg", type="message", role="assistant", status="in_progress", content=[], **extra
            )
        head = self._head(kind, self._message, content_index=len(self._message["content"]))
        tail = b',"logprobs":[],"sequence_number":' if kind == "text" else b',"sequence_number":'
        block = _Block(kind, self._message, opaque, head, tail)
        self._tell("response.content_part.added", **self._at(block), part=_part(kind, "", []))
        self._block = block

    def _open_call(self, event: Opened) -> None:
        self._close_message()
        call_id = event.call_id or f"call_{self._telling.id}_{self._items}"
        opaque = event.opaque
        if opaque is not None and opaque.dialect != NAME:
            self._carry(seal(opaque, call_id))
        told: Json = {"call_id": call_id, "name": event.name}
        if namespace := own(opaque).get("namespace"):
            told["namespace"] = namespace
        if event.kind == "custom_call":
            block = self._open_item(
                event.kind, "ctc", None, type="custom_tool_call", **told, input=""
            )
        else:
            told = {"type": "function_call", "status": "in_progress", **told, "arguments": ""}
            block = self._open_item(event.kind, "fc", None, **told)
        block.head = self._head(event.kind, block.item)

    def _open_item(self, kind: Kind, prefix: str, opaque: Opaque | None, **told: Any) -> _Block:
        self._close_message()
        item = self._begin(prefix, vendor_id=own(opaque).get("id"), **told)
        self._block = _Block(kind, item, opaque, due=kind == "thinking")
        return self._block

    def _begin(self, prefix: str, vendor_id: Any = None, **told: Any) -> Json:
        """An item that is to be filled, announced."""
        name = vendor_id or f"{prefix}_{self._telling.id}_{self._items}"
        item = {"id": name, **told}
        self._tell("response.output_item.added", output_index=self._items, item=item)
        self._items += 1
        return item

    def _open_thought(self, block: _Block) -> None:
        block.due = False
        block.head = self._head("thinking", block.item, summary_index=0)
        part = {"type": "summary_text", "text": ""}
        self._tell("response.reasoning_summary_part.added", **self._at(block), part=part)

    def _head(self, kind: Kind, item: Json, **place: int) -> bytes:
        """Everything of a delta event that comes before its text."""
        name = DELTAS[kind]
        at = {"item_id": item["id"], "output_index": self._items - 1, **place}
        data = orjson.dumps({"type": name.decode(), **at})
        return b"event: " + name + b"\ndata: " + data[:-1] + b',"delta":'

    def _at(self, block: _Block) -> Json:
        """Where in the answer a block is."""
        at: Json = {"item_id": block.item["id"], "output_index": self._items - 1}
        if block.kind in ("text", "refusal"):
            return at | {"content_index": len(block.item["content"])}
        return at | ({"summary_index": 0} if block.kind == "thinking" else {})

    def _cite(self, url: str, title: str) -> None:
        block = self._block
        if block is None or block.kind != "text":
            return
        note: Json = {"type": "url_citation", "url": url, "title": title}
        note |= {"start_index": 0, "end_index": 0}
        self._tell(
            "response.output_text.annotation.added",
            **self._at(block),
            annotation_index=len(block.notes),
            annotation=note,
        )
        block.notes.append(note)

    def _close_block(self) -> None:
        block, self._block = self._block, None
        if block is None:
            return
        text = "".join(block.pieces)
        if block.kind in ("text", "refusal"):
            self._close_words(block, text)
        elif block.kind == "thinking":
            self._close_thought(block, text)
        elif block.kind in CALLS:
            self._close_call(block, text)
        else:
            rest = {"status": "completed", "result": text}
            self._end(block.item | dict(own(block.opaque)) | rest | {"id": block.item["id"]})

    def _close_words(self, block: _Block, text: str) -> None:
        at, part = self._at(block), _part(block.kind, text, block.notes)
        if block.kind == "text":
            self._tell("response.output_text.done", **at, text=text, logprobs=[])
        else:
            self._tell("response.refusal.done", **at, refusal=text)
        self._tell("response.content_part.done", **at, part=part)
        block.item["content"].append(part)
        if block.opaque is None:
            return
        self._complete = True
        if phase := own(block.opaque).get("phase"):
            block.item["phase"] = phase
        elif block.opaque.dialect != NAME:
            self._envelopes.append(seal(block.opaque))

    def _close_thought(self, block: _Block, text: str) -> None:
        item, opaque = block.item, block.opaque
        part = {"type": "summary_text", "text": text}
        if text:
            item["summary"] = [part]
            self._tell("response.reasoning_summary_text.done", **self._at(block), text=text)
            self._tell("response.reasoning_summary_part.done", **self._at(block), part=part)
        if opaque is not None and opaque.dialect != NAME:
            item["encrypted_content"] = carry(opaque)
        self._end(item | dict(own(opaque)) | {"id": item["id"]})

    def _close_call(self, block: _Block, text: str) -> None:
        at, item = self._at(block), block.item
        if block.kind == "custom_call":
            self._tell("response.custom_tool_call_input.done", **at, input=text)
            self._end(item | {"input": text})
        else:
            if not text:
                text = "{}"
                self._tell("response.function_call_arguments.delta", **at, delta=text)
            told = {"name": item["name"], "arguments": text}
            self._tell("response.function_call_arguments.done", **at, **told)
            status = "completed" if _is_json(text) else "incomplete"
            self._end(item | {"arguments": text, "status": status})
        if block.opaque is not None and block.opaque.dialect != NAME:
            self._carry(seal(block.opaque, item["call_id"]))

    def _close_message(self) -> None:
        message, self._message, self._complete = self._message, None, False
        if message is None:
            return
        self._end(message | {"status": "completed"})
        envelopes, self._envelopes = self._envelopes, []
        for envelope in envelopes:
            self._carry(envelope)

    def _carry(self, envelope: str) -> None:
        """A wordless thought that carries the signature of something else."""
        if self._telling.reasoning == "none":
            return
        name = f"rs_{self._telling.id}_{self._items}"
        self._whole({"id": name, "type": "reasoning", "summary": [], "encrypted_content": envelope})

    def _whole(self, item: Json) -> None:
        """An item that needs no filling."""
        self._tell("response.output_item.added", output_index=self._items, item=item)
        self._items += 1
        self._end(item)

    def _end(self, item: Json) -> None:
        self._tell("response.output_item.done", output_index=self._items - 1, item=item)
        self._output.append(item)

    # ------------------------------------------------------------ the answer as a whole

    def _finish(self, reason: Reason) -> None:
        self._close_message()
        cut = CUTS.get(reason)
        status = "incomplete" if cut else "completed"
        self.response = self._respond(status, {"reason": cut} if cut else None)
        self._tell(f"response.{status}", response=self.response)
        self._ended = True

    def _fail(self, trouble: Trouble) -> None:
        if self._ended:
            return
        self._block = None
        told: Any = trouble.own
        if told is None:
            error = write_error(trouble)["error"]
            flat = {name: error[name] for name in ("code", "message", "param")}
            self._tell("error", **flat, error=error)
            told = {"code": _code(trouble), "message": trouble.message}
        self.response = self._respond("failed") | {"error": told}
        self._tell("response.failed", response=self.response)
        self._ended = True

    def _respond(self, status: str, cut: Json | None = None) -> Json:
        telling, usage = self._telling, self._usage
        return {
            "id": f"resp_{telling.id}",
            "object": "response",
            "created_at": telling.created,
            "status": status,
            "background": False,
            "incomplete_details": cut,
            "model": telling.model,
            "output": list(self._output) if status != "in_progress" else [],
            "store": False,
            **self._repeated,
            "usage": write_usage(usage) if usage and status != "in_progress" else None,
        }


def _part(kind: Kind, text: str, notes: list[Json]) -> Json:
    if kind == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": list(notes), "logprobs": []}


def _is_json(text: str) -> bool:
    """Arguments that stop half-way must not look ready to be run."""
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


def _code(trouble: Trouble) -> str:
    """What clients should do: a request that was wrong must not be tried again."""
    if trouble.code in CODES:
        return trouble.code
    if trouble.status == 429:
        return "rate_limit_exceeded"
    if 400 <= trouble.status < 500 and trouble.status != 408:
        return "invalid_prompt"
    return trouble.code or "server_error"
