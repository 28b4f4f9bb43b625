"""The input items of OpenAI's Responses, read and written.

A conversation is flat here: messages, thoughts, calls and results are items side by side. What an
assistant did in a row becomes one turn; results that follow each other become one user turn.

Nothing here has room for another platform's signature except `encrypted_content` of a reasoning
item. A foreign thought travels in its own item; the signature of a call or a text in a wordless
item beside it, whose envelope says what it belongs to (`seal`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
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
from app.canonical.request import Role, Turn
from app.errors import BadRequest
from app.wire import fields

NAME = "openai_responses"
CHAT = "openai_chat"  # the vendor's other dialect: same files, same tools, another shape
ROLES = frozenset({"user", "assistant", "system", "developer"})
RESULTS = {"function_call_output": False, "custom_tool_call_output": True}  # whether custom
HEARD = frozenset(
    """compaction compaction_trigger configuration_update context_compaction mcp_approval_response
    program_output""".split()
)  # items without a counterpart that are not the assistant's
SAID = frozenset("agent_message mcp_approval_request mcp_list_tools program".split())
DETAILS = frozenset({"low", "high", "auto", "original"})
LONGEST_ID = 64
ENDINGS = {
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "xml": "text/xml",
}  # what a file with such a name is; other types tell by their first bytes
NAMES = {media_type: f"file.{ending}" for ending, media_type in ENDINGS.items()}


def short(name: str) -> str:
    """The same id where it fits the vendor's 64 characters, else one made from it."""
    if 0 < len(name) <= LONGEST_ID:
        return name
    return "call_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:40]


def own(opaque: Opaque | None) -> Mapping[str, Any]:
    """The fields that only this dialect has on a common part."""
    ours = opaque is not None and opaque.dialect == NAME and isinstance(opaque.value, dict)
    return opaque.value if ours and opaque is not None else {}


def seal(opaque: Opaque, call_id: str = "") -> str:
    """An envelope for the signature of the call with that id, or of the text before it."""
    return carry(Opaque(NAME, {"for": call_id, "of": [opaque.dialect, opaque.value]}))


def unseal(opaque: Opaque | None) -> tuple[str, Opaque] | None:
    """What `seal` packed: what it belongs to, and the signature."""
    value = own(opaque)
    match value.get("for"), value.get("of"):
        case str(call_id), [str(dialect), signature]:
            return call_id, Opaque(dialect, signature)
    return None


# ---------------------------------------------------------------- reading


@dataclass(slots=True)
class _Conversation:
    """Turns in the making."""

    turns: list[Turn] = field(default_factory=list)
    sealed: dict[str, Opaque] = field(default_factory=dict)  # by call id, until the call is read
    _open: str = ""  # "said" or "heard": what the last turn may still grow by

    def message(self, role: Role, parts: tuple[Part, ...]) -> None:
        self._open = ""
        self.turns.append(Turn(role, parts))

    def said(self, *parts: Part) -> None:
        self._grow("said", "assistant", parts)

    def heard(self, part: Part) -> None:
        self._grow("heard", "user", (part,))

    def call(self, call: ToolCall) -> None:
        self.said(replace(call, opaque=self.sealed.pop(call.call_id, call.opaque)))

    def sign(self, call_id: str, opaque: Opaque) -> None:
        """Puts a signature back on the call with that id, or on the last text."""
        if self._open == "said":
            parts = list(self.turns[-1].parts)
            for i in reversed(range(len(parts))):
                part = parts[i]
                if isinstance(part, ToolCall) and call_id and part.call_id == call_id:
                    parts[i] = replace(part, opaque=opaque)
                elif isinstance(part, Text) and not call_id:
                    parts[i] = replace(part, opaque=opaque)
                else:
                    continue
                self.turns[-1] = replace(self.turns[-1], parts=tuple(parts))
                return
        if call_id:
            self.sealed[call_id] = opaque

    def _grow(self, how: str, role: Role, parts: tuple[Part, ...]) -> None:
        if self._open == how:
            parts = self.turns.pop().parts + parts
        self._open = how
        self.turns.append(Turn(role, parts))


def read_input(given: Any) -> tuple[Turn, ...]:
    if isinstance(given, str):
        return (Turn("user", (Text(given),)),) if given else ()
    made = _Conversation()
    for i, item in enumerate(fields.a_list_or_text(given, "input")):
        param = f"input[{i}]"
        _read_item(fields.an_object(item, param), param, made)
    return tuple(made.turns)


