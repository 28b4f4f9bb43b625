"""Content blocks of Anthropic's Messages, read and written.

A thought comes back only with its signature, and only as it was. A signature that another platform needs travels as an
envelope in the `signature` of a thought; where it belongs to a call, which has no place for one, an empty thought before
the call carries it, and says so inside the envelope.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import orjson

from app.canonical.attachments import decoded, source
from app.canonical.parts import (
    Document,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Refusal,
    Stored,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    carry,
    uncarry,
)
from app.errors import BadRequest
from app.wire import fields

NAME = "anthropic_messages"
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
OWN = frozenset(
    {"cache_control", "citations", "context", "transformations", "caller", "toolset_name"}
)
_ID = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


def fitting_id(call_id: str) -> str:
    """The id itself where it fits Anthropic's pattern, else one that is always the same for it."""
    if _ID.match(call_id):
        return call_id
    return "toolu_" + hashlib.sha256(call_id.encode()).hexdigest()[:24]


def call_seal(call_id: str, opaque: Opaque) -> str:
    """The signature of an empty thought that carries what belongs to a call."""
    inside = {"call": call_id, "d": opaque.dialect, "v": opaque.value}
    return carry(Opaque(NAME, inside))


# ---------------------------------------------------------------- reading


def read_blocks(content: Any, param: str) -> tuple[Part, ...]:
    """The parts of a message. Seals of calls find their call."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Part] = []
    seals: dict[str, Opaque] = {}
    for i, block in enumerate(fields.a_list(content, param)):
        part = read_block(block, f"{param}[{i}]")
        if isinstance(part, Thinking) and (held := _held(part)):
            seals[held[0]] = held[1]
        elif isinstance(part, ToolCall) and part.call_id in seals:
            opaque = seals.pop(part.call_id)
            parts.append(ToolCall(part.call_id, part.name, part.arguments, opaque=opaque))
        else:
            parts.append(part)
    return tuple(parts)


def _held(thought: Thinking) -> tuple[str, Opaque] | None:
    opaque = thought.opaque
    if opaque is None or opaque.dialect != NAME or not isinstance(opaque.value, dict):
        return None
    value = opaque.value
    if isinstance(value.get("call"), str) and isinstance(value.get("d"), str):
        return value["call"], Opaque(value["d"], value.get("v"))
    return None


def read_block(block: Any, param: str) -> Part:
    block = fields.an_object(block, param)
    kind = block.get("type")
    match kind:
        case "text":
            return Text(fields.text(block.get("text"), f"{param}.text"), _marks(block))
        case "thinking":
            return _read_thinking(block, param)
        case "image":
            found = _read_source(block.get("source"), f"{param}.source")
            return Image(found, opaque=_marks(block))
        case "document":
            return _read_document(block, param)
        case "tool_use":
            arguments = fields.an_object(block.get("input", {}), f"{param}.input")
            call_id = fields.text(block.get("id"), f"{param}.id")
            name = fields.text(block.get("name"), f"{param}.name")
            return ToolCall(call_id, name, orjson.dumps(arguments).decode(), opaque=_marks(block))
        case "tool_result":
            return _read_result(block, param)
        case str():
            return Opaque(
                NAME, dict(block)
            )  # redacted thoughts, the platform's own tools: verbatim
        case _:
            raise BadRequest("{field} is required", param=f"{param}.type", field=f"{param}.type")


def _marks(block: Mapping[str, Any]) -> Opaque | None:
    """The fields that only this dialect has on a common block."""
    own = {name: block[name] for name in OWN & block.keys() if block[name] is not None}
    return Opaque(NAME, own) if own else None


def _read_thinking(block: Mapping[str, Any], param: str) -> Thinking:
    words = fields.optional_text(block, "thinking", f"{param}.thinking")
    seal = fields.optional_text(block, "signature", f"{param}.signature")
    if not seal:
        return Thinking(words)
    return Thinking(words, uncarry(seal) or Opaque(NAME, {"signature": seal}))


def _read_source(given: Any, param: str) -> Inline | Link | Stored:
    given = fields.an_object(given, param)
    kind = given.get("type")
    if kind == "base64":
        media_type = fields.optional_text(given, "media_type", f"{param}.media_type")
        found = source(
            fields.text(given.get("data"), f"{param}.data"), param=f"{param}.data", named=media_type
        )
        if isinstance(found, Inline) and media_type:
            return Inline(media_type.lower(), found.base64)
        return found
    if kind == "url":
        return Link(fields.text(given.get("url"), f"{param}.url"))
    if kind == "file":
        return Stored(NAME, fields.text(given.get("file_id"), f"{param}.file_id"))
    raise BadRequest(
        "{field} must be one of {choices}",
        param=f"{param}.type",
        field=f"{param}.type",
        choices="base64, url, file",
    )


def _read_document(block: Mapping[str, Any], param: str) -> Part:
    given = fields.an_object(block.get("source"), f"{param}.source")
    title = fields.optional_text(block, "title", f"{param}.title")
    if given.get("type") == "text":
        words = fields.text(given.get("data"), f"{param}.source.data")
        return Text(
            f"{title}\n\n{words}" if title else words, Opaque(NAME, {"document": dict(block)})
        )
    if given.get("type") == "content":
        return Opaque(NAME, dict(block))
    return Document(_read_source(given, f"{param}.source"), title, _marks(block))


def _read_result(block: Mapping[str, Any], param: str) -> ToolResult:
    content = block.get("content")
    parts = read_blocks(content, f"{param}.content") if content is not None else ()
    kept = tuple(part for part in parts if isinstance(part, (Text, Image, Document, Opaque)))
    is_error = block.get("is_error") is True
    call_id = fields.text(block.get("tool_use_id"), f"{param}.tool_use_id")
    return ToolResult(call_id, kept, is_error, opaque=_marks(block))


# ---------------------------------------------------------------- writing


def write_blocks(parts: tuple[Part, ...], *, assistant: bool, replay: bool) -> list[dict[str, Any]]:
    """The blocks of a turn: results first, nothing blank. `replay` lets sealed thoughts of Anthropic's go back."""
    blocks = [block for part in parts if (block := _write_block(part, assistant, replay))]
    if not assistant:
        blocks.sort(key=lambda block: block["type"] != "tool_result")
    return blocks


