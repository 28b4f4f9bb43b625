"""The messages of OpenAI chat completions, read and written.

Every role and part type that clients send is read, the deprecated ones included; what is written is
what OpenAI documents. Media goes by its media type, not by the field it came in. A tool message
holds text only, so attachments of a result follow in a user message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.canonical.attachments import source
from app.canonical.parts import (
    Audio,
    Document,
    Image,
    Inline,
    Link,
    Opaque,
    Part,
    Refusal,
    Stored,
    Text,
    ToolCall,
    ToolResult,
    Video,
)
from app.canonical.request import ChatRequest, Turn
from app.errors import BadRequest
from app.wire import fields
from app.wire.openai_chat_seals import read_call_seal, read_details

NAME = "openai_chat"
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
INSTEAD = (  # what an assistant may have said instead of content
    "tool_calls function_call refusal audio reasoning_content reasoning reasoning_details".split()
)


# ---------------------------------------------------------------- reading


def read_messages(messages: list[Any]) -> list[Turn]:
    turns: list[Turn] = []
    legacy = ""  # the id we gave to a deprecated function_call, for the result that follows
    for i, message in enumerate(messages):
        param = f"messages[{i}]"
        message = fields.an_object(message, param)
        role = message.get("role")
        if not isinstance(role, str) or role not in ROLES:
            raise BadRequest(
                "{field} must be one of {choices}",
                param=f"{param}.role",
                field=f"{param}.role",
                choices=", ".join(sorted(ROLES)),
            )
        if role != "function" and not (role == "assistant" and any(map(message.get, INSTEAD))):
            fields.required(message, "content", f"{param}.content")
        name = fields.optional_text(message, "name", f"{param}.name")
        if role in ("tool", "function"):
            turns.append(Turn("user", (_read_result(message, role, legacy, param),)))
        elif role == "assistant":
            parts, legacy = _read_assistant(message, param, legacy)
            turns.append(Turn("assistant", parts, name))
        else:
            speaker = "user" if role == "user" else "system"
            content = _read_content(message.get("content"), f"{param}.content")
            turns.append(Turn(speaker, content, name))  # type: ignore[arg-type]
    return turns


def _read_result(message: Mapping[str, Any], role: str, legacy: str, param: str) -> ToolResult:
    content = _read_content(message.get("content"), f"{param}.content")
    kept = tuple(
        part for part in content if isinstance(part, (Text, Image, Document, Audio, Video))
    )
    if role == "function":
        return ToolResult(legacy, kept, name=fields.optional_text(message, "name"))
    call_id = message.get("tool_call_id")
    return ToolResult(fields.text(call_id, f"{param}.tool_call_id"), kept)


def _read_assistant(
    message: Mapping[str, Any], param: str, legacy: str
) -> tuple[tuple[Part, ...], str]:
    parts: list[Part] = [*read_details(message)]
    parts.extend(_read_content(message.get("content"), f"{param}.content"))
    if refusal := fields.optional_text(message, "refusal", f"{param}.refusal"):
        parts.append(Refusal(refusal))
    calls = fields.a_list(message.get("tool_calls") or [], f"{param}.tool_calls")
    for i, call in enumerate(calls):
        parts.append(_read_call(call, f"{param}.tool_calls[{i}]"))
    if (function := message.get("function_call")) is not None:
        legacy = f"call_{param.strip('messages[]')}"
        function = fields.an_object(function, f"{param}.function_call")
        name = fields.text(function.get("name"), f"{param}.function_call.name")
        parts.append(ToolCall(legacy, name, fields.optional_text(function, "arguments")))
    return tuple(parts), legacy


def _read_call(call: Any, param: str) -> ToolCall:
    call = fields.an_object(call, param)
    call_id = fields.text(call.get("id"), f"{param}.id")
    opaque = read_call_seal(call)
    if call.get("type") == "custom":
        custom = fields.an_object(call.get("custom"), f"{param}.custom")
        name = fields.text(custom.get("name"), f"{param}.custom.name")
        return ToolCall(call_id, name, fields.optional_text(custom, "input"), True, opaque)
    function = fields.an_object(call.get("function"), f"{param}.function")
    name = fields.text(function.get("name"), f"{param}.function.name")
    arguments = fields.optional_text(function, "arguments", f"{param}.function.arguments")
    return ToolCall(call_id, name, arguments, opaque=opaque)


def _read_content(content: Any, param: str) -> tuple[Part, ...]:
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(content),)
    parts = enumerate(fields.a_list_or_text(content, param))
    return tuple(_read_part(part, f"{param}[{i}]") for i, part in parts)


def _read_part(part: Any, param: str) -> Part:
    if isinstance(part, str):
        return Text(part)
    part = fields.an_object(part, param)
    kind = part.get("type")
    match kind:
        case "text" | "input_text" | "output_text":
            mark = part.get("cache_control")
            opaque = Opaque("anthropic_messages", {"cache_control": mark}) if mark else None
            return Text(fields.text(part.get("text"), f"{param}.text"), opaque)
        case "refusal":
            return Refusal(fields.text(part.get("refusal"), f"{param}.refusal"))
        case "image_url" | "input_image":
            return _read_link(part, "image_url", Image, param)
        case "video_url":
            return _read_link(part, "video_url", Video, param)
        case "file_url":
            return _read_link(part, "file_url", Document, param)
        case "file" | "input_file":
            return _read_file(part, param)
        case "input_audio":
            return _read_audio(part, param)
        case _:
            raise BadRequest(
                "{field}: a part of type {kind} is not supported here",
                param=param,
                field=param,
                kind=str(kind)[:64],
            )


def _read_link(
    part: Mapping[str, Any], name: str, made: type[Image | Video | Document], param: str
) -> Part:
    """An address or base64, bare or in an object. By media type, not by field: video may come as
    `image_url` (C-084).
    """
    param = f"{param}.{name}"
    given, detail = part.get(name), ""
    if isinstance(given, Mapping):
        detail = fields.optional_text(given, "detail", f"{param}.detail")
        given = given.get("url")
    found = source(fields.text(given, param), param=param)
    kind = found.media_type.partition("/")[0]
    if kind == "audio":
        return Audio(found)
    if kind == "video":
        return Video(found)
    if kind == "application":
        return Document(found)
    return Image(found, detail) if made is Image else made(found)


def _read_file(part: Mapping[str, Any], param: str) -> Part:
    param = f"{param}.file"
    given = part.get("file", part)
    file = fields.an_object(given, param)
    name = fields.optional_text(file, "filename", f"{param}.filename")
    data = file.get("file_data") or file.get("file_url")
    if data is None:
        file_id = fields.text(file.get("file_id"), f"{param}.file_data")
        return Document(Stored(NAME, file_id), name)
    found = source(fields.text(data, f"{param}.file_data"), param=f"{param}.file_data")
    if isinstance(found, Inline) and found.media_type.startswith("image/"):
        return Image(found)
    return Document(found, name)


def _read_audio(part: Mapping[str, Any], param: str) -> Audio:
    param = f"{param}.input_audio"
    audio = fields.an_object(part.get("input_audio"), param)
    form = fields.optional_text(audio, "format", f"{param}.format")
    data = fields.text(audio.get("data"), f"{param}.data")
    found = source(data, param=f"{param}.data", named=f"audio/{form or 'wav'}")
    if isinstance(found, Inline) and form:
        found = Inline(f"audio/{form}", found.base64)
    return Audio(found)


# ---------------------------------------------------------------- writing


def write_messages(request: ChatRequest) -> list[dict[str, Any]]:
    """The messages; where nobody said anything, that (C-068): there must be one."""
    messages: list[dict[str, Any]] = []
    if request.system:
        words = "\n\n".join(part.text for part in request.system)
        messages.append({"role": "system", "content": words})
    for turn in request.turns:
        messages.extend(_write_turn(turn))
    return messages or [{"role": "user", "content": ""}]


def _write_turn(turn: Turn) -> list[dict[str, Any]]:
    if turn.role == "assistant":
        message = _write_assistant(turn)
        return [message] if len(message) > 1 else []
    messages = [_write_result(part) for part in turn.parts if isinstance(part, ToolResult)]
    shown = [_shown(part) for part in turn.parts if isinstance(part, ToolResult)]
    parts = [part for one in shown for part in one]
    parts += [one for part in turn.parts if (one := _write_part(part)) is not None]
    if parts:
        message = {"role": turn.role, "content": _plain(parts)}
        messages.append(message | ({"name": turn.name} if turn.name else {}))
    return messages


def _plain(parts: list[dict[str, Any]]) -> Any:
    """A single text as a string: every server understands that."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _write_assistant(turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    words = "".join(part.text for part in turn.parts if isinstance(part, Text))
    refusal = "".join(part.text for part in turn.parts if isinstance(part, Refusal))
    calls = [_write_call(part) for part in turn.parts if isinstance(part, ToolCall)]
    if words:
        message["content"] = words
    if refusal:
        message["refusal"] = refusal
    if calls:
        message.setdefault("content", None)
        message["tool_calls"] = calls
    return message


