"""From a Responses request to the neutral facts a simulated model needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.simulators.openai_chat_ask import FREE_TEXT, media_type, text_of
from app.simulators.openai_models import effort_of
from app.simulators.script import Ask

Body = Mapping[str, Any]

OUTPUTS = ("function_call_output", "custom_tool_call_output")
FORMATS = {"json_object", "json_schema"}


def ask_of(body: Body, bulk: int) -> Ask:
    """The facts of an accepted request; `bulk` is its size in bytes."""
    items = items_of(body.get("input"))
    form = (body.get("text") or {}).get("format") or {}
    reasoning = body.get("reasoning") or {}
    forced, allowed = _choice(body.get("tool_choice") or "auto")
    tools = _tools(body, items)
    return Ask(
        text=last_user_text(items),
        turns=len(items),
        tools={name: tools[name] for name in tools if allowed is None or name in allowed},
        forced=forced,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=form.get("schema", {}) if form.get("type") in FORMATS else None,
        reasoning=effort_of(body["model"], reasoning.get("effort"), "") != "none",
        attachments=_attachments(items),
        tool_results=_results(items),
        max_tokens=body.get("max_output_tokens"),
        model=body["model"],
        bulk=bulk,
    )


def items_of(given: Any) -> list[dict[str, Any]]:
    """Input items; a string is short for one message of the user."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def last_user_text(items: list[dict[str, Any]]) -> str:
    return text_of(_last_user(items).get("content"))


def _last_user(items: list[dict[str, Any]]) -> Body:
    return next((each for each in reversed(items) if each.get("role") == "user"), {})


def _tools(body: Body, items: list[dict[str, Any]]) -> dict[str, Mapping[str, Any]]:
    listed = [*(body.get("tools") or ())]
    for each in items:
        if each.get("type") == "additional_tools":
            listed += [tool for tool in each.get("tools") or () if isinstance(tool, dict)]
    return {
        tool["name"]: FREE_TEXT if tool["type"] == "custom" else tool.get("parameters") or {}
        for tool in listed
        if tool.get("type") in ("function", "custom")
    }


def _choice(choice: Any) -> tuple[str | None, frozenset[str] | None]:
    """What must be called (as in `Ask.forced`), and the tools that may be, None for all."""
    if isinstance(choice, str):
        modes: dict[str, tuple[str | None, frozenset[str] | None]] = {
            "required": ("", None),
            "none": (None, frozenset()),
        }
        return modes.get(choice, (None, None))
    if choice["type"] == "allowed_tools":
        names = frozenset(each["name"] for each in choice["tools"] if "name" in each)
        return "" if choice["mode"] == "required" else None, names
    return choice.get("name"), None


def _attachments(items: list[dict[str, Any]]) -> tuple[str, ...]:
    content = _last_user(items).get("content")
    parts = content if isinstance(content, list) else []
    return tuple(_media(part) for part in parts if part["type"] != "input_text")


def _media(part: Body) -> str:
    if part["type"] == "input_image":
        found = media_type(part.get("image_url") or "")
        return found if found.startswith("image/") else "image/*"
    address = part.get("file_data") or part.get("file_url") or ""
    return media_type(address, part.get("filename") or "")


def _results(items: list[dict[str, Any]]) -> tuple[str, ...]:
    results: list[str] = []
    for each in reversed(items):
        if each.get("type") not in OUTPUTS:
            break
        results.append(text_of(each["output"]))
    return tuple(reversed(results))
