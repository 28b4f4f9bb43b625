"""Content blocks of Anthropic's Messages, read and written.

A thought comes back only with its signature, and only as it was. A signature that another platform
needs travels as an envelope in the `signature` of a thought; where it belongs to a call or a text,
which have no place for one, an empty thought beside it carries it, and says so inside the envelope.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from app.canonical.attachments import decoded, inline, source
from app.canonical.media_type import sniff
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
REPLAYED = frozenset(
    """browser_state compaction container_upload fallback mcp_tool_use search_result server_tool_use
    tool_reference""".split()
)  # blocks without a counterpart: they go back as they came, like every `..._tool_result`
REDACTED = "redacted_thinking"
NEXT_TEXT = "+"  # stands for the id of a call, and can be none
UNSIGNED = carry(Opaque("", None))  # clients keep a thought only with a signature; this one is none
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)


def fitting_id(call_id: str) -> str:
    """The id itself where it fits Anthropic's pattern, else one that is always the same for it."""
    if _ID.fullmatch(call_id):
        return call_id
    return "toolu_" + hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:24]


def own(opaque: Opaque | None) -> Mapping[str, Any]:
    """What this dialect has put away for itself. Callers can forge an envelope, so any shape may
    turn up.
    """
    if opaque is not None and opaque.dialect == NAME and isinstance(opaque.value, dict):
        return opaque.value
    return {}


def signature(opaque: Opaque | None) -> str:
    """What a thought is signed with towards a caller."""
    if opaque is None:
        return UNSIGNED
    signed = own(opaque).get("signature")
    return signed if isinstance(signed, str) and signed else carry(opaque)


def redacted(opaque: Opaque | None) -> dict[str, Any] | None:
    """The redacted block that a thought without words stands for."""
    value = own(opaque)
    return dict(value) if value.get("type") == REDACTED else None


def foreign(opaque: Opaque | None) -> Opaque | None:
    """The mark of another platform, which has to travel beside its block."""
    return None if opaque is None or opaque.dialect in ("", NAME) else opaque


def call_seal(call_id: str, opaque: Opaque) -> str:
    """The signature of an empty thought that carries what belongs to a call; without an id, to the
    text before it; with NEXT_TEXT, to the text behind it.
    """
    inside = {"call": call_id, "opaque": {"d": opaque.dialect, "v": opaque.value}}
    return carry(Opaque(NAME, inside))


def _held(part: Part) -> tuple[str, Opaque] | None:
    """What `call_seal` packed."""
    if not isinstance(part, Thinking) or part.text:
        return None
    value = own(part.opaque)
    match value.get("call"), value.get("opaque"):
        case str(call_id), {"d": str(dialect), "v": mark}:
            return call_id, Opaque(dialect, mark)
    return None


# ---------------------------------------------------------------- reading


def read_blocks(content: Any, param: str) -> tuple[Part, ...]:
    """The parts of a message. Seals find what they belong to, whether it comes before them or
    after.
    """
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Part] = []
    seals: dict[str, Opaque] = {}
    for i, block in enumerate(fields.a_list_or_text(content, param)):
        part = read_block(block, f"{param}[{i}]")
        if (held := _held(part)) is not None:
            if not _signed(parts, *held):
                seals[held[0]] = held[1]
        elif isinstance(part, ToolCall) and part.call_id in seals:
            parts.append(replace(part, opaque=seals.pop(part.call_id)))
        elif isinstance(part, Text) and NEXT_TEXT in seals:
            parts.append(replace(part, opaque=seals.pop(NEXT_TEXT)))
        else:
            parts.append(part)
    return tuple(parts)


def _signed(parts: list[Part], call_id: str, mark: Opaque) -> bool:
    """Puts the mark on the call with that id, or on the text right before; says whether there was
    one.
    """
    for i in reversed(range(len(parts))):
        part = parts[i]
        if isinstance(part, ToolCall) and call_id and part.call_id == call_id:
            parts[i] = replace(part, opaque=mark)
            return True
        if isinstance(part, Text) and not call_id:
            parts[i] = replace(part, opaque=mark)
            return True
    return False


def read_block(block: Any, param: str) -> Part:
    block = fields.an_object(block, param)
    kind = block.get("type")
    match kind:
        case "text":
            return Text(fields.text(block.get("text"), f"{param}.text"), _marks(block))
        case "thinking":
            return _read_thinking(block, param)
        case "image":
            given = fields.an_object(block.get("source"), f"{param}.source")
            return Image(_read_source(given, f"{param}.source"), opaque=_marks(block))
        case "document":
            return _read_document(block, param)
        case "tool_use":
            arguments = fields.an_object(block.get("input", {}), f"{param}.input")
            call_id = fields.text(block.get("id"), f"{param}.id")
            name = fields.text(block.get("name"), f"{param}.name")
            return ToolCall(call_id, name, orjson.dumps(arguments).decode(), opaque=_marks(block))
        case "tool_result":
            return _read_result(block, param)
        case "redacted_thinking":
            data = fields.text(block.get("data"), f"{param}.data")
            return Thinking("", Opaque(NAME, {"type": REDACTED, "data": data}))
        case str() if kind in REPLAYED or kind.endswith("_tool_result"):
            return Opaque(NAME, dict(block))
        case str():
            raise BadRequest(
                "{field}: a part of type {kind} is not supported here",
                param=param,
                field=param,
                kind=kind[:64] or "none",
            )
        case _:
            raise BadRequest("{field} is required", param=f"{param}.type", field=f"{param}.type")


def _marks(block: Mapping[str, Any]) -> Opaque | None:
    """The fields that only this dialect has on a common block."""
    marks = {name: block[name] for name in OWN & block.keys() if block[name] is not None}
    return Opaque(NAME, marks) if marks else None


