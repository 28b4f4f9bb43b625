"""Tools for an agent that knows none of the caller's: told of in the prompt, called in its text.

Best effort, and only where the operator wants it. A call is one JSON list between two marks, after
which the agent is to stop.
"""

from __future__ import annotations

import json
from typing import Any

from app.canonical.request import Tool, ToolChoice

OPEN, CLOSE = "<tool_calls>", "</tool_calls>"

Call = tuple[str, str]  # name, arguments as JSON text


def described(tools: tuple[Tool, ...], choice: ToolChoice | None) -> str:
    """What an agent is told of the tools."""
    lines = ["I have tools which you cannot run, but I can. To have some run, end your answer with"]
    lines.append(f'{OPEN}[{{"name": "TOOL", "arguments": {{...}}}}]{CLOSE}')
    lines.append("and stop there; I will tell you what they answered. My tools:")
    for tool in tools:
        if tool.kind != "hosted":
            lines.append(f"- {tool.name}: {tool.description}".rstrip(": "))
            lines.append(f"  arguments: {json.dumps(tool.schema or {}, ensure_ascii=False)}")
    if choice is not None and choice.mode == "required":
        lines.append(f"You must have {' or '.join(choice.names) or 'one of them'} run now.")
    if choice is not None and choice.parallel is False:
        lines.append("Have one run at a time.")
    return "\n".join(lines)


def written(name: str, arguments: str) -> str:
    """A call as an agent would have written it."""
    return f'{OPEN}[{{"name": {json.dumps(name)}, "arguments": {arguments or "{}"}}}]{CLOSE}'


def plain(arguments: str) -> str:
    """Arguments in one spelling, so that they can be compared."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except ValueError:
        return arguments


def parted(text: str) -> tuple[str, list[Call]]:
    """The words of an answer, and the calls in it."""
    calls = Calls()
    shown = calls.feed(text)
    rest, made = calls.finish()
    return shown + rest, made


class Calls:
    """Takes the calls out of a text that comes piece by piece."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What is certainly no call. From a mark on, everything is held back."""
        text = self._held + text
        place = text.find(OPEN)
        if place < 0:
            place = len(text) - _overlap(text)
        self._held = text[place:]
        return text[:place]

    def finish(self) -> tuple[str, list[Call]]:
        """The rest of the words and the calls. What cannot be read as calls stays text."""
        if not self._held.startswith(OPEN):
            return self._held, []
        inside, _, after = self._held[len(OPEN) :].partition(CLOSE)
        calls = _read(inside)
        return (after.strip(), calls) if calls else (self._held, [])


def _overlap(text: str) -> int:
    """How many characters at the end may be the beginning of a mark."""
    sizes = range(min(len(OPEN) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(OPEN[:size])), 0)


def _read(text: str) -> list[Call]:
    try:
        found: Any = json.loads(text)
    except ValueError:
        return []
    calls = []
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            return []
        arguments = one.get("arguments", {})
        if not isinstance(arguments, dict):
            return []
        calls.append((one["name"], json.dumps(arguments, ensure_ascii=False)))
    return calls
