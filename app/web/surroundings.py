"""What happens around every request: an id, CORS, the access line."""

from __future__ import annotations

import os

from flask import Flask, Request, Response

from app.errors import GatewayError, let_go
from app.services.trail import Trail
from app.web.current import this_call, this_request
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
    hub, asked, known = gateway(), this_request(), this_call()
    if asked.routing_exception is not None:
        let_go(asked.routing_exception)
    # They grow with time, so that the ledger has them in order.
    known.request_id = f"req_{int(hub.clock.now() * 1000):012x}{os.urandom(6).hex()}"
    method, path = asked.method, asked.path
    known.record = record = {
        "request": known.request_id,
        "method": method,
        "path": path,
        "began": hub.clock.ticks(),
    }
    if (prefix := path[1:].partition("/")[0]) in hub.platforms:
        record["platform"] = prefix
    if hub.traces is not None:
        record["trail"] = _trail(hub, asked)
    hub.meter.begun()
    return _preflight(asked) if method == "OPTIONS" else None


def _trail(hub: Gateway, asked: Request) -> Trail:
    parent = {name: one for name in TRACE_HEADERS if (one := asked.headers.get(name))}
    return Trail(hub.clock, asked.url_rule.rule if asked.url_rule else "", parent)


def _end(response: Response) -> Response:
    hub, known, headers = gateway(), this_call(), response.headers
    record = known.record
    headers["x-request-id"] = known.request_id
    if attempts := record.get("attempts"):
        headers["x-tokens-attempts"] = str(attempts)
    if origin := this_request().headers.get("Origin"):
        _allow(origin, hub.cors_origins, response)
    record["status"] = response.status_code
    if "outcome" in known:
        record["outcome"] = known.outcome
    tell(response)
    if "streaming" not in known:
        over(hub, record, known.get("ticket"), answered=response.status_code < 400)
    return response


def _cut_short(error: BaseException | None) -> None:
    """What came to no answer at all, because its worker ended, is over too."""
    known = this_call()
    if "record" in known and "streaming" not in known:
        known.record.setdefault("outcome", GatewayError.code)
        over(gateway(), known.record, known.get("ticket"), answered=False)


def _preflight(asked: Request) -> Response:
    """Browsers ask before they call, on any path and without a licence (K-007)."""
    response = Response(status=204)
    del response.headers["Content-Type"]  # of nothing
    headers = asked.headers.get("Access-Control-Request-Headers", "")
    response.headers["Access-Control-Allow-Methods"] = METHODS
    response.headers["Access-Control-Allow-Headers"] = headers or HEADERS
    response.headers["Access-Control-Max-Age"] = "86400"
    if asked.headers.get("Access-Control-Request-Private-Network") == "true":
        response.headers["Access-Control-Allow-Private-Network"] = "true"
    if "Origin" not in asked.headers:
        response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _allow(origin: str, allowed: frozenset[str], response: Response) -> None:
    if "*" in allowed:
        response.headers["Access-Control-Allow-Origin"] = "*"
    elif origin in allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
