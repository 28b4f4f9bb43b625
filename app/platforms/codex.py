"""Codex: OpenAI's Responses, where the newest models take tools and reasoning together.

Stored responses live with the key that made them, so the routes that look them up are passed on as
they are, for the licence that they were made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.platforms.codex_stored import Stored
from app.platforms.openai_images import OpenAIImages
from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Memory, Platform, Send
from app.web.native import mount_passage
from app.web.platform import blueprint
from app.wire import openai_responses


def _follow(url: str, token: Secret) -> Send:
    return Send(url, {"authorization": f"Bearer {token.reveal()}"})


def _address(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    """The model travels in the body here, so it plays no part in the address."""
    return _follow(f"{base_url}/responses", token)


def _equipped(platform: Platform, options: Mapping[str, Any], memory: Memory | None) -> Platform:
    if memory is None:
        return platform
    stored = Stored(memory, platform.chat.post)
    return replace(platform, chat=replace(platform.chat, opener=stored.open, stored=stored))


CATALOGUE = Catalogue.load(Path(__file__).with_suffix(".json"))

PLATFORM = Platform(
    name="codex",
    title="Codex",
    base_url="https://api.openai.com/v1",
    key_variables=("OPENAI_API_KEY",),
    owner="openai",
    chat=Chat(
        dialect=openai_responses,
        address=_address,
        follow=_follow,
        probe="/models",
        forwards=frozenset({"openai-beta", "session-id", "thread-id", "x-client-request-id"}),
        switches={"x-tokens-disable-codex-image-generation": "image_generation"},
    ),
    images=OpenAIImages(_follow, CATALOGUE),
    catalogue=CATALOGUE,
    equip=_equipped,
)

bp = blueprint(PLATFORM)
mount_passage(
    bp, PLATFORM, "/v1/responses/compact", "/responses/compact", ["POST"], paid=openai_responses
)
mount_passage(bp, PLATFORM, "/v1/responses/input_tokens", "/responses/input_tokens", ["POST"])
mount_passage(bp, PLATFORM, "/v1/responses/<response>", "/responses/{response}", ["GET", "DELETE"])
mount_passage(
    bp, PLATFORM, "/v1/responses/<response>/cancel", "/responses/{response}/cancel", ["POST"]
)
mount_passage(
    bp,
    PLATFORM,
    "/v1/responses/<response>/input_items",
    "/responses/{response}/input_items",
    ["GET"],
)
