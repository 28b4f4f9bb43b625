"""Gemini at Google's generateContent API.

The model travels in the path, and so does the choice to stream. A stream comes as events with
`alt=sse` and as one JSON array without.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Platform, Send
from app.web.native import mount_passage
from app.web.platform import blueprint
from app.wire import gemini_generate

CALLS: dict[Framing, str] = {
    "whole": "generateContent",
    "events": "streamGenerateContent?alt=sse",
    "array": "streamGenerateContent",
}


def _follow(url: str, token: Secret) -> Send:
    return Send(url, {"x-goog-api-key": token.reveal()})


def _address(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    name = quote(model.removeprefix("models/"), safe="")
    return _follow(f"{base_url}/v1beta/models/{name}:{CALLS[framing]}", token)


PLATFORM = Platform(
    name="gemini",
    title="Gemini",
    base_url="https://generativelanguage.googleapis.com",
    key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    owner="google",
    chat=Chat(
        dialect=gemini_generate,
        address=_address,
        follow=_follow,
        probe="/v1beta/models",
        gemini_calls=("countTokens",),
    ),
    catalogue=Catalogue.load(Path(__file__).with_suffix(".json")),
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
