"""The stream of Google's generateContent, in both directions and both framings.

Every chunk is a whole answer that holds only what is new; a call arrives in one piece; usage is a running total in every
chunk, the last one counts. Nothing says "the end": after the finish reason more may come, so the end is the end of the transfer.
Framed as events with `alt=sse`, as one JSON array without.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from app.canonical.blocks import CALLS, Blocks, InTurn
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
from app.canonical.parts import Opaque
from app.errors import BadReply, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.fields import count
from app.wire.gemini_parts import NAME, signature_of, unseal
from app.wire.sse import KEEP_ALIVE, MOST_BYTES, Frames, frame

REASONS: dict[str, Reason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "refused",
    "RECITATION": "refused",
    "LANGUAGE": "refused",
    "BLOCKLIST": "refused",
    "PROHIBITED_CONTENT": "refused",
    "SPII": "refused",
    "IMAGE_SAFETY": "refused",
    "IMAGE_PROHIBITED_CONTENT": "refused",
    "IMAGE_RECITATION": "refused",
}
FINISH_REASONS: dict[Reason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "refused": "SAFETY",
}
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def read_usage(usage: Any) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    asked = count(usage.get("promptTokenCount")) + count(usage.get("toolUsePromptTokenCount"))
    thoughts = count(usage.get("thoughtsTokenCount"))
    told = count(usage.get("candidatesTokenCount")) + thoughts
    cached = count(usage.get("cachedContentTokenCount"))
    return Usage(asked, told, cached, reasoning=thoughts)


def write_usage(usage: Usage) -> dict[str, Any]:
    written = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": max(usage.output - usage.reasoning, 0),
        "totalTokenCount": usage.input + usage.output,
    }
    if usage.reasoning:
        written["thoughtsTokenCount"] = usage.reasoning
    if usage.cached:
        written["cachedContentTokenCount"] = usage.cached
    return written


def read_error(status: int, body: Any) -> Trouble:
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return Trouble(error, status)
    if not isinstance(error, dict):
        return Trouble("", status)
    message, code, word = error.get("message"), error.get("code"), error.get("status")
    trouble = Trouble(message if isinstance(message, str) else "", status)
    if not status and isinstance(code, int) and 400 <= code < 600:
        trouble.status = code
    trouble.type = word if isinstance(word, str) else ""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            _read_detail(detail, trouble)
    return trouble


def _read_detail(detail: dict[str, Any], trouble: Trouble) -> None:
    reason, delay = detail.get("reason"), detail.get("retryDelay")
    if isinstance(reason, str):
        trouble.code = reason
    if isinstance(delay, str) and delay.endswith("s"):
        try:
            trouble.retry_after = float(delay[:-1])
        except ValueError:
            return


def write_error(trouble: Trouble) -> dict[str, Any]:
    status = trouble.status or 500
    word = STATUSES.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    error: dict[str, Any] = {"code": status, "message": trouble.message, "status": word}
    if trouble.code:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": trouble.code, "domain": "gateway"}]
    return {"error": error}


class ChunkReader:
    """Chunks to events. `Finished` waits for the end of the transfer: usage and signatures may still come."""

    __slots__ = (
        "done",
        "_blocks",
        "_frames",
        "_started",
        "_finished",
        "_usage",
        "_calls",
        "_cited",
        "_name",
    )

    def __init__(self) -> None:
        self.done = False
        self._frames = Frames()
        self._blocks = Blocks()
        self._started = False
        self._finished: Finished | None = None
        self._usage: Usage | None = None
        self._calls = 0
        self._name = ""
        self._cited: set[str] = set()

    def feed(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for _, payload in self._frames.feed(data):
            if not self.done:
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
            self.end(events)
        return events

    def end(self, events: list[Event]) -> None:
        self.done = True
        events.extend(self._blocks.close_all())
        if self._usage is not None:
            events.append(self._usage)
        events.append(self._finished or Finished("stop"))

    def _read(self, payload: bytes, events: list[Event]) -> None:
        try:
            self.read(orjson.loads(payload), events)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an event that cannot be read") from error

    def read(self, chunk: dict[str, Any], events: list[Event]) -> None:
        """One chunk, or a whole answer, which has the same shape."""
        if chunk.get("error"):
            self.done = True
            events.append(Failed(read_error(0, chunk)))
            return
        if not self._started:
            self._started = True
            name, model = str(chunk.get("responseId") or ""), str(chunk.get("modelVersion") or "")
            self._name = "".join(filter(str.isalnum, name))[:32]  # so that ids differ between turns
            events.append(Started(name, model))
        self._usage = read_usage(chunk.get("usageMetadata")) or self._usage
        candidates = chunk.get("candidates") or ()
        for candidate in candidates:
            if not candidate.get("index"):
                self._candidate(candidate, events)
        blocked = (chunk.get("promptFeedback") or {}).get("blockReason")
        if blocked and not candidates:
            words = f"the platform blocked the prompt: {blocked}"
            events.extend(self._blocks.append("refusal", "refusal", words))
            self._finished = Finished("refused")

    def _candidate(self, candidate: dict[str, Any], events: list[Event]) -> None:
        for part in (candidate.get("content") or {}).get("parts") or ():
            self._part(part, events)
        for chunk in (candidate.get("groundingMetadata") or {}).get("groundingChunks") or ():
            self._cite(chunk.get("web") or {}, events)
        if reason := candidate.get("finishReason"):
            self._finished = Finished(REASONS.get(reason, "stop"))
            if self._finished.reason == "stop" and self._calls:
                self._finished = Finished("tool_calls")

    def _part(self, part: dict[str, Any], events: list[Event]) -> None:
        signature = part.get("thoughtSignature")
        if "text" in part:
            kind: Kind = "thinking" if part.get("thought") else "text"
            if part["text"] or signature:
                events.extend(self._blocks.append(kind, kind, part["text"]))
            if signature:
                events.extend(
                    self._blocks.seal(kind, Opaque(NAME, {"thoughtSignature": signature}))
                )
        elif "functionCall" in part:
            self._call(part["functionCall"], signature, events)
        elif "inlineData" in part and not part.get("thought"):
            data = part["inlineData"]
            key = ("image", len(events))
            events.extend(self._blocks.append(key, "image", data["data"], name=data["mimeType"]))
            events.extend(self._blocks.close(key))

    def _call(self, call: dict[str, Any], signature: str | None, events: list[Event]) -> None:
        self._calls += 1
        arguments = orjson.dumps(call.get("args") or {}).decode()
        opaque = unseal(signature) if signature else None
        key = ("call", self._calls)
        call_id = call.get("id") or f"call_{self._name}_{self._calls}"
        events.extend(
            self._blocks.append(key, "tool_call", arguments, call_id, call["name"], opaque)
        )
        events.extend(self._blocks.close(key))

    def _cite(self, web: dict[str, Any], events: list[Event]) -> None:
        index, url = self._blocks.index("text"), web.get("uri")
        if index is not None and url and url not in self._cited:
            self._cited.add(url)
            events.append(Cited(index, url, web.get("title") or ""))


class ChunkWriter:
    """Events to chunks. A call waits until it is whole: this dialect has no halves of one."""

    def __init__(self, telling: Telling) -> None:
        tail = {"modelVersion": telling.model, "responseId": telling.id}
        self._tail = b"," + orjson.dumps(tail)[1:]
        self._turn = InTurn()
        self._quiet = telling.reasoning == "none"
        self._kinds: dict[int, Kind] = {}
        self._heads: dict[int, tuple[bytes, bytes]] = {}
        self._kept: dict[int, tuple[Opened, list[str]]] = {}
        self._seals: dict[int, Opaque] = {}
        self._usage: Usage | None = None
        self._citations: dict[str, str] = {}

    def open(self) -> bytes:
        return b""

    def beat(self) -> bytes:
        return KEEP_ALIVE

    def fail(self, trouble: Trouble) -> bytes:
        return self._framed(orjson.dumps(write_error(trouble)))

    def write(self, events: list[Event]) -> bytes:
        out: list[bytes] = []
        for event in self._turn.put(events):
            if type(event) is Delta:
                self._delta(event, out)
            else:
                self._write(event, out)
        return b"".join(out)

    def _framed(self, chunk: bytes) -> bytes:
        return frame(chunk)

    def _chunk(self, part: bytes) -> bytes:
        content = b'{"candidates":[{"content":{"parts":[' + part + b'],"role":"model"},"index":0}]'
        return self._framed(content + self._tail)

    def _delta(self, event: Delta, out: list[bytes]) -> None:
        kept = self._kept.get(event.index)
        if kept is not None:
            kept[1].append(event.text)
            return
        kind = self._kinds.get(event.index)
        if kind is not None:
            rest = b',"thought":true}' if kind == "thinking" else b"}"
            out.append(self._chunk(b'{"text":' + orjson.dumps(event.text) + rest))

    def _write(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Opened():
                if event.kind in CALLS or event.kind == "image":
                    self._kept[event.index] = (event, [])
                elif event.kind != "opaque" and not (self._quiet and event.kind == "thinking"):
                    self._kinds[event.index] = event.kind
            case Sealed(index, opaque):
                self._seals[index] = opaque
            case Closed(index):
                self._close(index, out)
            case Cited(_, url, title):
                self._citations[url] = title
            case Usage():
                self._usage = event
            case Finished(reason):
                self._finish(reason, out)
            case Failed(trouble):
                out.append(self.fail(trouble))
            case _:
                pass

    def _close(self, index: int, out: list[bytes]) -> None:
        opaque = self._seals.pop(index, None)
        kind = self._kinds.pop(index, None)
        if index in self._kept:
            opened, pieces = self._kept.pop(index)
            part = whole_part(opened, "".join(pieces), opaque or opened.opaque)
            out.append(self._chunk(orjson.dumps(part)))
        elif kind is not None and opaque is not None:
            part = {"text": "", "thoughtSignature": signature_of(opaque)}
            if kind == "thinking":
                part["thought"] = True
            out.append(self._chunk(orjson.dumps(part)))

    def _finish(self, reason: Reason, out: list[bytes]) -> None:
        candidate: dict[str, Any] = {
            "content": {"parts": [{"text": ""}], "role": "model"},
            "finishReason": FINISH_REASONS[reason],
            "index": 0,
        }
        if self._citations:
            candidate["groundingMetadata"] = grounding(self._citations)
        last: dict[str, Any] = {"candidates": [candidate]}
        last["usageMetadata"] = write_usage(self._usage or Usage(0, 0))
        out.append(self._framed(orjson.dumps(last)[:-1] + self._tail))


class ArrayWriter(ChunkWriter):
    """The same chunks as the elements of one JSON array."""

    def __init__(self, telling: Telling) -> None:
        super().__init__(telling)
        self._before = b"["

    def beat(self) -> bytes:
        return b"\n"  # white space means nothing between elements

    def fail(self, trouble: Trouble) -> bytes:
        return super().fail(trouble) + b"]"

    def _framed(self, chunk: bytes) -> bytes:
        before, self._before = self._before, b",\n"
        return before + chunk

    def _finish(self, reason: Reason, out: list[bytes]) -> None:
        super()._finish(reason, out)
        out.append(b"]")


def whole_part(opened: Opened, text: str, opaque: Opaque | None) -> dict[str, Any]:
    """A call or an image, complete."""
    part: dict[str, Any]
    if opened.kind == "image":
        part = {"inlineData": {"mimeType": opened.name, "data": text}}
    else:
        part = {"functionCall": function_call(opened.call_id, opened.name, text)}
    if signature := signature_of(opaque):
        part["thoughtSignature"] = signature
    return part


def function_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    try:
        args = orjson.loads(arguments) if arguments.strip() else {}
    except ValueError:
        args = arguments
    args = args if isinstance(args, dict) else {"input": args}
    return {"id": call_id, "name": name, "args": args} if call_id else {"name": name, "args": args}


def grounding(citations: dict[str, str]) -> dict[str, Any]:
    chunks = [{"web": {"uri": url, "title": title}} for url, title in citations.items()]
    return {"groundingChunks": chunks}


class ChunkTap:
    """Listens to chunks that pass byte for byte, framed as events."""

    def __init__(self) -> None:
        self.done = self.spoke = False
        self.usage: Usage | None = None
        self.trouble: Trouble | None = None
        self._frames = Frames()

    def feed(self, data: bytes) -> None:
        for _, payload in self._frames.feed(data):
            self.hear(payload)

    def hear(self, payload: bytes) -> None:
        """One chunk. The last usage counts, so a chunk that may be the last is looked at."""
        if b'"parts"' in payload:
            self.spoke = True
        if b'"usageMetadata"' in payload or b'"error"' in payload or b'"finishReason"' in payload:
            try:
                self._look(orjson.loads(payload))
            except (ValueError, AttributeError, TypeError):
                return  # not ours to judge: the bytes have passed

    def _look(self, chunk: dict[str, Any]) -> None:
        if chunk.get("error"):
            self.done, self.trouble = True, read_error(0, chunk)
        self.usage = read_usage(chunk.get("usageMetadata")) or self.usage
        ended = any(one.get("finishReason") for one in chunk.get("candidates") or ())
        self.done = (
            self.done or ended or bool((chunk.get("promptFeedback") or {}).get("blockReason"))
        )


class ArrayTap(ChunkTap):
    """The same, framed as one JSON array."""

    def __init__(self) -> None:
        super().__init__()
        self._rest = ""
        self._bytes = b""
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes) -> None:
        self._bytes += data
        try:
            text, self._bytes = self._bytes.decode(), b""
        except UnicodeDecodeError as error:  # cut inside a character
            text, self._bytes = self._bytes[: error.start].decode(), self._bytes[error.start :]
        self._rest += text
        for chunk in self._elements():
            self.hear(orjson.dumps(chunk))

    def _elements(self) -> Iterator[Any]:
        while True:
            rest = self._rest.lstrip(" \t\r\n[,")
            if not rest.startswith("{") or len(rest) > MOST_BYTES:
                self._rest = rest[:1] if len(rest) > MOST_BYTES else rest
                return
            try:
                chunk, used = self._decoder.raw_decode(rest)
            except ValueError:
                self._rest = rest
                return
            self._rest = rest[used:]
            yield chunk
