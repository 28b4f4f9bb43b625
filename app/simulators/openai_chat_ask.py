"""From a Chat Completions request to the neutral facts a simulated model needs.

`last_user_text` is also asked about requests nobody has validated, so it expects nothing.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from typing import Any

from app.simulators.openai_models import effort_of
from app.simulators.script import Ask

Body = Mapping[str, Any]

FREE_TEXT: dict[str, Any] = {"type": "string"}


def ask_of(body: Body, bulk: int) -> Ask:
    """The facts of an accepted request; `bulk` is its size in bytes."""
    messages = body["messages"]
    form = body.get("response_format") or {"type": "text"}
    schemas: dict[str, Any] = {
        "text": None,
        "json_object": {},
        "json_schema": (form.get("json_schema") or {}).get("schema") or {},
    }
    forced, allowed = _choice(body)
    tools = _tools(body)
    stop = body.get("stop") or ()
    return Ask(
        text=last_user_text(messages),
        turns=len(messages),
        tools={name: tools[name] for name in tools if allowed is None or name in allowed},
        forced=forced,
        parallel=body.get("parallel_tool_calls") is not False and "functions" not in body,
        schema=schemas[form["type"]],
        reasoning=effort_of(body["model"], body.get("reasoning_effort"), "") != "none",
        attachments=_attachments(messages),
        tool_results=_results(messages),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        model=body["model"],
        bulk=bulk,
    )


def last_user_text(messages: Any) -> str:
    """What the user said last, parts joined by a line end; empty when nothing fits."""
    for message in reversed(messages if isinstance(messages, list) else []):
        if isinstance(message, dict) and message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def text_of(content: Any) -> str:
    """The text of a message's content, whatever its form."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def media_type(address: str, name: str = "") -> str:
    """Of a data URL, or guessed from a file name."""
    if address.startswith("data:"):
        return address[5:].partition(";")[0]
    guessed, _ = mimetypes.guess_type(name or address.partition("?")[0])
    return guessed or "application/octet-stream"


def free_text(arguments: str) -> str:
    """The input of a custom tool, which the script gives as a JSON string, perhaps cut short."""
    try:
        return str(json.loads(arguments))
    except ValueError:
        return arguments.strip('"')


def _tools(body: Body) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for tool in body.get("tools") or ():
        inner = tool[tool["type"]]
        free = tool["type"] == "custom"
        found[inner["name"]] = FREE_TEXT if free else inner.get("parameters") or {}
    for function in body.get("functions") or ():
        found[function["name"]] = function.get("parameters") or {}
    return found


def _choice(body: Body) -> tuple[str | None, frozenset[str] | None]:
    """What must be called (as in `Ask.forced`), and the tools that may be, None for all."""
    choice = body.get("tool_choice") or body.get("function_call") or "auto"
    if isinstance(choice, str):
        modes: dict[str, tuple[str | None, frozenset[str] | None]] = {
            "required": ("", None),
            "none": (None, frozenset()),
        }
        return modes.get(choice, (None, None))
    inner = choice.get(choice.get("type", ""), choice)
    if "tools" not in inner:
        return inner["name"], None
    names = frozenset(each[each["type"]]["name"] for each in inner["tools"])
    return "" if inner["mode"] == "required" else None, names


def _attachments(messages: list[Body]) -> tuple[str, ...]:
    asked = [message for message in messages if message["role"] == "user"]
    content = asked[-1]["content"] if asked else ""
    parts = content if isinstance(content, list) else []
    return tuple(_media(part) for part in parts if part["type"] != "text")


def _media(part: Body) -> str:
    if part["type"] == "image_url":
        found = media_type(part["image_url"]["url"])
        return found if found.startswith("image/") else "image/*"
    if part["type"] == "input_audio":
        return f"audio/{part['input_audio']['format']}"
    file = part["file"]
    return media_type(file.get("file_data", ""), file.get("filename", ""))


def _results(messages: list[Body]) -> tuple[str, ...]:
    results: list[str] = []
    for message in reversed(messages):
        if message["role"] not in ("tool", "function"):
            break
        results.append(text_of(message["content"]))
    return tuple(reversed(results))
