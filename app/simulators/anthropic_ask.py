"""From a Messages request to the neutral facts a simulated model needs, and what it cost to read.

`last_user_text` is also asked about requests nobody has validated, so it expects nothing. Input
is counted over what the model reads (tools, system, messages), an inline file at a flat rate, so
that counting a request and sending it give the same number.
"""

from __future__ import annotations

import math
import mimetypes
import re
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from app.simulators.anthropic_limits import thinks
from app.simulators.anthropic_models import traits
from app.simulators.anthropic_rules import TYPED_TOOLS
from app.simulators.anthropic_turns import blocks
from app.simulators.exchange import as_json
from app.simulators.script import BYTES_PER_TOKEN, Ask

Json = dict[str, Any]

FILE_TOKENS = 1_500  # what an inline image or document counts as
REMEMBERED = 1_000

_JSON_ALONE = re.compile(r"\bJSON\b[^.]*\bnothing else\b|\bonly\b[^.]*\bJSON\b", re.IGNORECASE)
_text_property = {"type": "string"}
CLIENT_TOOLS: dict[str, Json] = {
    "bash": {"required": ["command"], "properties": {"command": _text_property}},
    "memory": {
        "required": ["command", "path"],
        "properties": {"command": {"enum": ["view"]}, "path": {"enum": ["/memories"]}},
    },
    "computer": {
        "required": ["action"],
        "properties": {"action": {"enum": ["screenshot"]}},
    },
}
_EDITOR: Json = {
    "required": ["command", "path"],
    "properties": {"command": {"enum": ["view"]}, "path": _text_property},
}
CLIENT_TOOLS |= {name: _EDITOR for name in ("str_replace_editor", "str_replace_based_edit_tool")}


def ask_of(body: Json) -> Ask:
    """The facts of an accepted request."""
    messages = body["messages"]
    choice = body.get("tool_choice") or {"type": "auto"}
    config = body.get("output_config") or {}
    form = config.get("format") or body.get("output_format")
    forced = {"any": "", "tool": choice.get("name")}.get(choice["type"])
    return Ask(
        text=last_user_text(messages),
        turns=len(messages),
        tools={} if choice["type"] == "none" else _tools(body),
        forced=forced,
        parallel=not choice.get("disable_parallel_tool_use"),
        schema=form["schema"] if form else _ordered(body.get("system")),
        reasoning=thinks(body),
        attachments=_attachments(messages),
        tool_results=_results(messages),
        max_tokens=body.get("max_tokens"),
        stop=tuple(body.get("stop_sequences") or ()),
        model=body["model"],
        bulk=_weight(_read_parts(body)),
    )


def _ordered(system: Any) -> Json | None:
    """The schema of any object where the instructions want JSON alone: a model does as it is told,
    though nothing holds it to it.
    """
    return {} if _JSON_ALONE.search(text_of(system or "")) else None


def last_user_text(messages: Any) -> str:
    """What the user said last, blocks joined by a line end; empty when nothing fits."""
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            text = text_of(message.get("content"))
            if text:
                return text
    return ""


def text_of(content: Any) -> str:
    """The text of some content, whatever its form."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def input_tokens(body: Json) -> int:
    """How many tokens the request is."""
    return max(1, math.ceil(_weight(_read_parts(body)) / BYTES_PER_TOKEN))


@dataclass(frozen=True, slots=True)
class Cached:
    """How the input of one request splits up with regard to the prompt cache."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def written(self) -> int:
        return self.written_5m + self.written_1h


class PromptCache:
    """The prefixes seen so far. A prefix ends at a cache mark and belongs to one credential."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()

    def look(self, body: Json, credential: str) -> Cached:
        """What of this request is in the cache; remembers the rest of it."""
        least = traits(body["model"]).cache_from
        read = known = short = long = 0
        for mark, prefix in _prefixes(body):
            size = math.ceil(_weight(prefix) / BYTES_PER_TOKEN)
            if size < least:
                continue
            key = sha256(as_json([credential, body["model"], prefix])).hexdigest()
            if key in self._seen:
                read = known = size
                short = long = 0
            elif mark.get("ttl") == "1h":
                long, known = long + size - known, size
            else:
                short, known = short + size - known, size
            self._remember(key)
        return Cached(read, short, long)

    def _remember(self, key: str) -> None:
        self._seen[key] = None
        self._seen.move_to_end(key)
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def _read_parts(body: Json) -> list[Any]:
    """What the model reads, in the order of the cache: tools, system, messages."""
    parts: list[Any] = [*(body.get("tools") or ()), *blocks(body.get("system") or [])]
    for message in body["messages"]:
        parts += [{"role": message["role"], **part} for part in blocks(message["content"])]
    return parts


def _prefixes(body: Json) -> list[tuple[Json, list[Any]]]:
    """Every cache mark with what stands before it, itself included."""
    parts = _read_parts(body)
    found = [
        (part["cache_control"], parts[: index + 1])
        for index, part in enumerate(parts)
        if part.get("cache_control")
    ]
    if body.get("cache_control"):
        found.append((body["cache_control"], parts))
    return [(mark, [_unmarked(part) for part in prefix]) for mark, prefix in found]


def _unmarked(part: Any) -> Any:
    return {name: value for name, value in part.items() if name != "cache_control"}


def _weight(parts: list[Any]) -> int:
    """The bytes of these parts, with a flat rate for files."""
    return sum(len(as_json(part)) - _excess(part) for part in parts)


def _excess(part: Any) -> int:
    if isinstance(part, list):
        return sum(_excess(each) for each in part)
    if not isinstance(part, dict):
        return 0
    source = part.get("source")
    own = 0
    if isinstance(source, dict) and source.get("type") == "base64":
        own = len(source["data"]) - FILE_TOKENS * BYTES_PER_TOKEN
    return own + _excess(part.get("content"))


def _tools(body: Json) -> dict[str, Json]:
    """The tools the client runs, with the schema of their input."""
    found: dict[str, Json] = {}
    for tool in body.get("tools") or ():
        if "input_schema" in tool:
            found[tool["name"]] = tool["input_schema"]
        elif TYPED_TOOLS.get(tool["type"]) in CLIENT_TOOLS:
            found[tool["name"]] = CLIENT_TOOLS[tool["name"]]
    return found


def _last_user_blocks(messages: list[Json]) -> list[Json]:
    last = messages[-1]
    return blocks(last["content"]) if last["role"] == "user" else []


def _attachments(messages: list[Json]) -> tuple[str, ...]:
    parts = _last_user_blocks(messages)
    return tuple(_media(part) for part in parts if part["type"] in ("image", "document"))


def _media(part: Json) -> str:
    source = part["source"]
    if "media_type" in source:
        return str(source["media_type"])
    guessed, _ = mimetypes.guess_type(str(source.get("url", "")).partition("?")[0])
    return guessed or ("image/*" if part["type"] == "image" else "document")


def _results(messages: list[Json]) -> tuple[str, ...]:
    results = (part for part in _last_user_blocks(messages) if part["type"] == "tool_result")
    return tuple(text_of(part.get("content")) for part in results)