def _read_thinking(block: Mapping[str, Any], param: str) -> Thinking:
    words = fields.optional_text(block, "thinking", f"{param}.thinking")
    seal = fields.optional_text(block, "signature", f"{param}.signature")
    if not seal:
        return Thinking(words)
    carried = uncarry(seal)
    if carried is None:
        return Thinking(words, Opaque(NAME, {"signature": seal}))
    return Thinking(words, carried if carried.dialect else None)


def _read_source(given: Mapping[str, Any], param: str) -> Inline | Link | Stored:
    match given.get("type"):
        case "base64":
            named = fields.optional_text(given, "media_type", f"{param}.media_type").lower()
            data = fields.text(given.get("data"), f"{param}.data")
            return inline(data, named.partition(";")[0].strip(), param=f"{param}.data")
        case "url":
            return source(fields.text(given.get("url"), f"{param}.url"), param=f"{param}.url")
        case "file":
            return Stored(NAME, fields.text(given.get("file_id"), f"{param}.file_id"))
        case _:
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


def write_blocks(parts: tuple[Part, ...], *, assistant: bool) -> list[dict[str, Any]]:
    """The blocks of a turn: results first, nothing blank."""
    blocks = [block for part in parts if (block := _write_block(part, assistant)) is not None]
    if not assistant:
        blocks.sort(key=lambda block: block["type"] != "tool_result")
    return blocks


def _own(opaque: Opaque | None) -> dict[str, Any]:
    return {name: value for name, value in own(opaque).items() if name in OWN}


def _write_block(part: Part, assistant: bool) -> dict[str, Any] | None:
    match part:
        case Text(text, opaque):
            return _write_text(text, opaque)
        case Refusal(text):
            return {"type": "text", "text": text} if text.strip() else None
        case Thinking(text, opaque):
            return _write_thinking(text, opaque) if assistant else None
        case Image() | Document() if assistant:
            return None  # only a user can show something here
        case Image(found, _, opaque):
            return _write_image(found) | _own(opaque)
        case Document(found, name, opaque):
            return _write_document(found, name) | _own(opaque)
        case ToolCall():
            return write_call(part) | _own(part.opaque)
        case ToolResult():
            return _write_result(part)
        case Opaque():
            block = own(part)
            return dict(block) if "type" in block else None
        case _:
            raise _unsupported(type(part).__name__.lower())


def _unsupported(kind: str) -> BadRequest:
    return BadRequest(
        "{field}: a part of type {kind} is not supported here",
        param="messages",
        field="messages",
        kind=kind,
    )


def _write_text(text: str, opaque: Opaque | None) -> dict[str, Any] | None:
    document = own(opaque).get("document")
    if isinstance(document, dict):
        return dict(document)
    marks = _own(opaque)
    marks.pop("citations", None)
    return {"type": "text", "text": text} | marks if text.strip() else None


def _write_thinking(text: str, opaque: Opaque | None) -> dict[str, Any] | None:
    """A thought cannot be rebuilt from its words: without its signature it stays away."""
    if (block := redacted(opaque)) is not None:
        return block
    signed = own(opaque).get("signature")
    if not isinstance(signed, str) or not signed:
        return None
    return {"type": "thinking", "thinking": text, "signature": signed}


def _write_source(found: Inline | Link | Stored) -> dict[str, Any]:
    match found:
        case Inline(media_type, data):
            return {"type": "base64", "media_type": media_type, "data": data}
        case Link(url):
            return {"type": "url", "url": url}
        case Stored(dialect, file_id):
            if dialect != NAME:
                raise _unsupported("file_id")
            return {"type": "file", "file_id": file_id}


def _write_image(found: Inline | Link | Stored) -> dict[str, Any]:
    if isinstance(found, Inline):
        found = _as_it_is(found)
        if found.media_type not in IMAGES:
            raise _unsupported(found.media_type)
    return {"type": "image", "source": _write_source(found)}


def _as_it_is(inline: Inline) -> Inline:
    """With the media type its bytes show: the platform refuses a wrong one."""
    seen = sniff(base64.b64decode(inline.base64[:96]))
    known = seen in IMAGES or seen == "application/pdf"
    return replace(inline, media_type=seen) if seen is not None and known else inline


def _write_document(found: Inline | Link | Stored, name: str) -> dict[str, Any]:
    title = {"title": name} if name else {}
    if isinstance(found, Inline):
        found = _as_it_is(found)
        if found.media_type.startswith("image/"):
            return _write_image(found)
        if found.media_type != "application/pdf":
            return _text_file(found) | title
    return {"type": "document", "source": _write_source(found)} | title


def _text_file(found: Inline) -> dict[str, Any]:
    try:
        words = decoded(found, param="messages").decode()
    except UnicodeDecodeError as error:
        raise _unsupported(found.media_type) from error
    given = {"type": "text", "media_type": "text/plain", "data": words}
    return {"type": "document", "source": given}


def arguments_object(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object Anthropic wants; what is no object is kept under a name of
    its own.
    """
    try:
        value = orjson.loads(arguments) if arguments.strip() else {}
    except ValueError:
        value = arguments
    return value if isinstance(value, dict) else {"_raw": arguments}


def write_call(call: ToolCall) -> dict[str, Any]:
    given = {"input": call.arguments} if call.custom else arguments_object(call.arguments)
    return {"type": "tool_use", "id": fitting_id(call.call_id), "name": call.name, "input": given}


def _write_result(result: ToolResult) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": fitting_id(result.call_id)}
    content = [made for part in result.content if (made := _write_block(part, False)) is not None]
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    if result.is_error:
        block["is_error"] = True
    return block | _own(result.opaque)
