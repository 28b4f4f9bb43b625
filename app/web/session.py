"""Which session a call belongs to: calls of one session go to one credential, so that the platform
finds in its cache what it has read before (C-232 to C-237).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from app.access.caller import Caller, Headers
from app.canonical.parts import Text
from app.canonical.request import ChatRequest

HEADER = "x-session-id"
OURS = "session_id"  # in a body; no platform knows it
FIELDS = (OURS, "prompt_cache_key")


def session_named(headers: Headers, body: Mapping[str, Any]) -> str:
    """What the caller calls the session; empty if it does not."""
    metadata = body.get("metadata")
    given = [headers.get(HEADER), *map(body.get, FIELDS)]
    given.append(metadata.get("user_id") if isinstance(metadata, dict) else None)
    return next((value for value in given if isinstance(value, str) and value), "")


def without_ours(body: dict[str, Any], *, keyed: bool) -> dict[str, Any]:
    """The body without our own name for a session; under OpenAI's, where that is `keyed` by it."""
    body = dict(body)
    name = body.pop(OURS)
    if keyed and isinstance(name, str) and name:
        body.setdefault("prompt_cache_key", name)
    return body


def opening(request: ChatRequest) -> str:
    """What a conversation is known by that nobody named: its first words, which all its calls share."""
    first = request.turns[:1]
    words = (part.text for turn in first for part in turn.parts if isinstance(part, Text))
    return "\n".join(words)


def session_key(caller: Caller, platform: str, value: str) -> str:
    """A key for the session that does not tell its name; another licence's is another."""
    if not value:
        return ""
    owner = f"{caller.name}\n{platform}\n{value}"
    return hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:32]
