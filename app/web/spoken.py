"""Which dialect a caller speaks: told by the path, and where vendors share a path, by the headers.

It holds for paths that lead nowhere too, so that every refusal is told in words the caller's client
can read.
"""

from __future__ import annotations

import re

from flask import Request

from app.access.caller import CREDENTIAL_HEADERS
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses
from app.wire.dialect import Dialect

GEMINI_VERB = r":(?:predict|[a-z]+[A-Z][A-Za-z]*)"  # what Google writes behind a model
GOOGLES = ("x-goog-api-key", "x-goog-api-client")

_PLACES: tuple[tuple[re.Pattern[str], Dialect], ...] = (
    (re.compile(r"(?:/[^/]+)?/v1/messages(?:/|$)"), anthropic_messages),
    (re.compile(r"(?:/[^/]+)?/v1/responses(?:/|$)"), openai_responses),
    (re.compile(rf"(?:/[^/]+)?/(?:v1beta(?:/|$)|v1/models/.+{GEMINI_VERB}$)"), gemini_generate),
)
_SHARED = re.compile(r"/[^/]+/v1/models(?:/|$)")


def spoken(request: Request) -> Dialect:
    """The dialect of the request, and of its answer."""
    path = request.path
    for place, dialect in _PLACES:
        if place.match(path):
            return dialect
    return _shown(request) if _SHARED.match(path) else openai_chat


def _shown(request: Request) -> Dialect:
    """What the caller shows itself as. `?key=` alone is Google's; beside a header it is nobody's
    (K-018).
    """
    headers = request.headers
    if any(name in headers for name in GOOGLES):
        return gemini_generate
    if "anthropic-version" in headers:
        return anthropic_messages
    if "key" in request.args and not any(headers.get(name) for name in CREDENTIAL_HEADERS):
        return gemini_generate
    return openai_chat
