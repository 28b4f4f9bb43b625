"""The contents of Google's generateContent, read and written.

Calls and their results are matched by id where there is one, else by name and order. A thought signature sits on the part it
signs: a call, a text, sometimes an empty text. It is base64, so an envelope of ours is encoded once more to look like one.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

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
    Thinking,
    ToolCall,
    ToolResult,
    Video,
    carry,
    uncarry,
)
from app.canonical.request import Turn
from app.errors import BadRequest
from app.wire import fields

NAME = "gemini_generate"
ANY_SIGNATURE = (
    "skip_thought_signature_validator"  # what Google documents for calls it did not sign
)
SPELLED = {
    "audio/mpeg": "audio/mp3",
    "audio/x-wav": "audio/wav",
    "audio/mp4": "audio/aac",
    "image/jpg": "image/jpeg",
    "video/quicktime": "video/mov",
    "video/x-msvideo": "video/avi",
    "video/x-ms-wmv": "video/wmv",
}  # media types by the names that are documented here
KINDS: dict[str, type[Image] | type[Audio] | type[Video]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
}
SKIPPED = frozenset({"executableCode", "codeExecutionResult", "toolCall", "toolResponse"})


def seal(opaque: Opaque) -> str:
    """What a foreign platform needs back, as something that looks like a signature."""
    return base64.b64encode(carry(opaque).encode()).decode()


def unseal(signature: str) -> Opaque:
    """What a signature holds: an envelope of ours, or Google's own."""
    try:
        inside = base64.b64decode(signature + "=" * (-len(signature) % 4), altchars=b"-_")
        opaque = uncarry(inside.decode())
    except (binascii.Error, ValueError):
        opaque = None
    return opaque or Opaque(NAME, {"thoughtSignature": signature})


def signature_of(opaque: Opaque | None) -> str:
    """The signature to write for callers: Google's own as it is, another's in an envelope."""
    if opaque is None:
        return ""
    if opaque.dialect == NAME and isinstance(opaque.value, dict):
        return str(opaque.value.get("thoughtSignature", ""))
    return seal(opaque)


# ---------------------------------------------------------------- reading


def read_contents(contents: Any) -> tuple[Turn, ...]:
    """The turns of a conversation; one bare text or content counts as a list of one."""
    if isinstance(contents, (str, Mapping)):
        contents = [contents]
    reader = _Contents()
    turns = [
        reader.read(one, f"contents[{i}]")
        for i, one in enumerate(fields.a_list(contents, "contents"))
    ]
    if not turns:
        raise BadRequest("{field} must not be empty", param="contents", field="contents")
    return tuple(turns)


class _Contents:
    """Reads contents in order, remembering which calls wait for a result."""

    def __init__(self) -> None:
        self._made = 0
        self._waiting: list[tuple[str, str]] = []  # id, name

    def read(self, content: Any, param: str) -> Turn:
        if isinstance(content, str):
            return Turn("user", (Text(content),))
        content = fields.an_object(content, param)
        role = content.get("role") or "user"
        if role not in ("user", "model", "function"):
            raise BadRequest(
                "{field} must be one of {choices}",
                param=f"{param}.role",
                field=f"{param}.role",
                choices="user, model",
            )
        given = content.get("parts")
        given = [given] if isinstance(given, (str, Mapping)) else given
        parts: list[Part] = []
        for i, part in enumerate(fields.a_list(given or [], f"{param}.parts")):
            parts.extend(self._part(part, f"{param}.parts[{i}]"))
        return Turn("assistant" if role == "model" else "user", tuple(parts))

    def _part(self, part: Any, param: str) -> list[Part]:
        if isinstance(part, str):
            return [Text(part)]
        part = fields.an_object(part, param)
        seal_ = _either(part, "thoughtSignature", "thought_signature")
        opaque = unseal(seal_) if isinstance(seal_, str) and seal_ else None
        if isinstance(part.get("text"), str):
            made = Thinking if part.get("thought") is True else Text
            return [made(part["text"], opaque)]
        if (call := _either(part, "functionCall", "function_call")) is not None:
            return [self._call(fields.an_object(call, f"{param}.functionCall"), opaque, param)]
        if (result := _either(part, "functionResponse", "function_response")) is not None:
            return [self._result(fields.an_object(result, f"{param}.functionResponse"), param)]
        if (data := _either(part, "inlineData", "inline_data")) is not None:
            return [
                _read_inline(fields.an_object(data, f"{param}.inlineData"), f"{param}.inlineData")
            ]
        if (data := _either(part, "fileData", "file_data")) is not None:
            return [_read_file(fields.an_object(data, f"{param}.fileData"), f"{param}.fileData")]
        if SKIPPED & part.keys():
            return [Opaque(NAME, dict(part))]
        raise BadRequest(
            "{field}: a part of type {kind} is not supported here",
            param=param,
            field=param,
            kind=str(next(iter(part), "none"))[:64],
        )

    def _call(self, call: Mapping[str, Any], opaque: Opaque | None, param: str) -> ToolCall:
        name = fields.text(call.get("name"), f"{param}.functionCall.name")
        args = fields.an_object(call.get("args") or {}, f"{param}.functionCall.args")
        call_id = fields.optional_text(call, "id", f"{param}.functionCall.id")
        if not call_id:
            self._made += 1
            call_id = f"call_{self._made}"
        self._waiting.append((call_id, name))
        return ToolCall(call_id, name, orjson.dumps(args).decode(), opaque=opaque)

    def _result(self, result: Mapping[str, Any], param: str) -> ToolResult:
        param = f"{param}.functionResponse"
        name = fields.text(result.get("name"), f"{param}.name")
        call_id = fields.optional_text(result, "id", f"{param}.id") or self._answered(name)
        self._waiting = [one for one in self._waiting if one[0] != call_id]
        response = result.get("response")
        words = response.get("output") if isinstance(response, Mapping) else response
        alone = isinstance(response, Mapping) and len(response) == 1 and isinstance(words, str)
        text = str(words) if alone else orjson.dumps(response).decode()
        attached = [
            _read_inline(fields.an_object(data, param), param)
            for part in fields.a_list(result.get("parts") or [], f"{param}.parts")
            if isinstance(part, Mapping)
            and (data := _either(part, "inlineData", "inline_data")) is not None
        ]
        is_error = isinstance(response, Mapping) and "error" in response
        return ToolResult(call_id, (Text(text), *attached), is_error, name)

    def _answered(self, name: str) -> str:
        """The id of the first open call of that name."""
        for call_id, called in self._waiting:
            if called == name:
                return call_id
        return f"call_{name}"