def _own(opaque: Opaque | None) -> dict[str, Any]:
    if opaque is not None and opaque.dialect == NAME and isinstance(opaque.value, dict):
        return {name: value for name, value in opaque.value.items() if name in OWN}
    return {}


def _write_block(part: Part, assistant: bool, replay: bool) -> dict[str, Any] | None:
    match part:
        case Text(text, opaque):
            return _write_text(text, opaque)
        case Refusal(text):
            return {"type": "text", "text": text} if text.strip() else None
        case Thinking(text, opaque):
            return _write_thinking(text, opaque) if assistant and replay else None
        case Image(found, _, opaque):
            return _write_media("image", found) | _own(opaque)
        case Document(found, name, opaque):
            return _write_document(found, name) | _own(opaque)
        case ToolCall():
            return _write_call(part)
        case ToolResult():
            return _write_result(part)
        case Opaque(dialect, value):
            is_thought = isinstance(value, dict) and value.get("type") == "redacted_thinking"
            return dict(value) if dialect == NAME and (replay or not is_thought) else None
        case _:
            kind = type(part).__name__.lower()
            raise BadRequest(
                "{field}: a part of type {kind} is not supported here",
                param="messages",
                field="messages",
                kind=kind,
            )


def _write_text(text: str, opaque: Opaque | None) -> dict[str, Any] | None:
    if opaque is not None and opaque.dialect == NAME and "document" in opaque.value:
        return dict(opaque.value["document"])
    own = _own(opaque)
    own.pop("citations", None)
    return {"type": "text", "text": text} | own if text.strip() else None


def _write_thinking(text: str, opaque: Opaque | None) -> dict[str, Any] | None:
    if opaque is None or opaque.dialect != NAME or "signature" not in opaque.value:
        return None  # a thought cannot be rebuilt from its words
    return {"type": "thinking", "thinking": text, "signature": opaque.value["signature"]}


def _write_media(kind: str, found: Inline | Link | Stored) -> dict[str, Any]:
    match found:
        case Inline(media_type, data):
            if kind == "image" and media_type not in IMAGES:
                raise BadRequest(
                    "{field}: a part of type {kind} is not supported here",
                    param="messages",
                    field="messages",
                    kind=media_type,
                )
            given = {"type": "base64", "media_type": media_type, "data": data}
        case Link(url):
            given = {"type": "url", "url": url}
        case Stored(_, file_id):
            given = {"type": "file", "file_id": file_id}
    return {"type": kind, "source": given}


def _write_document(found: Inline | Link | Stored, name: str) -> dict[str, Any]:
    if isinstance(found, Inline) and found.media_type.startswith("image/"):
        return _write_media("image", found)
    if isinstance(found, Inline) and found.media_type != "application/pdf":
        return _write_text_file(found, name)
    return _write_media("document", found) | ({"title": name} if name else {})


def _write_text_file(found: Inline, name: str) -> dict[str, Any]:
    try:
        words = decoded(found, param="messages").decode()
    except UnicodeDecodeError as error:
        raise BadRequest(
            "{field}: a part of type {kind} is not supported here",
            param="messages",
            field="messages",
            kind=found.media_type,
        ) from error
    given = {"type": "text", "media_type": "text/plain", "data": words}
    return {"type": "document", "source": given} | ({"title": name} if name else {})


def arguments_object(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object Anthropic wants; what is no object is kept under a name of its own."""
    try:
        value = orjson.loads(arguments) if arguments.strip() else {}
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"_raw": arguments}


def _write_call(call: ToolCall) -> dict[str, Any]:
    given = {"input": call.arguments} if call.custom else arguments_object(call.arguments)
    block = {"type": "tool_use", "id": fitting_id(call.call_id), "name": call.name, "input": given}
    return block | _own(call.opaque)


def _write_result(result: ToolResult) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": fitting_id(result.call_id)}
    content = [b for part in result.content if (b := _write_block(part, False, False))]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    if result.is_error:
        block["is_error"] = True
    return block | _own(result.opaque)
