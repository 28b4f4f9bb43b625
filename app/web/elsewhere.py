"""Paths of ours that a platform has nothing behind: a clear refusal instead of a riddle (C-027)."""

from __future__ import annotations

from flask import Blueprint, Response

from app.errors import NotOffered
from app.upstream.platform import Platform
from app.web.access import require_access
from app.web.failures import speaks
from app.wire import openai_chat

METHODS = ["GET", "POST", "DELETE"]
PATHS = (
    "/v1/alpha/search",
    "/v1/audio/<path:rest>",
    "/v1/characters",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/images/<path:rest>",
    "/v1/videos",
    "/v1/videos/<path:rest>",
)


def mount_elsewhere(bp: Blueprint, platform: Platform) -> None:
    """Answers for every path that clients try and this platform does not have."""

    @speaks(openai_chat)
    @require_access(platform.name)
    def not_offered(rest: str = "") -> Response:
        raise NotOffered("{platform} does not offer this endpoint", platform=platform.name)

    for path in PATHS:
        bp.add_url_rule(path, f"not_offered_{PATHS.index(path)}", not_offered, methods=METHODS)
