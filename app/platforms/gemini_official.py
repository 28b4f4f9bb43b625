"""Gemini at Google's endpoint for OpenAI's clients.

That endpoint does chats, tools and pictures well. What it does badly or not at all goes to Google's
own API: documents and films, Google's tools and safety settings, thoughts, and whatever callers of
Google's own dialect say. Pictures and films are made there too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from app.canonical.parts import Audio, Document, ToolResult, Video
from app.canonical.request import ChatRequest, Turn
from app.platforms import gemini_official_wire, google
from app.platforms.google_images import GoogleImages
from app.platforms.google_videos import GoogleVideos
from app.secret import Secret
from app.upstream.platform import Chat, Framing, Memory, Platform, Send
from app.web.platform import blueprint
from app.wire import gemini_generate
from app.wire.dialect import Dialect

_AWKWARD = (Audio, Document, Video)


def _follow(url: str, token: Secret) -> Send:
    return Send(url, {"authorization": f"Bearer {token.reveal()}"})


def _address(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    """The model travels in the body here, so it plays no part in the address."""
    return _follow(f"{base_url}/v1beta/openai/chat/completions", token)


COMPATIBLE = Chat(
    dialect=gemini_official_wire,
    address=_address,
    follow=google.follow,
    probe=google.GENERATE.probe,
)


def _pick(spoken: Dialect, request: ChatRequest, sets: Mapping[str, Any]) -> Chat:
    reasoning = request.reasoning
    googles_own = (
        spoken is gemini_generate
        or bool(sets)
        or reasoning.visible
        or reasoning.budget is not None
        or reasoning.effort not in (None, "none")
        or any(tool.kind == "hosted" for tool in request.tools)
        or "safety_settings" in (gemini_official_wire.googles_own(request) or ())
        or any(map(_is_awkward, request.turns))
    )
    return google.GENERATE if googles_own else COMPATIBLE


def _is_awkward(turn: Turn) -> bool:
    for part in turn.parts:
        if isinstance(part, _AWKWARD):
            return True
        if isinstance(part, ToolResult) and any(isinstance(one, _AWKWARD) for one in part.content):
            return True
    return False


def _equipped(platform: Platform, options: Mapping[str, Any], memory: Memory | None) -> Platform:
    """With what is known of the models, by the operator too."""
    facts = platform.catalogue.facts
    return replace(platform, images=GoogleImages(facts), videos=GoogleVideos(facts))


_BARE = Platform(
    name="gemini_official",
    title="Gemini Official",
    base_url=google.BASE_URL,
    key_variables=google.KEY_VARIABLES,
    owner="google",
    chat=COMPATIBLE,
    catalogue=google.CATALOGUE.changed(
        orjson.loads(Path(__file__).with_suffix(".json").read_bytes())
    ),
    pick=_pick,
    equip=_equipped,
)
PLATFORM = _equipped(_BARE, {}, None)

bp = blueprint(PLATFORM)
