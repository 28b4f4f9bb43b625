"""Sora: OpenAI's images, and films by OpenAI's Videos protocol.

OpenAI ended its own films on 2026-09-24. The protocol lives on with other servers: name one as the
base address, or have another platform's engine make the films (`ENGINE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.platforms.openai_images import OpenAIImages
from app.platforms.sora_characters import SoraCharacters
from app.platforms.sora_videos import SoraVideos
from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Memory, Option, Platform, Send
from app.web.platform import blueprint
from app.wire import openai_chat

BASE_URL = "https://api.openai.com/v1"


def _follow(url: str, token: Secret) -> Send:
    return Send(url, {"authorization": f"Bearer {token.reveal()}"})


def _address(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    return _follow(f"{base_url}/chat/completions", token)


def _equipped(platform: Platform, options: Mapping[str, Any], memory: Memory | None) -> Platform:
    """Where another's engine makes the films, no server may have films of a name we have not heard of."""
    if not (engine := options["ENGINE"]):
        return platform
    closed = {"closed": ["sora*"]}
    return replace(platform, engine=engine, catalogue=platform.catalogue.changed(closed))


CATALOGUE = Catalogue.load(Path(__file__).with_suffix(".json"))
VIDEOS = SoraVideos(_follow, CATALOGUE, retired=BASE_URL)

PLATFORM = Platform(
    name="sora",
    title="Sora",
    base_url=BASE_URL,
    key_variables=("OPENAI_API_KEY",),
    owner="openai",
    chat=Chat(dialect=openai_chat, address=_address, follow=_follow, probe="/models"),
    images=OpenAIImages(_follow, CATALOGUE, shapes=True),
    videos=VIDEOS,
    stills=VIDEOS,
    characters=SoraCharacters(_follow, retired=BASE_URL),
    catalogue=CATALOGUE,
    options=(
        Option("ENGINE", "", "platform whose films stand in for these, such as `flow` or `grok`"),
    ),
    equip=_equipped,
)

bp = blueprint(PLATFORM)