def _either(part: Mapping[str, Any], *names: str) -> Any:
    """The field under whichever of its spellings is there (C-225)."""
    return next((part[name] for name in names if part.get(name) is not None), None)


def _by_type(found: Inline | Link | Stored, media_type: str) -> Image | Audio | Video | Document:
    made = KINDS.get(media_type.partition("/")[0])
    return made(found) if made is not None else Document(found)


def _read_inline(data: Mapping[str, Any], param: str) -> Image | Audio | Video | Document:
    media_type = _either(data, "mimeType", "mime_type") or ""
    media_type = fields.text(media_type, f"{param}.mimeType").lower()
    words = fields.text(data.get("data"), f"{param}.data")
    found = source(words, param=f"{param}.data", named=media_type)
    if isinstance(found, Inline) and media_type:
        found = Inline(media_type, found.base64)
    return _by_type(found, found.media_type)


def _read_file(data: Mapping[str, Any], param: str) -> Image | Audio | Video | Document:
    uri = fields.text(_either(data, "fileUri", "file_uri"), f"{param}.fileUri")
    media_type = fields.text(_either(data, "mimeType", "mime_type") or "", f"{param}.mimeType")
    if not uri.startswith(("http://", "https://")):
        return _by_type(Stored(NAME, uri), media_type)
    return _by_type(Link(uri, media_type), media_type)


# ---------------------------------------------------------------- writing


def write_contents(turns: tuple[Turn, ...], *, signed: bool) -> list[dict[str, Any]]:
    """The contents: roles take turns, results stand together and first. `signed` = the model insists on signatures."""
    names: dict[str, str] = {}
    contents: list[dict[str, Any]] = []
    for turn in turns:
        names |= {part.call_id: part.name for part in turn.parts if isinstance(part, ToolCall)}
        role = "model" if turn.role == "assistant" else "user"
        parts = _write_parts(turn, names)
        if not parts:
            continue
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    for content in contents:
        if content["role"] == "user":
            content["parts"].sort(key=lambda part: "functionResponse" not in part)
        elif signed:
            _sign(content["parts"])
    return contents


def _sign(parts: list[dict[str, Any]]) -> None:
    """The first call of a step needs a signature, Google's or the documented stand-in."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", ANY_SIGNATURE)


def _write_parts(turn: Turn, names: Mapping[str, str]) -> list[dict[str, Any]]:
    written: list[dict[str, Any]] = []
    for part in turn.parts:
        if (one := _write_part(part, names)) is not None:
            written.append(one)
    return written


def _own(opaque: Opaque | None) -> dict[str, Any]:
    if opaque is not None and opaque.dialect == NAME and isinstance(opaque.value, dict):
        return dict(opaque.value)
    return {}


def _write_part(part: Part, names: Mapping[str, str]) -> dict[str, Any] | None:
    match part:
        case Text(text, opaque):
            own = _own(opaque)
            return {"text": text} | own if text or own else None
        case Refusal(text):
            return {"text": text} if text else None
        case Thinking(text, opaque):
            own = _own(opaque)
            return {"text": text, "thought": True} | own if own else None
        case ToolCall():
            return _write_call(part)
        case ToolResult():
            return _write_result(part, names)
        case Image(found) | Document(found) | Audio(found) | Video(found):
            return _write_media(found)
        case Opaque(dialect, value):
            return dict(value) if dialect == NAME else None


def _write_call(call: ToolCall) -> dict[str, Any]:
    try:
        args = orjson.loads(call.arguments) if call.arguments.strip() else {}
    except ValueError:
        args = call.arguments
    args = args if isinstance(args, dict) else {"input": args}
    return {"functionCall": {"id": call.call_id, "name": call.name, "args": args}} | _own(
        call.opaque
    )


def _write_result(result: ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    words = "\n".join(part.text for part in result.content if isinstance(part, Text))
    try:
        response = orjson.loads(words)
    except ValueError:
        response = None
    if not isinstance(response, dict):
        response = {"error" if result.is_error else "output": words}
    written: dict[str, Any] = {
        "id": result.call_id,
        "name": result.name or names.get(result.call_id, "unknown"),
        "response": response,
    }
    media = (part for part in result.content if isinstance(part, (Image, Document, Audio, Video)))
    if parts := [_write_media(part.source) for part in media]:
        written["parts"] = parts
    return {"functionResponse": written}


def _write_media(found: Inline | Link | Stored) -> dict[str, Any]:
    match found:
        case Inline(media_type, data):
            return {"inlineData": {"mimeType": SPELLED.get(media_type, media_type), "data": data}}
        case Link(url, media_type):
            kind = {"mimeType": media_type} if media_type else {}
            return {"fileData": {"fileUri": url} | kind}
        case Stored(_, file_id):
            return {"fileData": {"fileUri": file_id}}
