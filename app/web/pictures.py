"""Answers with pictures in them: as links, or as base64 that is read from disk while it is sent."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response
from werkzeug.wsgi import ClosingIterator

from app.canonical.media import Pictures
from app.spool import Base64, Pieces, Spool
from app.wire.openai_images import write_reply


def with_links(made: Pictures, links: list[str], created: int, more: dict[str, Any]) -> Response:
    """`more` is what else the answer says."""
    data = _revised(made, [{"url": link} for link in links])
    told = orjson.dumps(more | write_reply(made, created, data))
    return Response(told, content_type="application/json")


def with_files(made: Pictures, created: int, more: dict[str, Any], spool: Spool) -> Response:
    """`spool` holds the files, and is closed when all is sent."""
    marks = [f"\ufdd0{place}" for place in range(len(made.pictures))]
    data = _revised(made, [{"b64_json": mark} for mark in marks])
    told = orjson.dumps(more | write_reply(made, created, data))
    parts: list[bytes | Base64] = []
    for mark, picture in zip(marks, made.pictures, strict=True):
        before, _, told = told.partition(mark.encode())
        parts += [before, Base64(picture.file.path)]
    pieces = Pieces(*parts, told)
    # Not `call_on_close`: what is passed on directly passes by what would call it.
    body = ClosingIterator(iter(pieces), spool.close)
    response = Response(body, content_type="application/json", direct_passthrough=True)
    response.content_length = len(pieces)
    return response


def _revised(made: Pictures, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for entry, picture in zip(data, made.pictures, strict=True):
        if picture.revised_prompt:
            entry["revised_prompt"] = picture.revised_prompt
    return data
