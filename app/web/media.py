"""Files that were made, given out: whole and in part, to whoever holds a link.

A browser has no licence to show, so the link itself is what opens the file. What is wrong with one
that does not is not said. Whatever a file holds, it runs nowhere: its type is ours, nobody may guess
another, and a page made of it has nothing it may do (R-090).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

from flask import Blueprint, Request, Response, g, request
from werkzeug.http import http_date

from app.errors import WrongRange
from app.media.kinds import name_of
from app.storage.media import Kept
from app.web.access import open_to_all
from app.web.failures import told
from app.web.gateway import gateway
from app.web.over import Streamed

log = logging.getLogger(__name__)
media = Blueprint("media", __name__)

# No script, no form, no frame; only what a browser needs to show a lone picture or film.
POLICY = "sandbox; default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"

_SHOWN = ("image/", "video/")  # every kind of these that is kept is one browsers only look at
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII)


@media.get("/media/<seal>/<name>")
@open_to_all
def linked(seal: str, name: str) -> Response:
    g.record["path"] = "/media/…"  # the link opens the file for whoever reads the log, too
    return served(gateway().media.behind(seal, name), request)


def served(kept: Kept, asked: Request) -> Response:
    """The file, or the part of it that was asked for, in pieces from where it lies (C-202)."""
    hub = gateway()
    g.record.update(media=kept.id, platform=kept.platform, licence=kept.owner)
    headers = _headers(kept)
    if asked.if_none_match.contains(kept.digest):
        response = Response(status=304, headers=headers)
        del response.headers["Content-Type"]  # of nothing
        return response
    span = _span(kept, asked)
    if span is None:
        response = told(WrongRange("the file has {size} bytes", size=kept.size))
        response.headers["Content-Range"] = f"bytes */{kept.size}"
        return response
    start, end = span
    head = asked.method == "HEAD"
    pieces = hub.media.read(kept, start, start + 1 if head else end)  # at once: it may be gone
    headers["Content-Length"] = str(end - start)
    if (start, end) != (0, kept.size):
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{kept.size}"
    status = 206 if "Content-Range" in headers else 200
    if head:
        _close(pieces)
        return Response(status=status, headers=headers, content_type=kept.media_type)
    if (sock := asked.environ.get("gunicorn.socket")) is not None:
        sock.settimeout(hub.send_seconds)
    g.streaming = True
    g.record["bytes"] = 0
    body = Streamed(hub, _counted(pieces, g.record), g.record, then=partial(_close, pieces))
    return Response(body, status, headers, content_type=kept.media_type, direct_passthrough=True)


def _counted(pieces: Iterator[bytes], record: dict[str, Any]) -> Iterator[bytes]:
    """The pieces, and in the record how many bytes have gone out."""
    for piece in pieces:
        record["bytes"] += len(piece)
        yield piece


def _headers(kept: Kept) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "ETag": f'"{kept.digest}"',
        "Last-Modified": http_date(kept.created_at),
        **harmless(kept.id, kept.media_type),
    }


def harmless(id: str, media_type: str) -> dict[str, str]:
    """What keeps a browser from making more of a file than it is."""
    shown = "inline" if media_type.startswith(_SHOWN) else "attachment"
    return {
        "Cache-Control": "private",
        "Content-Disposition": f'{shown}; filename="{name_of(id, media_type)}"',
        "Content-Security-Policy": POLICY,
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }


def part_of(asked: Request) -> dict[str, str]:
    """The headers that ask for one part of a file, to be sent along."""
    if asked.method != "GET" or not _RANGE.fullmatch(asked.headers.get("Range", "")):
        return {}
    names = ("Range", "If-Range")
    return {name.lower(): asked.headers[name] for name in names if name in asked.headers}


def _span(kept: Kept, asked: Request) -> tuple[int, int] | None:
    """From where up to where; None if the file has no such part. What is no single range, or was asked
    of another version of the file, is all of it.
    """
    whole = 0, kept.size
    found = _RANGE.fullmatch(asked.headers.get("Range", "")) if asked.method == "GET" else None
    if found is None or not _is_same(kept, asked.headers.get("If-Range", "")):
        return whole
    first, last = found.groups()
    if not first:
        if not last:
            return whole
        return (max(0, kept.size - int(last)), kept.size) if int(last) else None
    start, end = int(first), int(last) + 1 if last else kept.size
    if last and start >= end:
        return whole
    return (start, min(end, kept.size)) if start < kept.size else None


def _is_same(kept: Kept, version: str) -> bool:
    return version in ("", f'"{kept.digest}"', http_date(kept.created_at))


def _close(pieces: Iterator[bytes]) -> None:
    if close := getattr(pieces, "close", None):
        close()