def _read_item(item: Mapping[str, Any], param: str, made: _Conversation) -> None:
    kind = item.get("type", "message" if "role" in item else "")
    if not isinstance(kind, str):
        raise BadRequest("{field} must be a string", param=f"{param}.type", field=f"{param}.type")
    if (read := _READERS.get(kind)) is not None:
        read(item, param, made)
    elif kind in HEARD or kind.endswith("_output"):
        made.heard(Opaque(NAME, dict(item)))
    elif kind in SAID or kind.endswith("_call"):
        made.said(Opaque(NAME, dict(item)))
    else:
        raise BadRequest(
            "{field}: an item of type {kind} is not supported here",
            param=param,
            field=param,
            kind=kind[:64] or "none",
        )


def _read_message(item: Mapping[str, Any], param: str, made: _Conversation) -> None:
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise BadRequest(
            "{field} must be one of {choices}",
            param=f"{param}.role",
            field=f"{param}.role",
            choices=", ".join(sorted(ROLES)),
        )
    content = fields.required(item, "content", f"{param}.content")
    parts = _read_content(content, f"{param}.content")
    if role == "assistant":
        phase = fields.optional_text(item, "phase", f"{param}.phase")
        mark = Opaque(NAME, {"phase": phase}) if phase else None
        made.said(*(replace(p, opaque=mark) if isinstance(p, Text) else p for p in parts))
    else:
        made.message("user" if role == "user" else "system", parts)


def _read_reasoning(item: Mapping[str, Any], param: str, made: _Conversation) -> None:
    words = reasoning_text(item)
    envelope = item.get("encrypted_content")
    carried = uncarry(envelope) if isinstance(envelope, str) else None
    if (sealed := unseal(carried)) is not None:
        made.sign(*sealed)
    else:
        made.said(Thinking(words, carried or Opaque(NAME, dict(item))))


def reasoning_text(item: Mapping[str, Any]) -> str:
    """The words of a reasoning item, its parts set off by blank lines."""
    parts = [*_listed(item.get("summary")), *_listed(item.get("content"))]
    words = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n\n".join(word for word in words if isinstance(word, str) and word)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read_call(item: Mapping[str, Any], param: str, made: _Conversation) -> None:
    custom = item.get("type") == "custom_tool_call"
    said = "input" if custom else "arguments"
    made.call(
        ToolCall(
            fields.text(item.get("call_id"), f"{param}.call_id"),
            fields.text(item.get("name"), f"{param}.name"),
            fields.optional_text(item, said, f"{param}.{said}"),
            custom,
            namespace_of(item),
        )
    )


def namespace_of(item: Mapping[str, Any]) -> Opaque | None:
    """What goes back with a call to a tool in a namespace."""
    name = item.get("namespace")
    return Opaque(NAME, {"namespace": name}) if isinstance(name, str) and name else None


def _read_result(item: Mapping[str, Any], param: str, made: _Conversation) -> None:
    call_id = fields.text(item.get("call_id"), f"{param}.call_id")
    content: Any = tuple(
        part
        for part in _read_content(item.get("output"), f"{param}.output")
        if isinstance(part, (Text, Image, Document, Audio, Video))
    )
    made.heard(ToolResult(call_id, content, custom=RESULTS[item["type"]]))


def _read_reference(item: Mapping[str, Any], param: str, made: _Conversation) -> None:
    raise BadRequest(
        "{field}: an item_reference is only understood where the response is stored; send the item",
        param=param,
        field=param,
    )


def _read_nothing(item: Mapping[str, Any], param: str, made: _Conversation) -> None:
    """Tools that came as an item are read with the others."""


_READERS: dict[str, Callable[[Mapping[str, Any], str, _Conversation], None]] = {
    "message": _read_message,
    "reasoning": _read_reasoning,
    "function_call": _read_call,
    "custom_tool_call": _read_call,
    "function_call_output": _read_result,
    "custom_tool_call_output": _read_result,
    "item_reference": _read_reference,
    "additional_tools": _read_nothing,
}


