"""Gemini at Google's generateContent API, in its own dialect."""

from __future__ import annotations

from app.platforms import google
from app.upstream.platform import Platform
from app.web.native import mount_passage
from app.web.platform import blueprint

PLATFORM = Platform(
    name="gemini",
    title="Gemini",
    base_url=google.BASE_URL,
    key_variables=google.KEY_VARIABLES,
    owner="google",
    chat=google.GENERATE,
    catalogue=google.CATALOGUE,
)

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
