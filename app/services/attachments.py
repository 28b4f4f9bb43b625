"""Links in a conversation, for platforms that do not open links: fetched by us and put in as
bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from app.canonical.parts import Audio, Document, Image, Inline, Link, Part, ToolResult, Video
from app.canonical.request import ChatRequest, Turn
from app.errors import BadAttachment
from app.media.inbound import Basket
from app.wire.dialect import Dialect

KINDS: dict[type, tuple[str, frozenset[str]]] = {
    Image: ("image", frozenset({"image/*"})),
    Document: (
        "document",
        frozenset({"application/pdf", "image/*", "text/*", "video/*", "audio/*"}),
    ),
    Audio: ("audio", frozenset({"audio/*", "video/*"})),
    Video: ("video", frozenset({"video/*", "audio/*"})),
}


class _TakesLink(Protocol):
    def __call__(self, url: str) -> bool: ...


def inlined(request: ChatRequest, upstream: Dialect, basket: Callable[[], Basket]) -> ChatRequest:
    """The same request with every link that `upstream` cannot open itself replaced by what is
    behind it.
    """
    if not any(_links(turn.parts) for turn in request.turns):
        return request
    inliner = _Inliner(upstream, basket())
    return replace(request, turns=tuple(inliner.turn(turn) for turn in request.turns))


def _links(parts: tuple[Any, ...]) -> bool:
    return any(
        isinstance(getattr(part, "source", None), Link)
        or (isinstance(part, ToolResult) and _links(part.content))
        for part in parts
    )


class _Inliner:
    def __init__(self, upstream: Dialect, basket: Basket) -> None:
        self._inlines = upstream.INLINES
        self._takes_link: _TakesLink = getattr(upstream, "takes_link", lambda url: False)
        self._basket = basket

    def turn(self, turn: Turn) -> Turn:
        return replace(turn, parts=tuple(self._part(part) for part in turn.parts))

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolResult):
            content: Any = tuple(self._part(one) for one in part.content)
            return replace(part, content=content)
        if isinstance(part, (Image, Document, Audio, Video)) and isinstance(part.source, Link):
            return self._fetched(part, part.source)
        return part

    def _fetched(self, part: Image | Document | Audio | Video, link: Link) -> Part:
        kind, types = KINDS[type(part)]
        url = link.url
        plain = url[:7].lower() == "http://"
        if self._takes_link(url) or (kind not in self._inlines and not plain):
            return part
        try:
            found = self._basket.fetch(url, kinds=types)
        except BadAttachment as error:
            error.param = link.place or None
            raise
        return _made(part, Inline(found.media_type, base64.b64encode(found.data).decode()))


def _made(part: Image | Document | Audio | Video, source: Inline) -> Part:
    """By what it turned out to be: a link in an image field may lead to a film (C-084)."""
    match source.media_type.partition("/")[0]:
        case "image" if not isinstance(part, Image):
            return Image(source)
        case "audio" if not isinstance(part, Audio):
            return Audio(source)
        case "video" if not isinstance(part, Video):
            return Video(source)
        case _:
            return replace(part, source=source)
