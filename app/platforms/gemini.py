"""Gemini at Google's generateContent API, in its own dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.platforms import google
from app.platforms.google_images import GoogleImages
from app.upstream.platform import Memory, Platform
from app.web.native import mount_passage
from app.web.platform import blueprint


def _equipped(platform: Platform, options: Mapping[str, Any], memory: Memory | None) -> Platform:
    """With what is known of the models, by the operator too."""
    return replace(platform, images=GoogleImages(platform.catalogue.facts))


_BARE = Platform(
    name="gemini",
    title="Gemini",
    base_url=google.BASE_URL,
    key_variables=google.KEY_VARIABLES,
    owner="google",
    chat=google.GENERATE,
    catalogue=google.CATALOGUE,
    equip=_equipped,
)
PLATFORM = _equipped(_BARE, {}, None)

bp = blueprint(PLATFORM)
for version in ("v1beta", "v1"):
    for call in PLATFORM.chat.gemini_calls:
        mount_passage(
            bp,
            PLATFORM,
            f"/{version}/models/<path:model>:{call}",
            f"/v1beta/models/{{model}}:{call}",
            ["POST"],
        )
