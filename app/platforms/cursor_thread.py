"""Which conversation this is: a digest of all that was said in it so far.

A caller sends the whole conversation each time; an agent that was told the same so far can go on
with it. White space at the ends does not count, nor do thoughts: clients do not keep either.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from app.canonical.parts import Image, Inline, Link, Part, Text, ToolCall, ToolResult
from app.canonical.request import Turn
from app.platforms import cursor_tools


def begun(model: str, mode: str, repos: list[dict[str, Any]], head: list[str]) -> str:
    """The digest of a conversation in which nothing has been said yet."""
    return _digest("", [model, mode, repos, head])


def heard(state: str, turn: Turn) -> str:
    """The digest once this has been said too."""
    if turn.role == "assistant":
        text = "".join(part.text for part in turn.parts if isinstance(part, Text))
        calls = [(one.name, one.arguments) for one in turn.parts if isinstance(one, ToolCall)]
        return _answered(state, text, calls)
    return _digest(state, [turn.role, [_content(part) for part in turn.parts]])


def answered(state: str, text: str, *, calls: bool) -> str:
    """The digest once the agent has said this, which may hold `calls`."""
    return _answered(state, *(cursor_tools.parted(text) if calls else (text, [])))


def _answered(state: str, text: str, calls: list[tuple[str, str]]) -> str:
    made = [(name, cursor_tools.plain(arguments)) for name, arguments in calls]
    return _digest(state, ["assistant", text.strip(), made])


def _content(part: Part) -> Any:
    match part:
        case Text(text):
            return text.strip()
        case Image(Inline(_, data)):
            return hashlib.sha256(data.encode()).hexdigest()
        case Image(Link(url)):
            return url
        case ToolResult():
            return [_content(one) for one in part.content]
        case _:
            return repr(part)


def _digest(state: str, said: Any) -> str:
    return hashlib.sha256(state.encode() + orjson.dumps(said)).hexdigest()
