"""Paths that vendors have and a platform here does not: a clear refusal instead of a riddle
(C-027).
"""

from __future__ import annotations

import re

from flask import Flask, request
from werkzeug.exceptions import NotFound

from app.errors import NotOffered
from app.web.access import admit
from app.web.gateway import gateway
from app.web.spoken import GEMINI_VERB

ENDPOINTS = re.compile(
    r"/v1/(?:alpha/search|audio|batches|characters|chat/completions|completions|conversations"
    r"|embeddings|files|images|messages|moderations|responses|uploads|videos)(?:/|$)"
    r"|/v1beta/(?:batches|cachedContents|files|interactions)(?:/|$)"
    rf"|/v1(?:beta)?/models/.+{GEMINI_VERB}$"
)


def register_elsewhere(app: Flask, planned: frozenset[str]) -> None:
    """`planned` are prefixes with nothing behind them yet: they have none of the paths."""

    @app.before_request
    def refuse() -> None:
        """Whoever may call the platform is told that it has no such thing."""
        if not isinstance(request.routing_exception, NotFound):
            return
        platform, slash, rest = request.path[1:].partition("/")
        known = platform in gateway().platforms and ENDPOINTS.match(slash + rest)
        if known or (platform in planned and rest.startswith(("v1/", "v1beta/"))):
            admit(platform)
            raise NotOffered("{platform} does not offer this endpoint", platform=platform)
