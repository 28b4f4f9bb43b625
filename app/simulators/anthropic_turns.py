"""The rules that hold between messages: order of roles, pairing of tools, thinking, cache marks.

Neighbouring messages of one role are accepted, as the vendor merges them, but pairing looks at
the messages as they came: results that are spread over several user messages are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.simulators.anthropic_checks import Refused, fail
from app.simulators.anthropic_models import Traits, traits
from app.simulators.anthropic_thoughts import redactor, signer

Json = dict[str, Any]

MOST_MARKS = 4
THOUGHTS = ("thinking", "redacted_thinking")


def blocks(content: Any) -> list[Json]:
    """The content as blocks; a string is one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def require_turns(body: Json) -> None:
    """Raises for the first rule of the conversation that is broken."""
    found, messages = traits(body["model"]), body["messages"]
    _roles(messages, found)
    for index, message in enumerate(messages):
        final = index == len(messages) - 1 and message["role"] == "assistant"
        _content(message, index, final)
    _prefill(messages[-1], found)
    _unique_ids(messages)
    _pairs(messages)
    _thinking(body)
    _marks(body)


def _roles(messages: list[Json], found: Traits) -> None:
    for index, message in enumerate(messages):
        if message["role"] == "system":
            _system_turn(messages, index, found)
    if messages[0]["role"] != "user":
        raise Refused('messages: first message must use the "user" role')


def _system_turn(messages: list[Json], index: int, found: Traits) -> None:
    at = f"messages.{index}"
    if not found.system_turns:
        fail(at, "role 'system' is not supported on this model")
    before = messages[index - 1] if index else None
    if before is None or not (before["role"] == "user" or _ends_in_server_tool(before)):
        fail(at, "role 'system' must follow a user message")
    if index + 1 < len(messages) and messages[index + 1]["role"] != "assistant":
        fail(at, "role 'system' must be the last message or precede an assistant message")


def _ends_in_server_tool(message: Json) -> bool:
    last = blocks(message["content"])[-1:]
    return message["role"] == "assistant" and bool(last) and last[0]["type"] == "server_tool_use"


def _content(message: Json, index: int, final_assistant: bool) -> None:
    parts = blocks(message["content"])
    if final_assistant and (not parts or message["content"] == ""):
        return
    if not parts or message["content"] == "":
        raise Refused(
            f"messages.{index}: all messages must have non-empty content except for the optional "
            "final assistant message"
        )
    require_texts(parts, "messages")
    for part in parts:
        if part["type"] == "tool_result" and isinstance(part.get("content"), list):
            require_texts(part["content"], "messages")


def require_texts(parts: list[Json], at: str) -> None:
    """Raises for a text block in which there is nothing to read."""
    for part in parts:
        if part["type"] != "text":
            continue
        if not part["text"] and part.get("cache_control"):
            fail(at, "cache_control cannot be set for empty text blocks")
        if not part["text"]:
            fail(at, "text content blocks must be non-empty")
        if not part["text"].strip():
            fail(at, "text content blocks must contain non-whitespace text")


def _prefill(last: Json, found: Traits) -> None:
    if last["role"] != "assistant":
        return
    parts = blocks(last["content"])
    if parts and parts[-1]["type"] == "server_tool_use":
        return  # a paused turn is sent back as it was
    if not found.prefill:
        raise Refused(
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message."
        )
    if parts and parts[-1]["type"] == "text" and parts[-1]["text"] != parts[-1]["text"].rstrip():
        raise Refused("messages: final assistant content cannot end with trailing whitespace")


def _each(messages: list[Json], kind: str) -> Iterator[tuple[str, Json]]:
    for index, message in enumerate(messages):
        for place, part in enumerate(blocks(message["content"])):
            if part["type"] == kind:
                yield f"messages.{index}.content.{place}", part


def _unique_ids(messages: list[Json]) -> None:
    seen: set[str] = set()
    for at, part in _each(messages, "tool_use"):
        if part["id"] in seen:
            fail(at, "`tool_use` ids must be unique")
        seen.add(part["id"])


def _pairs(messages: list[Json]) -> None:
    called: list[str] = []
    for index, message in enumerate([*messages, {"role": "user", "content": []}]):
        parts = blocks(message["content"])
        if called or index < len(messages):
            _results(called, parts, index)
        uses = [part["id"] for part in parts if part["type"] == "tool_use"]
        called = uses if message["role"] == "assistant" else []


def _results(called: list[str], parts: list[Json], index: int) -> None:
    """Looks whether this message answers the calls of the one before, and no others."""
    leading: list[str] = []
    for part in parts:
        if part["type"] != "tool_result":
            break
        leading.append(part["tool_use_id"])
    for place, part in enumerate(parts):
        if part["type"] == "tool_result" and part["tool_use_id"] not in called:
            fail(
                f"messages.{index}.content.{place}",
                "unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{part['tool_use_id']}. Each `tool_result` block must have a corresponding "
                "`tool_use` block in the previous message.",
            )
    missing = [each for each in called if each not in leading]
    if missing:
        fail(
            f"messages.{index - 1}",
            "`tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` "
            "block in the next message.",
        )
    twice = [each for each in called if leading.count(each) > 1]
    if twice:
        fail(
            f"messages.{index}",
            "each tool_use must have a single result. Found multiple `tool_result` blocks with "
            f"id: {twice[0]}",
        )


def _thinking(body: Json) -> None:
    messages = body["messages"]
    for kind in THOUGHTS:
        for at, part in _each(messages, kind):
            _vouched(at, part, body["model"])
    if (body.get("thinking") or {}).get("type") != "enabled":
        return
    turns = [(i, blocks(m["content"])) for i, m in enumerate(messages) if m["role"] == "assistant"]
    if not turns:
        return
    index, parts = turns[-1]
    if any(part["type"] == "tool_use" for part in parts) and parts[0]["type"] not in THOUGHTS:
        fail(
            f"messages.{index}.content.0.type",
            f"Expected `thinking` or `redacted_thinking`, but found `{parts[0]['type']}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block.",
        )


def _vouched(at: str, part: Json, model: str) -> None:
    if part["type"] == "thinking":
        made_by, field = signer(part["signature"], part["thinking"]), "signature"
    else:
        made_by, field = redactor(part["data"]), "data"
    foreign = made_by is not None and made_by != model and traits(made_by).bound
    if made_by is None or foreign:
        fail(at, f"Invalid `{field}` in `{part['type']}` block")


def marks(body: Json) -> Iterator[Json]:
    """The cache marks in the order of the prefix: tools, system, messages."""
    for tool in body.get("tools") or ():
        yield from _mark(tool)
    for part in blocks(body.get("system") or []):
        yield from _mark(part)
    for message in body["messages"]:
        for part in blocks(message["content"]):
            inner = part.get("content") if part["type"] == "tool_result" else None
            for each in inner if isinstance(inner, list) else ():
                yield from _mark(each)
            yield from _mark(part)
    yield from _mark(body)


def _mark(holder: Json) -> Iterator[Json]:
    if holder.get("cache_control"):
        yield holder["cache_control"]


def _marks(body: Json) -> None:
    found = list(marks(body))
    explicit = len(found) - bool(body.get("cache_control"))
    if explicit > MOST_MARKS:
        raise Refused(
            f"A maximum of {MOST_MARKS} blocks with cache_control may be provided. "
            f"Found {explicit}."
        )
    lives = [each.get("ttl", "5m") for each in found]
    if "1h" in lives[lives.index("5m") :] if "5m" in lives else False:
        raise Refused(
            "cache_control: a ttl='1h' cache_control block must not come after a ttl='5m' "
            "cache_control block"
        )
