"""The contents of Google's generateContent, read and written.

Calls and their results are matched by id where there is one, else by name and order; older models
know no ids, so one that was made up here is left out again on its way back. A thought signature
sits on the part it signs: a call, a text, sometimes an empty text. It is base64, and Google's own
library refuses one that is not, so an envelope of ours is encoded once more. Libraries keep every
chunk of a stream as a content of its own: what the model said in a row is one turn.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
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
    Source,
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
ANY_SIGNATURE = "skip_thought_signature_validator"  # documented for calls Google did not sign
UNNAMED = "call_unnamed_"  # how an id begins that we made up
MARKS = ("thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata")
RESULT_MARKS = ("willContinue", "scheduling")
VERBATIM = frozenset(
    "executableCode codeExecutionResult toolCall toolResponse audioTranscription".split()
)
ROLES = ("user", "model", "function")
SPELLED = {
    "audio/mpeg": "audio/mp3",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/mp4": "audio/aac",
    "audio/m4a": "audio/aac",
    "audio/x-m4a": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "audio/x-flac": "audio/flac",
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
Media = Image | Audio | Video | Document
_Said = Text | Thinking | Refusal | Media | ToolCall | Opaque  # all but results
_AFTER_ALL = 1 << 30  # the place of what is no result, and of a result that answers nothing


def camel(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same object with its names in camelCase, one level deep (C-225)."""
    return {_camel(name) if "_" in name else name: value for name, value in given.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def seal(opaque: Opaque) -> str:
    """What a foreign platform needs back, as something that looks like a signature."""
    return base64.b64encode(carry(opaque).encode()).decode()


def unseal(signature: str) -> Opaque:
    """What a signature holds: an envelope of ours, or Google's own."""
    try:
        padded = signature + "=" * (-len(signature) % 4)
        opaque = uncarry(base64.b64decode(padded, altchars=b"-_").decode())
    except (binascii.Error, ValueError):
        opaque = None
    return opaque or Opaque(NAME, {"thoughtSignature": signature})


def signature_of(opaque: Opaque | None) -> str:
    """The signature to write for callers: Google's own as it is, another's in an envelope."""
    if opaque is None:
        return ""
    if opaque.dialect == NAME:
        return str(own(opaque).get("thoughtSignature", ""))
    return seal(opaque)


def own(opaque: Opaque | None) -> dict[str, Any]:
    """The fields that only this dialect has on a common part."""
    if opaque is not None and opaque.dialect == NAME and isinstance(opaque.value, dict):
        return dict(opaque.value)
    return {}


def function_call(call: ToolCall) -> dict[str, Any]:
    """A call; arguments that are no object are put into one."""
    args: Any = call.arguments
    if not call.custom:
        try:
            args = orjson.loads(args) if args.strip() else {}
        except ValueError:
            args = call.arguments
    args = args if isinstance(args, dict) else {"input": args}
    called = {"id": call.call_id} if call.call_id else {}
    return {"functionCall": called | {"name": call.name, "args": args}}


# ---------------------------------------------------------------- reading


def read_contents(contents: Any, param: str = "contents") -> tuple[Turn, ...]:
    """The turns of a conversation; one bare text or content counts as a list of one."""
    if isinstance(contents, (str, Mapping)):
        contents = [contents]
    reader = _Contents()
    turns: list[Turn] = []
    for i, one in enumerate(fields.a_list(contents, param)):
        turn = reader.read(one, f"{param}[{i}]")
        if turn.role == "assistant" and turns and turns[-1].role == "assistant":
            turn = replace(turn, parts=turns.pop().parts + turn.parts)
        turns.append(turn)
    if not turns:
        raise BadRequest("{field} must not be empty", param=param, field=param)
    return tuple(
        replace(turn, parts=_rejoined(turn.parts)) if turn.role == "assistant" else turn
        for turn in turns
    )


def _rejoined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts with words that a stream cut into pieces made whole, up to the piece that has
    another's seal.

    What Google signed is left alone: it wants its signed parts back as they were.
    """
    whole: list[Part] = []
    for part in parts:
        last = whole[-1] if whole else None
        if (
            isinstance(part, (Text, Thinking))
            and isinstance(last, (Text, Thinking))
            and type(last) is type(part)
            and last.opaque is None
            and not own(part.opaque)
        ):
            whole[-1] = replace(part, text=last.text + part.text)
        else:
            whole.append(part)
    return tuple(whole)


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
        if role not in ROLES:
            raise BadRequest(
                "{field} must be one of {choices}",
                param=f"{param}.role",
                field=f"{param}.role",
                choices="user, model",
            )
        param = f"{param}.parts"
        given = fields.required(content, "parts", param)
        parts = [given] if isinstance(given, (str, Mapping)) else fields.a_list(given, param)
        if not parts:
            raise BadRequest("{field} must not be empty", param=param, field=param)
        read = tuple(self._part(part, f"{param}[{i}]") for i, part in enumerate(parts))
        return Turn("assistant" if role == "model" else "user", read)

    def _part(self, part: Any, param: str) -> Part:
        if isinstance(part, str):
            return Text(part)
        part = {
            name: value
            for name, value in camel(fields.an_object(part, param)).items()
            if value is not None
        }
        opaque = _read_marks(part, param)
        if "text" in part:
            words = fields.text(part["text"], f"{param}.text")
            return (Thinking if part.get("thought") is True else Text)(words, opaque)
        if "functionCall" in part:
            return self._call(part["functionCall"], opaque, f"{param}.functionCall")
        if "functionResponse" in part:
            return self._result(part["functionResponse"], f"{param}.functionResponse")
        if "inlineData" in part:
            return _read_inline(part["inlineData"], opaque, f"{param}.inlineData")
        if "fileData" in part:
            return _read_file(part["fileData"], opaque, f"{param}.fileData")
        if VERBATIM & part.keys():
            return Opaque(NAME, part)
        if "thoughtSignature" in part:
            return Text("", opaque)
        raise BadRequest(
            "{field}: a part of type {kind} is not supported here",
            param=param,
            field=param,
            kind=str(next(iter(part), "none"))[:64],
        )

    def _call(self, given: Any, opaque: Opaque | None, param: str) -> ToolCall:
        call = fields.an_object(given, param)
        name = fields.text(call.get("name"), f"{param}.name")
        args = call.get("args")
        args = fields.an_object({} if args is None else args, f"{param}.args")
        call_id = fields.optional_text(call, "id", f"{param}.id")
        if not call_id:
            self._made += 1
            call_id = f"{UNNAMED}{self._made}"
        self._waiting.append((call_id, name))
        return ToolCall(call_id, name, _json(args, f"{param}.args"), opaque=opaque)

    def _result(self, given: Any, param: str) -> ToolResult:
        result = camel(fields.an_object(given, param))
        name = fields.text(result.get("name"), f"{param}.name")
        call_id = fields.optional_text(result, "id", f"{param}.id") or self._answered(name)
        self._waiting = [one for one in self._waiting if one[0] != call_id]
        attached: list[Media] = []
        media = result.get("parts")
        for i, part in enumerate(fields.a_list([] if media is None else media, f"{param}.parts")):
            at = f"{param}.parts[{i}]"
            part = camel(fields.an_object(part, at))
            attached.append(_read_inline(part.get("inlineData"), None, f"{at}.inlineData"))
        response = result.get("response")
        is_error = isinstance(response, Mapping) and "error" in response
        marks = {one: result[one] for one in RESULT_MARKS if result.get(one) is not None}
        opaque = Opaque(NAME, marks) if marks else None
        content = (Text(_words(response, f"{param}.response")), *attached)
        return ToolResult(call_id, content, is_error, name, opaque=opaque)

    def _answered(self, name: str) -> str:
        """The id of the first call of that name that still waits."""
        waiting = (call_id for call_id, called in self._waiting if called == name)
        return next(waiting, f"{UNNAMED}{name}")


def _words(response: Any, param: str) -> str:
    """What a function said: the text it gave, or everything as JSON."""
    if isinstance(response, Mapping) and len(response) == 1:
        alone = response.get("output")
        if isinstance(alone, str):
            return alone
    return _json({} if response is None else response, param)


def _json(value: Any, param: str) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise BadRequest("{field} is nested too deeply", param=param, field=param) from error


def _read_marks(part: Mapping[str, Any], param: str) -> Opaque | None:
    """What stands beside the data of a part: a signature, or how a film is to be watched."""
    marks = {name: part[name] for name in MARKS if name in part}
    signature = fields.text(marks.get("thoughtSignature", ""), f"{param}.thoughtSignature")
    if signature:
        opaque = unseal(signature)
        if opaque.dialect != NAME:
            return opaque
    else:
        marks.pop("thoughtSignature", None)
    return Opaque(NAME, marks) if marks else None


def _by_type(found: Source, media_type: str, opaque: Opaque | None) -> Media:
    made = KINDS.get(media_type.partition("/")[0])
    return Document(found, opaque=opaque) if made is None else made(found, opaque=opaque)


def _read_inline(given: Any, opaque: Opaque | None, param: str) -> Media:
    data = camel(fields.an_object(given, param))
    media_type = fields.optional_text(data, "mimeType", f"{param}.mimeType").lower()
    words = fields.text(data.get("data"), f"{param}.data")
    found = source(words, param=f"{param}.data", named=media_type)
    if isinstance(found, Inline) and media_type:
        found = Inline(media_type, found.base64)
    return _by_type(found, found.media_type, opaque)


def _read_file(given: Any, opaque: Opaque | None, param: str) -> Media:
    data = camel(fields.an_object(given, param))
    uri = fields.text(data.get("fileUri"), f"{param}.fileUri")
    media_type = fields.optional_text(data, "mimeType", f"{param}.mimeType").lower()
    if ":" not in uri or uri.startswith("gs:"):
        return _by_type(Stored(NAME, uri), media_type, opaque)
    found = source(uri, param=f"{param}.fileUri", named=media_type)
    if isinstance(found, Link):
        found = replace(found, media_type=media_type)
    return _by_type(found, media_type or found.media_type, opaque)


# ---------------------------------------------------------------- writing

_Placed = tuple[int, dict[str, Any]]  # the place of a result among its calls, and the part


def write_contents(turns: Iterable[Turn], *, signed: bool) -> list[dict[str, Any]]:
    """The contents: roles take turns, results come first and in the order of their calls. `signed`
    = the model insists on signatures.
    """
    history = _History()
    rows: list[tuple[str, list[_Placed]]] = []
    for turn in turns:
        role = "model" if turn.role == "assistant" else "user"
        parts = [placed for part in turn.parts if (placed := _placed(part, history)) is not None]
        if parts and rows and rows[-1][0] == role:
            rows[-1][1].extend(parts)
        elif parts:
            rows.append((role, parts))
    return [_content(role, parts, signed) for role, parts in rows]


class _History:
    """The calls so far. An id may be used again: a result belongs to the first call of its id that
    waits for one.
    """

    def __init__(self) -> None:
        self._made = 0
        self._waiting: dict[str, deque[tuple[int, str]]] = {}  # place and name, by id
        self._answered: dict[str, tuple[int, str]] = {}

    def call(self, call: ToolCall) -> None:
        self._waiting.setdefault(call.call_id, deque()).append((self._made, call.name))
        self._made += 1

    def answer(self, result: ToolResult) -> tuple[int, str]:
        """The place and the name of the call that `result` answers."""
        if waiting := self._waiting.get(result.call_id):
            self._answered[result.call_id] = waiting.popleft()
        unknown = (_AFTER_ALL - 1, result.name or "unknown")
        return self._answered.get(result.call_id, unknown)


def _placed(part: Part, history: _History) -> _Placed | None:
    if isinstance(part, ToolResult):
        place, name = history.answer(part)
        return place, {"functionResponse": _write_result(part, name)}
    if isinstance(part, ToolCall):
        history.call(part)
    written = _write_part(part)
    return None if written is None else (_AFTER_ALL, written)


def _content(role: str, placed: list[_Placed], signed: bool) -> dict[str, Any]:
    if role == "user":
        placed.sort(key=lambda one: one[0])
    parts = [part for _, part in placed]
    if role == "model" and signed:
        _sign(parts)
    return {"role": role, "parts": parts}


def _sign(parts: list[dict[str, Any]]) -> None:
    """The first call of a step needs a signature, Google's or the documented stand-in."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", ANY_SIGNATURE)


def _write_part(part: _Said) -> dict[str, Any] | None:
    match part:
        case Text(text, opaque):
            marks = own(opaque)
            return {"text": text} | marks if text or marks else None
        case Refusal(text):
            return {"text": text} if text else None
        case Thinking(text, opaque):
            marks = own(opaque)  # a thought without Google's signature is of no use to Google
            return {"text": text, "thought": True} | marks if marks else None
        case ToolCall():
            return function_call(_unnamed(part)) | own(part.opaque)
        case Opaque(dialect, value):
            return dict(value) if dialect == NAME else None
        case _:
            return _write_media(part.source) | own(part.opaque)


def _unnamed(call: ToolCall) -> ToolCall:
    return replace(call, call_id="") if call.call_id.startswith(UNNAMED) else call


def _write_result(result: ToolResult, name: str) -> dict[str, Any]:
    words = "\n".join(part.text for part in result.content if isinstance(part, Text))
    try:
        response = orjson.loads(words)
    except ValueError:
        response = None
    if not isinstance(response, dict):
        response = {"error" if result.is_error else "output": words}
    called = {} if result.call_id.startswith(UNNAMED) else {"id": result.call_id}
    written: dict[str, Any] = {**called, "name": name, "response": response}
    media = (part for part in result.content if isinstance(part, (Image, Document, Audio, Video)))
    if parts := [_write_media(part.source) for part in media]:
        written["parts"] = parts
    return written | own(result.opaque)


def _write_media(found: Source) -> dict[str, Any]:
    match found:
        case Inline(media_type, data):
            return {"inlineData": {"mimeType": SPELLED.get(media_type, media_type), "data": data}}
        case Link(url, media_type):
            kind = {"mimeType": media_type} if media_type else {}
            return {"fileData": {"fileUri": url} | kind}
        case Stored(dialect, file_id):
            if dialect != NAME:
                raise BadRequest(
                    "{field}: a file stored with another platform cannot be used here",
                    param="messages",
                    field="messages",
                )
            return {"fileData": {"fileUri": file_id}}
