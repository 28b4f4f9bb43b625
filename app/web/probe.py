"""`POST /health/stream`: what `tokens doctor --url` calls to see what stands between it and the gateway.

First comes what has arrived of the request, by names alone, then pieces at known times, sent as answers
are. No platform is asked and nothing is charged: an answer of a platform would show no more of the way
here, and cost money.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from app.errors import BrokenTransfer, CallerGone, GatewayError
from app.services.chat import TICK_SECONDS, Relayed
from app.upstream.transport import Leash
from app.web.access import require_access
from app.web.chat import listen, respond
from app.web.failures import told
from app.web.gateway import Gateway, gateway
from app.web.limits import enter
from app.wire import openai_chat
from app.wire.openai_images import whole
from app.wire.sse import frame

MOST_PIECES, LONGEST_PAUSE, LONGEST_SILENCE = 100, 10_000, 3600


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many pieces, at what distance; with a `silence` before the last, and an end that is none."""

    pieces: int
    pause: float
    silence: float
    broken: bool


def mount_probe(bp: Blueprint) -> None:
    @bp.post("/health/stream")
    @require_access()
    def stream() -> Response:
        hub, query = gateway(), request.args
        if (status := whole(query, "refuse", 400, 599)) is not None:
            return _refused(status)
        wanted = Wanted(
            whole(query, "pieces", 1, MOST_PIECES) or 1,
            (whole(query, "pause_ms", 0, LONGEST_PAUSE) or 0) / 1000,
            whole(query, "silence", 0, LONGEST_SILENCE) or 0,
            query.get("end") == "broken",
        )
        enter(hub, {}, 0)
        g.record.update(licence=g.caller.name, stream=True)
        leash = Leash()
        ear = listen(leash, probing=False)
        pieces = _pieces(hub, wanted, _seen(hub), leash, g.record)
        response = respond(hub, Relayed(200, openai_chat.STREAM_TYPE, {}, pieces), ear)
        if query.get("plain") == "true":
            del response.headers["X-Accel-Buffering"]
        return response


def _seen(hub: Gateway) -> dict[str, Any]:
    """The request as it came in here, and what the gateway allows."""
    headers, environ = request.headers, request.environ
    return {
        "path": environ.get("RAW_URI", request.path).partition("?")[0],
        "query": sorted(request.args),
        "protocol": environ.get("SERVER_PROTOCOL", ""),
        "scheme": request.scheme,
        "host": request.host,
        "links": hub.media.beginning(request.host_url),
        "links_are_set": bool(hub.media.public_url),
        "address": request.remote_addr or headers.get("X-Forwarded-For", ""),
        "forwarded_for": headers.get("X-Forwarded-For", ""),
        "connection": headers.get("Connection", "").lower(),
        "headers": sorted(name.lower() for name in headers.keys()),
        "body_bytes": hub.body_bytes,
        "answer_seconds": hub.chat.patience.answer,
        "now": hub.clock.now(),
    }


def _refused(status: int) -> Response:
    """An error as callers are told errors, which counts as none."""
    g.record["licence"] = g.caller.name
    error = GatewayError("this error was asked for").after(1)
    error.status, error.may_retry = status, False
    response = told(error)
    g.outcome = "ok"
    return response


def _pieces(
    hub: Gateway, wanted: Wanted, seen: dict[str, Any], leash: Leash, record: dict[str, Any]
) -> Iterator[bytes]:
    record["first_ms"] = 0
    began = hub.clock.ticks()
    try:
        yield _event("seen", seen)
        for number in range(1, wanted.pieces + 1):
            _wait(hub, wanted.pause + (wanted.silence if number == wanted.pieces else 0), leash)
            yield _event("piece", {"number": number, "after": hub.clock.ticks() - began})
        if wanted.broken:
            raise BrokenTransfer("the platform's answer ended before it was complete")
        yield _event("end", {})
        record["outcome"] = "ok"
    except CallerGone as error:
        record["outcome"] = error.code
        if error.breaks:
            raise


def _wait(hub: Gateway, seconds: float, leash: Leash) -> None:
    """Looks up now and then, lest somebody who has gone is waited for."""
    end = hub.clock.ticks() + seconds
    while (left := end - hub.clock.ticks()) > 0:
        if leash.pulled:
            raise leash.end()
        hub.clock.sleep(min(left, TICK_SECONDS))


def _event(name: str, said: Mapping[str, Any]) -> bytes:
    return frame(orjson.dumps(said), name.encode())
