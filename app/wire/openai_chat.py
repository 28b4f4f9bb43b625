"""OpenAI chat completions: `POST /v1/chat/completions`.

The dialect most callers speak and many platforms copy. Reasoning is not OpenAI's own here:
`reasoning_content` is what other servers made common, and `reasoning_details` is how a sealed
thought comes back to us.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.canonical.events import Usage
from app.canonical.parts import Image, Inline, Part, Refusal, Text, Thinking, ToolCall
from app.canonical.reply import ChatReply, Citation
from app.errors import BadReply
from app.wire.dialect import Telling
from app.wire.openai_chat_messages import NAME
from app.wire.openai_chat_patch import ChatTap
from app.wire.openai_chat_request import (
    answers,
    output_limit,
    read_request,
    with_output_limit,
    write_request,
)
from app.wire.openai_chat_seals import read_call_seal, read_details, write_call_seal, write_detail
from app.wire.openai_chat_stream import (
    DONE,
    FINISH_REASONS,
    ID_PREFIX,
    REASONS,
    ChatReader,
    ChatWriter,
    read_error,
    read_usage,
    text_of,
    write_error,
    write_usage,
)
from app.wire.sse import KEEP_ALIVE

__all__ = [
    "answers",
    "INLINES",
    "KEEP_ALIVE",
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
    "write_usage",
]

INLINES = frozenset({"document", "audio", "video"})
STREAM_TYPE = "text/event-stream; charset=utf-8"
STREAM_END = DONE
STOP_FIELD = "stop"
MOST_STOPS = 4


def read_stream() -> ChatReader:
    return ChatReader()


def write_stream(telling: Telling) -> ChatWriter:
    return ChatWriter(telling)


def tap() -> ChatTap:
    return ChatTap()


def find_usage(body: Mapping[str, Any]) -> Usage | None:
    return read_usage(body.get("usage"))


def read_reply(body: Mapping[str, Any]) -> ChatReply:
    try:
        choice = body["choices"][0]
        message = choice["message"]
        notes = [note.get("url_citation") or {} for note in message.get("annotations") or ()]
        return ChatReply(
            str(body.get("id") or ""),
            str(body.get("model") or ""),
            tuple(_read_parts(message)),
            read_usage(body.get("usage")),
            REASONS.get(choice.get("finish_reason"), "stop"),
            citations=tuple(
                Citation(text_of(n["url"]), text_of(n.get("title") or ""))
                for n in notes
                if n.get("url")
            ),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error


def _read_parts(message: dict[str, Any]) -> list[Part]:
    parts: list[Part] = []
    if sealed := read_details(message):
        parts.extend(sealed)
    elif thought := message.get("reasoning_content") or message.get("reasoning"):
        parts.append(Thinking(text_of(thought)))
    if content := message.get("content"):
        parts.append(Text(text_of(content)))
    if refusal := message.get("refusal"):
        parts.append(Refusal(text_of(refusal)))
    parts.extend(_read_call(call) for call in message.get("tool_calls") or ())
    return parts


def _read_call(call: dict[str, Any]) -> ToolCall:
    custom = call.get("type") == "custom"
    inner = call["custom" if custom else "function"]
    words = inner.get("input" if custom else "arguments") or ""
    name, opaque = text_of(inner["name"]), read_call_seal(call)
    return ToolCall(text_of(call["id"]), name, text_of(words), custom, opaque)


def write_reply(reply: ChatReply, telling: Telling) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls = [part for part in reply.parts if isinstance(part, ToolCall)]
    words = _words(reply, telling)
    if words or not calls:
        message["content"] = words
    _write_thoughts(reply, telling, message)
    if refusal := "".join(part.text for part in reply.parts if isinstance(part, Refusal)):
        message["refusal"] = refusal
    if calls:
        message["tool_calls"] = [_write_call(call, telling, i) for i, call in enumerate(calls)]
    if reply.citations:
        message["annotations"] = [_write_citation(one) for one in reply.citations]
    finish = "tool_calls" if calls and reply.reason == "stop" else FINISH_REASONS[reply.reason]
    return {
        "id": ID_PREFIX + telling.id,
        "object": "chat.completion",
        "created": telling.created,
        "model": telling.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": write_usage(reply.usage or Usage(0, 0, estimated=True)),
    }


def _words(reply: ChatReply, telling: Telling) -> str:
    """The visible text; inline thoughts come in it, between tags (C-129)."""
    words: list[str] = []
    for part in reply.parts:
        match part:
            case Text(text):
                words.append(text)
            case Thinking(text) if text and telling.reasoning == "inline":
                words.append(f"<think>{text}</think>")
            case Image(Inline(media_type, data)):
                words.append(f"![image](data:{media_type};base64,{data})")
            case _:
                pass
    return "".join(words)


def _write_thoughts(reply: ChatReply, telling: Telling, message: dict[str, Any]) -> None:
    if telling.reasoning != "field":
        return
    thoughts = [part for part in reply.parts if isinstance(part, Thinking)]
    words = "".join(thought.text for thought in thoughts)
    if words:
        message["reasoning_content"] = words
    sealed = [write_detail(one.text, one.opaque) for one in thoughts if one.opaque is not None]
    if sealed:
        message["reasoning_details"] = sealed


def _write_call(call: ToolCall, telling: Telling, place: int) -> dict[str, Any]:
    written: dict[str, Any] = {"id": call.call_id or f"call_{telling.id}_{place}"}
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        written |= {"type": "custom", "custom": custom}
    else:
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        written |= {"type": "function", "function": function}
    if call.opaque is not None:
        written |= write_call_seal(call.opaque)
    return written


def _write_citation(citation: Citation) -> dict[str, Any]:
    cited = {"start_index": 0, "end_index": 0, "url": citation.url, "title": citation.title}
    return {"type": "url_citation", "url_citation": cited}
