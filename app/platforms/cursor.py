"""Cursor's Cloud Agents: a chat is an agent at work.

There is no API that takes messages. A chat becomes an agent with a prompt, and what the agent says
becomes the answer; a caller who goes on with the chat goes on with the agent. It takes its time,
knows nothing of sampling or limits, and has tools of its own but none of the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.canonical.request import ChatRequest
from app.platforms.cursor_models import listed
from app.platforms.cursor_opening import Opening
from app.platforms.cursor_wire import CursorWire, Habits, wants_tools
from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Memory, Option, Platform, Send
from app.web.platform import blueprint
from app.wire.dialect import Dialect

OPTIONS = (
    Option("REPOSITORY", "", "repository an agent works on where the caller names none"),
    Option("REF", "", "branch or commit of that repository to start from"),
    Option(
        "REPOSITORIES",
        (),
        "patterns of repositories that callers may name, such as `https://x/y/*`",
    ),
    Option(
        "MODE", "agent", "`agent` or `plan`, which only proposes, where the caller says nothing"
    ),
    Option("WRITES", False, "callers may ask for pull requests and for work on the branch itself"),
    Option("TOOLS", False, "tell agents of the callers' tools in words; best effort"),
)


def _follow(url: str, token: Secret) -> Send:
    return Send(url, {"authorization": f"Bearer {token.reveal()}"})


def _agents(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    return _follow(f"{base_url}/v1/agents", token)


def _equipped(platform: Platform, options: Mapping[str, Any], memory: Memory | None) -> Platform:
    habits = Habits(**{name.lower(): value for name, value in options.items()})
    chat = Chat(
        dialect=CursorWire(habits),
        address=_agents,
        follow=_follow,
        probe="/v1/models",
        opener=Opening(memory, _follow),
        anchored=True,
    )

    def pick(spoken: Dialect, request: ChatRequest, sets: Mapping[str, Any]) -> Chat:
        wire = CursorWire(habits, sets.get("params") or {}, calls=wants_tools(request))
        return replace(chat, dialect=wire)

    return replace(platform, chat=chat, pick=pick)


_BARE = Platform(
    name="cursor",
    title="Cursor",
    base_url="https://api.cursor.com",
    key_variables=("CURSOR_API_KEY",),
    owner="cursor",
    chat=Chat(dialect=CursorWire(), address=_agents, follow=_follow, probe="/v1/models"),
    catalogue=Catalogue.load(Path(__file__).with_suffix(".json")),
    options=OPTIONS,
    listing=listed,
    equip=_equipped,
)
PLATFORM = _equipped(_BARE, {}, None)

bp = blueprint(PLATFORM)