def _read_content(content: Any, param: str) -> tuple[Part, ...]:
    if content is None or content == "":
        return ()
    if isinstance(content, str):
        return (Text(content),)
    parts = enumerate(fields.a_list_or_text(content, param))
    return tuple(_read_part(part, f"{param}[{i}]") for i, part in parts)


def _read_part(part: Any, param: str) -> Part:
    part = fields.an_object(part, param)
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return Text(fields.text(part.get("text"), f"{param}.text"), _cache_mark(part))
        case "refusal":
            return Refusal(fields.text(part.get("refusal"), f"{param}.refusal"))
        case "input_image":
            return _read_image(part, param)
        case "input_file":
            return _read_file(part, param)
        case "input_audio":
            return _read_audio(part, param)
        case kind:
            raise BadRequest(
                "{field}: a part of type {kind} is not supported here",
                param=param,
                field=param,
                kind=str(kind)[:64],
            )


def _cache_mark(part: Mapping[str, Any]) -> Opaque | None:
    mark = part.get("prompt_cache_breakpoint")
    return Opaque(NAME, {"prompt_cache_breakpoint": mark}) if mark else None


def _read_image(part: Mapping[str, Any], param: str) -> Part:
    detail = fields.optional_text(part, "detail", f"{param}.detail")
    if (file_id := part.get("file_id")) is not None:
        kept = Stored(NAME, fields.text(file_id, f"{param}.file_id"))
        return Image(kept, detail, _cache_mark(part))
    at = f"{param}.image_url"
    found = source(fields.text(part.get("image_url"), at), param=at)
    kind = found.media_type.partition("/")[0]
    if kind in ("audio", "video"):
        return Audio(found) if kind == "audio" else Video(found)
    return Document(found) if kind == "application" else Image(found, detail, _cache_mark(part))


def _read_file(part: Mapping[str, Any], param: str) -> Part:
    name = fields.optional_text(part, "filename", f"{param}.filename")
    if (file_id := part.get("file_id")) is not None:
        kept = Stored(NAME, fields.text(file_id, f"{param}.file_id"))
        return Document(kept, name, _cache_mark(part))
    at = f"{param}.file_url" if part.get("file_url") is not None else f"{param}.file_data"
    given = part.get(at.removeprefix(f"{param}."))
    named = ENDINGS.get(name.rpartition(".")[2].lower(), "")
    found = source(fields.text(given, at), param=at, named=named)
    if isinstance(found, Inline) and found.media_type.startswith("image/"):
        return Image(found, opaque=_cache_mark(part))
    return Document(found, name, _cache_mark(part))


def _read_audio(part: Mapping[str, Any], param: str) -> Audio:
    at = f"{param}.input_audio"
    audio = fields.an_object(part.get("input_audio"), at)
    form = fields.optional_text(audio, "format", f"{at}.format")
    data = fields.text(audio.get("data"), f"{at}.data")
    return Audio(source(data, param=f"{at}.data", named=f"audio/{form or 'wav'}"))


# ---------------------------------------------------------------- writing


def write_input(turns: Iterable[Turn], *, stored: bool = False) -> list[dict[str, Any]]:
    """The items that say the same. `stored` = the platform remembers its items by their ids."""
    turns = tuple(turns)
    custom = {
        part.call_id
        for turn in turns
        for part in turn.parts
        if isinstance(part, ToolCall) and part.custom
    }
    items: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "assistant":
            items.extend(_write_said(turn, stored))
        else:
            items.extend(_write_heard(turn, custom))
    return [item for i, item in enumerate(items) if not _orphan(items, i)]


def _orphan(items: list[dict[str, Any]], place: int) -> bool:
    """A thought is refused unless what it led to comes next."""
    if items[place].get("type") != "reasoning":
        return False
    follower = items[place + 1] if place + 1 < len(items) else {}
    kind = follower.get("type", "message")
    return bool(
        follower.get("role") != "assistant" if kind == "message" else kind.endswith("_output")
    )


def _write_said(turn: Turn, stored: bool) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    words: list[Text | Refusal] = []
    for part in turn.parts:
        if isinstance(part, (Text, Refusal)):
            if words and isinstance(part, Text) and _phase(part) != _phase(words[0]):
                items.append(_write_words(words))
                words = []
            if part.text:
                words.append(part)
            continue
        if (item := _write_deed(part, stored)) is not None:
            if words:
                items.append(_write_words(words))
                words = []
            items.append(item)
    return items + ([_write_words(words)] if words else [])


