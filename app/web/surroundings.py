"""What happens around every request: an id, CORS, the access line."""

from __future__ import annotations

import os

from flask import Flask, Response, g, request

from app.errors import GatewayError, let_go
from app.services.trail import Trail
from app.web.gateway import Gateway, gateway
from app.web.limits import tell
from app.web.over import over

TRACE_HEADERS = ("traceparent", "tracestate")  # as W3C has them
METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
HEADERS = ", ".join(
    """authorization content-type x-api-key api-key x-goog-api-key tokens-authorization anthropic-version
    anthropic-beta openai-organization openai-project openai-beta idempotency-key http-referer x-title
    x-stainless-arch x-stainless-async x-stainless-lang x-stainless-os x-stainless-package-version
    x-stainless-retry-count x-stainless-runtime x-stainless-runtime-version x-stainless-timeout
    x-stainless-read-timeout x-stainless-helper-method x-session-id x-tokens-custom-group
    x-tokens-disable-codex-image-generation""".split()
)
EXPOSED = ", ".join("""x-request-id retry-after retry-after-ms x-should-retry content-disposition
    content-range accept-ranges etag
    x-ratelimit-limit-requests x-ratelimit-remaining-requests x-ratelimit-reset-requests
    x-tokens-attempts x-tokens-model x-tokens-model-note x-tokens-dropped
    x-tokens-replayed x-tokens-original-request
    x-ratelimit-limit-tokens x-ratelimit-remaining-tokens x-ratelimit-reset-tokens""".split())


def register_surroundings(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_cut_short)


def _begin() -> Response | None:
    hub = gateway()
    if request.routing_exception is not None:
        let_go(request.routing_exception)
    # They grow with time, so that the ledger has them in order.
    g.request_id = f"req_{int(hub.clock.now() * 1000):012x}{os.urandom(6).hex()}"
    g.record = {
        "request": g.request_id,
        "method": request.method,
        "path": request.path,
        "began": hub.clock.ticks(),
    }
    if (prefix := request.path[1:].partition("/")[0]) in hub.platforms:
        g.record["platform"] = prefix
    if hub.traces is not None:
        g.record["trail"] = _trail(hub)
    hub.meter.begun()
    return _preflight() if request.method == "OPTIONS" else None


def _trail(hub: Gateway) -> Trail:
    parent = {name: one for name in TRACE_HEADERS if (one := request.headers.get(name))}
    return Trail(hub.clock, request.url_rule.rule if request.url_rule else "", parent)


def _end(response: Response) -> Response:
    hub, headers = gateway(), response.headers
    headers["x-request-id"] = g.request_id
    if attempts := g.record.get("attempts"):
        headers["x-tokens-attempts"] = str(attempts)
    if origin := request.headers.get("Origin"):
        _allow(origin, hub.cors_origins, response)
    g.record["status"] = response.status_code
    if "outcome" in g:
        g.record["outcome"] = g.outcome
    tell(response)
    if "streaming" not in g:
        over(hub, g.record, g.get("ticket"), answered=response.status_code < 400)
    return response


def _cut_short(error: BaseException | None) -> None:
    """What came to no answer at all, because its worker ended, is over too."""
    if "record" in g and "streaming" not in g:
        g.record.setdefault("outcome", GatewayError.code)
        over(gateway(), g.record, g.get("ticket"), answered=False)


def _preflight() -> Response:
    """Browsers ask before they call, on any path and without a licence (K-007)."""
    response = Response(status=204)
    del response.headers["Content-Type"]  # of nothing
    asked = request.headers.get("Access-Control-Request-Headers", "")
    response.headers["Access-Control-Allow-Methods"] = METHODS
    response.headers["Access-Control-Allow-Headers"] = asked or HEADERS
    response.headers["Access-Control-Max-Age"] = "86400"
    if request.headers.get("Access-Control-Request-Private-Network") == "true":
        response.headers["Access-Control-Allow-Private-Network"] = "true"
    if "Origin" not in request.headers:
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _allow(origin: str, allowed: frozenset[str], response: Response) -> None:
    if "*" in allowed:
        response.headers["Access-Control-Allow-Origin"] = "*"
    elif origin in allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
