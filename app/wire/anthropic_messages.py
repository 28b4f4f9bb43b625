"""Anthropic's Messages: `POST /v1/messages`.

System text stands apart from the conversation, tool results are parts of a user's message, and
thoughts are blocks with a signature. `input_tokens` does not count what came from the cache; ours
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.canonical.events import Usage
from app.canonical.parts import Image, Inline, Opaque, Part, Refusal, Text, Thinking, ToolCall
from app.canonical.reply import ChatReply, Citation
from app.errors import BadReply
from app.wire.anthropic_blocks import (
    NAME,
    NEXT_TEXT,
    REDACTED,
    call_seal,
    fitting_id,
    foreign,
    own,
    redacted,
    signature,
    write_call,
)
from app.wire.anthropic_request import (
    output_limit,
    read_request,
    with_output_limit,
    write_request,
)
from app.wire.anthropic_stream import (
    REASONS,
    MessagesReader,
    MessagesTap,
    explanation,
    read_error,
    read_usage,
)
from app.wire.anthropic_writer import (
    STOP_REASONS,
    MessagesWriter,
    citation,
    envelope,
    picture,
    stop_details,
    write_error,
    write_usage,
)
from app.wire.dialect import Telling
from app.wire.output import one_answer as answers

__all__ = [
    "answers",
    "INLINES",
    "MOST_STOPS",
    "NAME",
    "STOP_FIELD",
    "STREAM_END",
    "STREAM_TYPE",
    "find_usage",
    "output_limit",
    "read_error",
    "read_reply",
    "read_request",
    "read_stream",
    "tap",
    "with_output_limit",
    "write_error",
    "write_reply",
    "write_request",
    "write_stream",
]

INLINES: frozenset[str] = (
    frozenset()
)  # opens links of images and PDFs; sound and film it does not take at all
STREAM_TYPE = "text/event-stream; charset=utf-8"
STREAM_END = b""
STOP_FIELD = "stop_sequences"
MOST_STOPS = 100


def read_stream() -> MessagesReader:
    return MessagesReader()


def write_stream(telling: Telling) -> MessagesWriter:
    return MessagesWriter(telling)


def tap() -> MessagesTap:
    return MessagesTap()


def find_usage(body: Mapping[str, Any]) -> Usage | None:
    return read_usage(body.get("usage"))


def read_reply(body: Mapping[str, Any]) -> ChatReply:
    try:
        blocks = body["content"]
        parts = [part for block in blocks if (part := _read_part(block)) is not None]
        if words := explanation(body):
            parts.append(Refusal(words))
        stop = body.get("stop_sequence")
        return ChatReply(
            str(body["id"]),
            str(body["model"]),
            tuple(parts),
            read_usage(body.get("usage")),
            REASONS.get(body.get("stop_reason") or "", "stop"),
            None if stop is None else _text(stop),
            tuple(_citations(blocks)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error


def _citations(blocks: list[dict[str, Any]]) -> dict[Citation, None]:
    """The web pages the text rests on, each once."""
    cited = (one for block in blocks for one in block.get("citations") or () if one.get("url"))
    return {Citation(_text(one["url"]), _text(one.get("title") or "")): None for one in cited}


def _read_part(block: dict[str, Any]) -> Part | None:
    match block["type"]:
        case "text":
            return Text(_text(block["text"])) if block["text"] else None
        case "thinking":
            seal = block.get("signature")
            opaque = Opaque(NAME, {"signature": _text(seal)}) if seal else None
            return Thinking(_text(block["thinking"]), opaque)
        case "redacted_thinking":
            opaque = Opaque(NAME, {"type": REDACTED, "data": _text(block["data"])})
            return Thinking("", opaque)
        case "tool_use":
            given = block.get("input") or {}
            if not isinstance(given, dict):
                raise TypeError("object expected")
            return ToolCall(_text(block["id"]), _text(block["name"]), orjson.dumps(given).decode())
        case _:
            return Opaque(NAME, dict(block))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def write_reply(reply: ChatReply, telling: Telling) -> dict[str, Any]:
    content = [block for part in reply.parts for block in _write_part(part, telling)]
    _cite(content, reply.citations)
    reason = reply.reason
    if reason == "stop" and any(block["type"] == "tool_use" for block in content):
        reason = "tool_calls"
    return envelope(telling) | {
        "content": content or [{"type": "text", "text": ""}],
        "stop_reason": STOP_REASONS[reason],
        "stop_sequence": reply.stop_sequence,
        "stop_details": stop_details(reason),
        "usage": write_usage(reply.usage or Usage(0, 0)),
    }


def _cite(content: list[dict[str, Any]], citations: tuple[Citation, ...]) -> None:
    texts = [block for block in content if block["type"] == "text"]
    if texts and citations:
        texts[-1]["citations"] = [citation(one.url, one.title) for one in citations]


def _write_part(part: Part, telling: Telling) -> list[dict[str, Any]]:
    quiet = telling.reasoning == "none"
    match part:
        case Text(text, opaque):
            block = {"type": "text", "text": text}
            return [*(() if quiet else _sealed(NEXT_TEXT, opaque)), block] if text else []
        case Refusal(text):
            return [{"type": "text", "text": text}] if text else []
        case Image(Inline(media_type, data)):
            return [{"type": "text", "text": "".join((picture(media_type), data, ")"))}]
        case Thinking(text, opaque) if not quiet and (text or opaque is not None):
            thought = {"type": "thinking", "thinking": text, "signature": signature(opaque)}
            return [redacted(opaque) or thought]
        case ToolCall():
            call_id = fitting_id(part.call_id)
            return [*(() if quiet else _sealed(call_id, part.opaque)), write_call(part)]
        case Opaque():
            block = dict(own(part))
            return [block] if "type" in block and not quiet else []
        case _:
            return []


def _sealed(call_id: str, opaque: Opaque | None) -> list[dict[str, Any]]:
    mark = foreign(opaque)
    if mark is None:
        return []
    return [{"type": "thinking", "thinking": "", "signature": call_seal(call_id, mark)}]
