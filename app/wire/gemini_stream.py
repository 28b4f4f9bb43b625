"""The stream of Google's generateContent, in both directions and both framings.

Every chunk is a whole answer that holds only what is new; a call arrives in one piece; usage is a
running total in every chunk, the last one counts. Nothing says "the end": some models give a finish
reason early and go on, so the end is the end of the transfer. Framed as events with `alt=sse`, as
one JSON array without.

Google's Python library takes every line that is neither blank nor data for an error, comments too:
a sign of life is a blank line. It forgets an answer of which one chunk has no parts, so every chunk
has one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
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
from app.canonical.parts import Opaque, ToolCall
from app.errors import BadReply, BrokenTransfer
from app.wire.dialect import Telling
from app.wire.fields import in_own_words, is_whole
from app.wire.gemini_parts import (
    NAME,
    UNNAMED,
    VERBATIM,
    function_call,
    own,
    signature_of,
    unseal,
)
from app.wire.json_array import Elements
from app.wire.sse import Frames, frame

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
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # by HTTP status; what is not listed is INTERNAL from 500 on
RPC = "type.googleapis.com/google.rpc."
STRUCT = "type.googleapis.com/google.protobuf.Struct"  # any JSON object, as Google writes one
COUNTS = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "cachedContentTokenCount",
)
MOST_TOKENS = 10**12
RECENT = 8  # totals that are kept, in case the last ones are absurd
BEAT = b"\n\n"
DAY = 3600.0  # the most we ever wait: a quota of the day does not tell when its day ends
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def read_usage(usage: Any) -> Usage | None:
    """The totals, or nothing where one of them is absurd (R-016). Zeros are left out on this
    wire.
    """
    if not isinstance(usage, dict) or not usage:
        return None
    counts = [usage.get(name) or 0 for name in COUNTS]
    for one in counts:
        if type(one) is not int or not 0 <= one <= MOST_TOKENS:
            return None
    asked, for_tools, told, thoughts, cached = counts
    return Usage(asked + for_tools, told + thoughts, cached, 0, thoughts)


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
    """What Google says went wrong; how long to wait is in the details, there is no header for
    it.
    """
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return Trouble(error, status)
    if not isinstance(error, dict):
        return Trouble("", status)
    message, code, word = error.get("message"), error.get("code"), error.get("status")
    trouble = Trouble(message if isinstance(message, str) else "", status)
    if not status and type(code) is int and 400 <= code < 600:
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
    if isinstance(delay, str) and (seconds := _DELAY.fullmatch(delay)) is not None:
        trouble.retry_after = max(float(seconds[1]), trouble.retry_after or 0.0)
    for violation in _dicts(detail.get("violations")):
        if "PerDay" in str(violation.get("quotaId")):
            trouble.retry_after = DAY
    for violation in _dicts(detail.get("fieldViolations"))[:1]:
        field = violation.get("field")
        trouble.param = field if isinstance(field, str) and field else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def write_error(trouble: Trouble) -> dict[str, Any]:
    own = trouble.own
    if own is not None and type(own.get("code")) is int:
        return {"error": own}
    status = trouble.status or 500
    word = STATUSES.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    error: dict[str, Any] = {"code": status, "message": trouble.message, "status": word}
    details: list[dict[str, Any]] = []
    if trouble.code:
        info = {"reason": trouble.code, "domain": "gateway"}
        details.append({"@type": f"{RPC}ErrorInfo"} | info)
    if trouble.param:
        wrong = {"field": trouble.param, "description": trouble.message}
        details.append({"@type": f"{RPC}BadRequest", "fieldViolations": [wrong]})
    if trouble.retry_after is not None:
        details.append({"@type": f"{RPC}RetryInfo", "retryDelay": f"{trouble.retry_after:g}s"})
    if own is not None:  # Google's clients want a number for a code, so it cannot be the error
        details.append({"@type": STRUCT, "value": own})
    if details:
        error["details"] = details
    return {"error": error}


class ChunkReader:
    """Chunks to events. `Finished` waits for the end of the transfer: usage and signatures may
    still come.

    Only the first candidate is read: several are never asked for across dialects.
    """

    __slots__ = (
        "done",
        "_blocks",
        "_frames",
        "_started",
        "_finished",
        "_totals",
        "_sealed",
        "_pieces",
        "_calls",
        "_cited",
        "_name",
    )

    def __init__(self, frames: Frames | Elements | None = None) -> None:
        self.done = False
        self._frames = frames or Frames()
        self._blocks = Blocks()
        self._started = False
        self._finished: Finished | None = None
        self._totals: deque[Any] = deque(
            maxlen=RECENT
        )  # read at the end: they come with every chunk
        self._sealed = ""  # the kind of words whose open block has its signature already
        self._pieces = 0  # that came whole
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
            if not self.done and is_whole(payload):
                self._read(payload, events)
        if not self.done:
            if self._finished is None:
                raise BrokenTransfer("the platform's answer ended before it was complete")
            self.end(events)
        return events

    def end(self, events: list[Event]) -> None:
        self.done = True
        events.extend(self._blocks.close_all())
        events.extend(self._usage())
        events.append(self._finished or Finished("stop"))

    def _usage(self) -> list[Event]:
        """The last totals that make sense."""
        sane = (usage for told in reversed(self._totals) if (usage := read_usage(told)) is not None)
        return [usage] if (usage := next(sane, None)) is not None else []

    def _read(self, payload: bytes, events: list[Event]) -> None:
        try:
            self.read(orjson.loads(payload), events)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an event that cannot be read") from error

    def read(self, chunk: Any, events: list[Event]) -> None:
        """One chunk, or a whole answer, which has the same shape."""
        if type(chunk) is list and chunk:
            chunk = chunk[0]  # so come some errors
        if chunk.get("error"):
            self._fail(chunk, events)
            return
        if not self._started:
            self._start(chunk, events)
        if "usageMetadata" in chunk:
            self._totals.append(chunk["usageMetadata"])
        candidates = chunk.get("candidates")
        for candidate in candidates or ():
            if not candidate.get("index"):
                self._candidate(candidate, events)
        if not candidates and "promptFeedback" in chunk:
            self._block(chunk["promptFeedback"] or {}, events)

    def _start(self, chunk: dict[str, Any], events: list[Event]) -> None:
        self._started = True
        name, model = str(chunk.get("responseId") or ""), str(chunk.get("modelVersion") or "")
        fitting = (char for char in name if char.isalnum() and char.isascii())
        self._name = "".join(fitting)[:32]  # so that ids differ between turns
        events.append(Started(name, model))

    def _fail(self, chunk: dict[str, Any], events: list[Event]) -> None:
        self.done = True
        if self._started:
            events.extend(self._usage())
        events.append(Failed(in_own_words(read_error(0, chunk), chunk.get("error"))))

    def _block(self, feedback: dict[str, Any], events: list[Event]) -> None:
        """The prompt was refused: there is a reason, and no candidate to give it."""
        if reason := feedback.get("blockReason"):
            words = f"the platform blocked the prompt: {reason}"
            events.extend(self._blocks.append("refusal", "refusal", words))
            self._finished = Finished("refused")

    def _candidate(self, candidate: dict[str, Any], events: list[Event]) -> None:
        content = candidate.get("content")
        if content:
            for part in content.get("parts") or ():
                if "text" in part:
                    self._words(part, events)
                else:
                    self._piece(part, events)
        if "groundingMetadata" in candidate:
            self._ground(candidate["groundingMetadata"] or {}, events)
        reason = candidate.get("finishReason")
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            self._finished = Finished(REASONS.get(reason, "stop"))
        if self._calls and self._finished is not None and self._finished.reason == "stop":
            self._finished = Finished("tool_calls")

    def _words(self, part: dict[str, Any], events: list[Event]) -> None:
        kind: Kind = "thinking" if part.get("thought") else "text"
        self._say(kind, _text(part["text"]), events)
        if signature := part.get("thoughtSignature"):
            self._seal(kind, _text(signature), events)

    def _say(self, kind: Kind, text: str, events: list[Event]) -> None:
        if not text:
            return
        index = self._blocks.index(kind)
        if index is None or self._sealed == kind:
            self._begin(kind, text, events)
        else:
            events.append(Delta(index, text))

    def _begin(self, kind: Kind, text: str, events: list[Event]) -> None:
        events.extend(self._blocks.close(kind))
        events.extend(self._blocks.append(kind, kind, text))
        self._sealed = ""

    def _seal(self, kind: Kind, signature: str, events: list[Event]) -> None:
        """The signature of the open block. A thought may be nothing but its seal; a text without
        words is nothing.
        """
        if kind == "thinking" and (self._blocks.index(kind) is None or self._sealed == kind):
            self._begin(kind, "", events)
        events.extend(self._blocks.seal(kind, unseal(signature)))
        self._sealed = kind

    def _piece(self, part: dict[str, Any], events: list[Event]) -> None:
        """A part that comes whole. Pictures the model drew while thinking are not for the
        caller.
        """
        if "functionCall" in part:
            self._call(part["functionCall"], part.get("thoughtSignature"), events)
        elif "executableCode" in part:
            code = part["executableCode"]
            language = _text(code.get("language") or "").lower()
            self._say("text", f"\n```{language}\n{_text(code['code'])}\n```\n", events)
        elif "codeExecutionResult" in part:
            output = _text(part["codeExecutionResult"].get("output") or "")
            self._say("text", f"\n```\n{output}\n```\n", events)
        elif "inlineData" in part and not part.get("thought"):
            self._media(part, events)
        elif VERBATIM & part.keys():
            self._whole("opaque", "", events, opaque=Opaque(NAME, part))

    def _call(self, call: dict[str, Any], signature: Any, events: list[Event]) -> None:
        self._calls += 1
        arguments = orjson.dumps(call.get("args") or {}).decode()
        opaque = unseal(_text(signature)) if signature else None
        call_id = _text(call.get("id") or f"{UNNAMED}{self._name}_{self._calls}")
        self._whole("tool_call", arguments, events, call_id, _text(call["name"]), opaque)

    def _media(self, part: dict[str, Any], events: list[Event]) -> None:
        data = part["inlineData"]
        kind, words = _text(data["mimeType"]).lower(), _text(data["data"])
        if not kind.startswith("image/"):
            self._whole("opaque", "", events, opaque=Opaque(NAME, part))
            return
        signature = part.get("thoughtSignature")
        opaque = unseal(_text(signature)) if signature else None
        self._whole("image", words, events, name=kind, opaque=opaque)

    def _whole(
        self,
        kind: Kind,
        text: str,
        events: list[Event],
        call_id: str = "",
        name: str = "",
        opaque: Opaque | None = None,
    ) -> None:
        self._pieces += 1
        key = ("whole", self._pieces)
        events.extend(self._blocks.append(key, kind, text, call_id, name, opaque))
        events.extend(self._blocks.close(key))

    def _ground(self, grounding: dict[str, Any], events: list[Event]) -> None:
        index = self._blocks.index("text")
        for chunk in grounding.get("groundingChunks") or ():
            web = chunk.get("web") or {}
            url = web.get("uri")
            if index is not None and url and url not in self._cited:
                self._cited.add(url)
                events.append(Cited(index, _text(url), _text(web.get("title") or "")))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


class ChunkWriter:
    """Events to chunks. A call waits until it is whole: this dialect has no halves of one."""

    def __init__(self, telling: Telling) -> None:
        tail = {"modelVersion": telling.model, "responseId": telling.id}
        self._tail = b"," + orjson.dumps(tail)[1:]
        self._turn = InTurn()
        self._quiet = telling.reasoning == "none"
        self._kinds: dict[int, Kind] = {}
        self._kept: dict[int, tuple[Opened, list[str]]] = {}
        self._seals: dict[int, Opaque] = {}
        self._usage: Usage | None = None
        self._citations: dict[str, str] = {}

    def open(self) -> bytes:
        return b""

    def beat(self) -> bytes:
        return BEAT

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
                self._open_block(event)
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

    def _open_block(self, event: Opened) -> None:
        if event.kind in CALLS or event.kind in ("image", "opaque"):
            self._kept[event.index] = (event, [])
        elif not (self._quiet and event.kind == "thinking"):
            self._kinds[event.index] = event.kind
            if event.opaque is not None:
                self._seals[event.index] = event.opaque

    def _close(self, index: int, out: list[bytes]) -> None:
        opaque = self._seals.pop(index, None)
        kind = self._kinds.pop(index, None)
        if index in self._kept:
            opened, pieces = self._kept.pop(index)
            part = whole_part(opened, "".join(pieces), opaque or opened.opaque)
            if part:
                out.append(self._chunk(orjson.dumps(part)))
        elif kind is not None and (signature := signature_of(opaque)):
            sealed = {"text": "", "thoughtSignature": signature}
            thought = {"thought": True} if kind == "thinking" else {}
            out.append(self._chunk(orjson.dumps(sealed | thought)))

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
    """A call, an image or a part that only Google understands, complete; empty where another's is
    dropped.
    """
    if opened.kind == "opaque":
        return own(opaque)
    part: dict[str, Any] = {"inlineData": {"mimeType": opened.name, "data": text}}
    if opened.kind in CALLS:
        custom = opened.kind == "custom_call"
        part = function_call(ToolCall(opened.call_id, opened.name, text, custom))
    if signature := signature_of(opaque):
        part["thoughtSignature"] = signature
    return part


def grounding(citations: Mapping[str, str]) -> dict[str, Any]:
    chunks = [{"web": {"uri": url, "title": title}} for url, title in citations.items()]
    return {"groundingChunks": chunks}