def _phase(part: Text | Refusal) -> Any:
    return own(part.opaque).get("phase") if isinstance(part, Text) else None


def _write_words(words: list[Text | Refusal]) -> dict[str, Any]:
    phase = {"phase": _phase(words[0])} if _phase(words[0]) else {}
    if len(words) == 1 and isinstance(words[0], Text):
        return {"role": "assistant", "content": words[0].text, **phase}
    content = [
        (
            {"type": "output_text", "text": part.text, "annotations": []}
            if isinstance(part, Text)
            else {"type": "refusal", "refusal": part.text}
        )
        for part in words
    ]
    head = {"type": "message", "role": "assistant", "status": "completed"}
    return {**head, "content": content, **phase}


def _write_deed(part: Part, stored: bool) -> dict[str, Any] | None:
    match part:
        case Thinking(_, opaque) if item := own(opaque):
            replayable = stored or isinstance(item.get("encrypted_content"), str)
            return dict(item) if replayable else None
        case ToolCall():
            return _write_call(part)
        case Opaque(dialect, dict(item)) if dialect == NAME:
            return item
        case _:
            return None


def _write_call(call: ToolCall) -> dict[str, Any]:
    item = {"call_id": short(call.call_id), "name": call.name}
    if namespace := own(call.opaque).get("namespace"):
        item["namespace"] = namespace
    if call.custom:
        return {"type": "custom_tool_call", **item, "input": call.arguments}
    return {"type": "function_call", **item, "arguments": call.arguments or "{}"}


def _write_heard(turn: Turn, custom: set[str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    content: list[dict[str, Any]] = []
    for part in turn.parts:
        if isinstance(part, ToolResult):
            items.append(_write_result(part, part.custom or part.call_id in custom))
        elif isinstance(part, Opaque):
            if item := own(part):
                items.append(dict(item))
        elif (written := _write_part(part)) is not None:
            content.append(written)
    if content:
        items.append({"role": "user" if turn.role == "user" else "developer", "content": content})
    return items


def _write_result(result: ToolResult, custom: bool) -> dict[str, Any]:
    parts = [one for part in result.content if (one := _write_part(part)) is not None]
    plain = not parts or (len(parts) == 1 and parts[0].keys() == {"type", "text"})
    output: Any = "".join(part["text"] for part in parts) if plain else parts
    kind = "custom_tool_call_output" if custom else "function_call_output"
    return {"type": kind, "call_id": short(result.call_id), "output": output}


def _write_part(part: Part) -> dict[str, Any] | None:
    written: dict[str, Any] | None = None
    match part:
        case Text(text) | Refusal(text) if text:
            written = {"type": "input_text", "text": text}
        case Image(found, detail):
            detail = detail if detail in DETAILS else "auto"
            written = {"type": "input_image", **_image_source(found), "detail": detail}
        case Document(found, name):
            written = {"type": "input_file", **_file_source(found, name)}
        case Audio() | Video():
            raise BadRequest(
                "{field}: a part of type {kind} is not supported here",
                param="input",
                field="input",
                kind=type(part).__name__.lower(),
            )
    if written is not None and isinstance(part, (Text, Image, Document)):
        if mark := own(part.opaque).get("prompt_cache_breakpoint"):
            written["prompt_cache_breakpoint"] = mark
    return written


def _image_source(found: Source) -> dict[str, Any]:
    match found:
        case Inline(media_type, data):
            return {"image_url": f"data:{media_type};base64,{data}"}
        case Link(url):
            return {"image_url": url}
        case Stored():
            return {"file_id": _file_id(found)}


def _file_source(found: Source, name: str) -> dict[str, Any]:
    match found:
        case Inline(media_type, data):
            name = name or NAMES.get(media_type, "file.pdf")
            return {"filename": name, "file_data": f"data:{media_type};base64,{data}"}
        case Link(url):
            return {"file_url": url}
        case Stored():
            return {"file_id": _file_id(found)}


def _file_id(found: Stored) -> str:
    if found.dialect in (NAME, CHAT):
        return found.file_id
    raise BadRequest(
        "{field}: a file stored with another platform cannot be used here",
        param="input",
        field="input",
    )
