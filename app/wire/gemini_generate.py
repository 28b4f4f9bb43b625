"""Google's generateContent: `POST /v1beta/models/{model}:generateContent` and
`:streamGenerateContent`.

The model and the choice to stream are in the path. Calls end with the reason `STOP` like everything
else, output tokens are counted without thoughts, and a signature sits on the very part it belongs
to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from app.canonical.events import Event, Usage
from app.canonical.parts import Image, Inline, Opaque, Part, Refusal, Text, Thinking, ToolCall
from app.canonical.reply import ChatReply, fold
from app.errors import BadReply
from app.wire.dialect import Telling
from app.wire.gemini_parts import NAME, function_call, own, signature_of
from app.wire.gemini_request import (
    answers,
    output_limit,
    read_request,
    with_output_limit,
    write_request,
)
from app.wire.gemini_stream import (
    FINISH_REASONS,
    ArrayWriter,
    ChunkReader,
    ChunkWriter,
    grounding,
    read_error,
    read_usage,
    write_error,
    write_usage,
)
from app.wire.gemini_tap import ArrayTap, ChunkTap
from app.wire.json_array import Elements

__all__ = [
    "answers",
    "INLINES",
    "MOST_STOPS",
    "NAME",
    "STOP_FIELD",
    "STREAM_END",
    "STREAM_TYPE",
    "array_tap",
    "find_usage",
    "output_limit",
    "read_array_stream",
    "read_error",
    "read_reply",
    "read_request",
    "read_stream",
    "takes_link",
    "tap",
    "with_output_limit",
    "write_array_stream",
    "write_error",
    "write_reply",
    "write_request",
    "write_stream",
]

INLINES = frozenset({"image", "document", "audio", "video"})
STREAM_TYPE = "text/event-stream"
STREAM_END = b""
STOP_FIELD = "stopSequences"
MOST_STOPS = 5
OPENED = frozenset({"www.youtube.com", "youtube.com", "youtu.be", "m.youtube.com"})


def takes_link(url: str) -> bool:
    """Whether Google opens the link itself: films at YouTube, and files kept with it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    is_file = parts.hostname == "generativelanguage.googleapis.com" and "/files/" in parts.path
    return parts.scheme == "https" and (parts.hostname in OPENED or is_file)


def read_stream() -> ChunkReader:
    return ChunkReader()


def read_array_stream() -> ChunkReader:
    return ChunkReader(Elements())


def write_stream(telling: Telling) -> ChunkWriter:
    return ChunkWriter(telling)


def write_array_stream(telling: Telling) -> ArrayWriter:
    return ArrayWriter(telling)


def tap() -> ChunkTap:
    return ChunkTap()


def array_tap() -> ArrayTap:
    return ArrayTap()


def find_usage(body: Mapping[str, Any]) -> Usage | None:
    return read_usage(body.get("usageMetadata"))


def read_reply(body: Mapping[str, Any]) -> ChatReply:
    reader, events = ChunkReader(), list[Event]()
    try:
        reader.read(dict(body), events)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error
    if reader.done:  # it was an error with a status of success
        raise BadReply("the platform sent an answer that cannot be read")
    reader.end(events)
    return fold(events)


def write_reply(reply: ChatReply, telling: Telling) -> dict[str, Any]:
    quiet = telling.reasoning == "none"
    parts = [written for part in reply.parts if (written := _write_part(part, quiet)) is not None]
    candidate: dict[str, Any] = {
        "content": {"parts": parts or [{"text": ""}], "role": "model"},
        "finishReason": FINISH_REASONS[reply.reason],
        "index": 0,
    }
    if reply.citations:
        candidate["groundingMetadata"] = grounding({one.url: one.title for one in reply.citations})
    return {
        "candidates": [candidate],
        "usageMetadata": write_usage(reply.usage or Usage(0, 0)),
        "modelVersion": telling.model,
        "responseId": telling.id,
    }


def _write_part(part: Part, quiet: bool) -> dict[str, Any] | None:
    match part:
        case Text(text, opaque):
            return _signed({"text": text}, opaque) if text or opaque else None
        case Refusal(text):
            return {"text": text}
        case Thinking(text, opaque):
            return None if quiet else _signed({"text": text, "thought": True}, opaque)
        case ToolCall(_, _, _, _, opaque):
            return _signed(function_call(part), opaque)
        case Image(Inline(media_type, data), _, opaque):
            return _signed({"inlineData": {"mimeType": media_type, "data": data}}, opaque)
        case Opaque():
            return own(part) or None
        case _:
            return None


def _signed(part: dict[str, Any], opaque: Opaque | None) -> dict[str, Any]:
    signature = signature_of(opaque)
    return part | ({"thoughtSignature": signature} if signature else {})
