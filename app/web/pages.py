"""Lists in pages, as the vendors who have pages ask for them. The name of an entry is its own
bookmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.errors import BadRequest
from app.upstream.platform import Model

MOST = 1000  # entries on a page, with both vendors


@dataclass(frozen=True, slots=True)
class Page:
    models: Sequence[Model]
    more: bool  # in the direction of reading


def anthropic_page(models: Sequence[Model], query: Mapping[str, str]) -> Page:
    """`limit` entries behind `after_id`, or those that lead up to `before_id`."""
    size = _size(query, "limit", 20)
    if size > MOST:
        raise _not_a_size("limit")
    if before := query.get("before_id"):
        end = _place(models, before, "before_id")
        return Page(models[max(0, end - size) : end], end > size)
    return _forward(models, size, query, "after_id")


def gemini_page(models: Sequence[Model], query: Mapping[str, str]) -> Page:
    """`pageSize` entries behind the one that `pageToken` names; a page too large is cut to size."""
    return _forward(models, min(_size(query, "pageSize", 50), MOST), query, "pageToken")


def _forward(models: Sequence[Model], size: int, query: Mapping[str, str], name: str) -> Page:
    bookmark = query.get(name)
    start = _place(models, bookmark, name) + 1 if bookmark else 0
    return Page(models[start : start + size], start + size < len(models))


def _size(query: Mapping[str, str], name: str, default: int) -> int:
    words = query.get(name, "")
    if not words:
        return default
    if not (words.isascii() and words.isdecimal()) or not int(words[:9]):
        raise _not_a_size(name)
    return int(words[:9])


def _not_a_size(name: str) -> BadRequest:
    return BadRequest(
        "{field} must be a whole number from 1 to {most}", param=name, field=name, most=MOST
    )


def _place(models: Sequence[Model], wanted: str, name: str) -> int:
    for place, model in enumerate(models):
        if model.id == wanted:
            return place
    raise BadRequest("{field} names no entry of this list", param=name, field=name)