def _write_call(call: ToolCall) -> dict[str, Any]:
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.call_id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.call_id, "type": "function", "function": function}


def _write_result(result: ToolResult) -> dict[str, Any]:
    words = "\n".join(part.text for part in result.content if isinstance(part, Text))
    if not words and any(not isinstance(part, Text) for part in result.content):
        words = "(see the attachment below)"
    return {"role": "tool", "tool_call_id": result.call_id, "content": words}


def _shown(result: ToolResult) -> list[dict[str, Any]]:
    """What a tool message cannot hold: attachments, which follow in a user message."""
    parts = [part for part in result.content if not isinstance(part, (Text, Opaque))]
    return [one for part in parts if (one := _write_part(part)) is not None]


def _write_part(part: Part) -> dict[str, Any] | None:
    match part:
        case Text(text):
            return {"type": "text", "text": text} if text else None
        case Refusal(text):
            return {"type": "text", "text": text}
        case Image(found, detail):
            url: dict[str, Any] = {"url": _address(found)}
            return {"type": "image_url", "image_url": url | ({"detail": detail} if detail else {})}
        case Document(Stored(_, file_id)):
            return {"type": "file", "file": {"file_id": file_id}}
        case Document(found, name):
            return {
                "type": "file",
                "file": {"file_data": _address(found), "filename": name or "file.pdf"},
            }
        case Audio(Inline(media_type, data)):
            form = "mp3" if media_type in ("audio/mp3", "audio/mpeg") else media_type[6:]
            form = "wav" if form in ("x-wav", "wave") else form
            return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
        case Video() | Audio():
            raise BadRequest(
                "{field}: a part of type {kind} is not supported here",
                param="messages",
                field="messages",
                kind=type(part).__name__.lower(),
            )
        case _:
            return None


def _address(found: Inline | Link | Stored) -> str:
    if isinstance(found, Inline):
        return f"data:{found.media_type};base64,{found.base64}"
    return found.url if isinstance(found, Link) else found.file_id
