"""Grok at xAI. Chats go through its chat completions; with `-deepsearch` behind the model's name,
through its responses, where its search lives. Its pictures and films are made elsewhere: see there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.canonical.request import ChatRequest
from app.platforms import grok_search_wire, grok_wire
from app.platforms.grok_images import GrokImages
from app.platforms.grok_opening import prepared
from app.platforms.grok_videos import GrokVideos
from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Platform, Send
from app.web.platform import blueprint
from app.wire.dialect import Dialect


def _follow(url: str, token: Secret) -> Send:
    return Send(url, {"authorization": f"Bearer {token.reveal()}"})


def _chat(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    """The model travels in the body here, so it plays no part in the address."""
    return _follow(f"{base_url}/chat/completions", token)


def _responses(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    return _follow(f"{base_url}/responses", token)


_plain = Chat(dialect=grok_wire, address=_chat, follow=_follow, probe="/models")
CHAT = replace(_plain, opener=prepared(_plain.post, _follow))
SEARCH = Chat(dialect=grok_search_wire, address=_responses, follow=_follow, probe="/models")


def _pick(spoken: Dialect, request: ChatRequest, sets: Mapping[str, Any]) -> Chat:
    return SEARCH if sets.get("search") else CHAT


CATALOGUE = Catalogue.load(Path(__file__).with_suffix(".json"))

PLATFORM = Platform(
    name="grok",
    title="Grok",
    base_url="https://api.x.ai/v1",
    key_variables=("XAI_API_KEY",),
    owner="xai",
    chat=CHAT,
    images=GrokImages(_follow, CATALOGUE),
    videos=GrokVideos(_follow, CATALOGUE),
    catalogue=CATALOGUE,
    pick=_pick,
)

bp = blueprint(PLATFORM)
