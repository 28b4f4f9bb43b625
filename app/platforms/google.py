"""What the platforms that call Google's Gemini API share: addresses, keys, models.

At generateContent the model travels in the path, and so does the choice to stream. A stream comes
as events with `alt=sse` and as one JSON array without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.errors import BadRequest
from app.secret import Secret
from app.upstream.platform import Catalogue, Chat, Framing, Send
from app.wire import gemini_generate

BASE_URL = "https://generativelanguage.googleapis.com"
KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
CALLS: dict[Framing, str] = {
    "whole": "generateContent",
    "events": "streamGenerateContent?alt=sse",
    "array": "streamGenerateContent",
}


def seed(extras: Mapping[str, Any]) -> int | None:
    """The seed that is asked for, in whichever way forms and JSON write numbers."""
    value = extras.get("seed")
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,10}", str(value), re.ASCII):
        raise BadRequest("{field} must be a whole number", param="seed", field="seed")
    return int(value)


def follow(url: str, token: Secret) -> Send:
    return Send(url, {"x-goog-api-key": token.reveal()})


def _address(base_url: str, token: Secret, model: str, framing: Framing) -> Send:
    name = quote(model.removeprefix("models/"), safe="")
    return follow(f"{base_url}/v1beta/models/{name}:{CALLS[framing]}", token)


GENERATE = Chat(
    dialect=gemini_generate,
    address=_address,
    follow=follow,
    probe="/v1beta/models?pageSize=1000",
    gemini_calls=("countTokens",),
)
CATALOGUE = Catalogue.load(Path(__file__).with_suffix(".json"))
