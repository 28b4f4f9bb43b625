"""Anthropic's Messages: `POST /v1/messages`.

System text stands apart from the conversation, tool results are parts of a user's message, and thoughts are
blocks with a signature. `input_tokens` does not count what came from the cache; ours does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.canonical.events import Usage
from app.canonical.parts import Opaque, Part, Refusal, Text, Thinking, ToolCall, carry
from app.canonical.reply import ChatReply, Citation
from app.errors import BadReply
from app.wire.anthropic_blocks import NAME, arguments_object, call_seal, fitting_id
from app.wire.anthropic_request import read_request, write_request
from app.wire.anthropic_stream import (
    REASONS,
    STOP_REASONS,
    MessagesReader,
    MessagesTap,
    MessagesWriter,
    envelope,
    read_error,
    read_usage,
    write_error,
    write_usage,
)
from app.wire.dialect import Telling

__all__ = [
    "INLINES",
    "MOST_STOPS",
    "NAME",
    "STOP_FIELD",
    "STREAM_END",
    "STREAM_TYPE",
    "find_usage",
    "read_error",
    "read_reply",
    "read_request",
    "read_stream",
    "tap",
    "write_error",
    "write_reply",
    "write_request",
    "write_stream",
]

INLINES = frozenset({"audio", "video"})  # links of images and PDFs it opens itself
STREAM_TYPE = "text/event-stream; charset=utf-8"
STREAM_END = b""
STOP_FIELD = "stop_sequences"
MOST_STOPS = 8191


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
        citations = [
            Citation(one["url"], one.get("title") or "")
            for block in blocks
            for one in block.get("citations") or ()
            if one.get("url")
        ]
        return ChatReply(
            str(body["id"]),
            str(body["model"]),
            tuple(part for block in blocks if (part := _read_part(block)) is not None),
            read_usage(body.get("usage")),
            REASONS.get(body.get("stop_reason") or "", "stop"),
            body.get("stop_sequence"),
            tuple(citations),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error


def _read_part(block: dict[str, Any]) -> Part | None:
    match block["type"]:
        case "text":
            return Text(_text(block["text"])) if block["text"] else None
        case "thinking":
            seal = block.get("signature")
            opaque = Opaque(NAME, {"signature": seal}) if seal else None
            return Thinking(_text(block["thinking"]), opaque)
        case "tool_use":
            arguments = orjson.dumps(block["input"]).decode()
            return ToolCall(_text(block["id"]), _text(block["name"]), arguments)
        case "redacted_thinking":
            return Opaque(NAME, block)
        case _:
            return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def write_reply(reply: ChatReply, telling: Telling) -> dict[str, Any]:
    content = [block for part in reply.parts for block in _write_part(part, telling)]
    reason = reply.reason
    if reason == "stop" and any(block["type"] == "tool_use" for block in content):
        reason = "tool_calls"
    return envelope(telling) | {
        "content": content or [{"type": "text", "text": ""}],
        "stop_reason": STOP_REASONS[reason],
        "stop_sequence": reply.stop_sequence,
        "usage": write_usage(reply.usage or Usage(0, 0)),
    }


def _write_part(part: Part, telling: Telling) -> list[dict[str, Any]]:
    quiet = telling.reasoning == "none"
    match part:
        case Text(text) | Refusal(text):
            return [{"type": "text", "text": text}] if text else []
        case Thinking(text, opaque) if not quiet:
            return [{"type": "thinking", "thinking": text, "signature": _signature(opaque)}]
        case ToolCall():
            return _write_call(part)
        case Opaque(dialect, value) if dialect == NAME and not quiet:
            return [dict(value)]
        case _:
            return []


def _signature(opaque: Opaque | None) -> str:
    if opaque is None:
        return carry(Opaque("", None))
    if opaque.dialect == NAME and isinstance(opaque.value, dict) and "signature" in opaque.value:
        return str(opaque.value["signature"])
    return carry(opaque)


def _write_call(call: ToolCall) -> list[dict[str, Any]]:
    call_id = fitting_id(call.call_id)
    given = {"input": call.arguments} if call.custom else arguments_object(call.arguments)
    block = {"type": "tool_use", "id": call_id, "name": call.name, "input": given}
    if call.opaque is None or call.opaque.dialect == NAME:
        return [block]
    seal = call_seal(call_id, call.opaque)
    return [{"type": "thinking", "thinking": "", "signature": seal}, block]
