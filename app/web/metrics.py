"""`GET /metrics`: what Prometheus reads, for the operator alone.

With a token configured, whoever shows it. Without one, whoever calls from this host with nothing in
between: what nginx passes on has come from elsewhere, and says so. To everybody else there is nothing
at this path.
"""

from __future__ import annotations

import hmac
import importlib
from collections.abc import Callable
from functools import cache, wraps
from ipaddress import ip_address

from flask import Blueprint, Request, Response, request

from app.errors import NotFound
from app.metrics.exposition import CONTENT_TYPE, exposed
from app.metrics.family import BUILD, PROCESSES
from app.secret import Secret
from app.web.access import GUARD
from app.web.gateway import gateway

metrics = Blueprint("metrics", __name__)

FORWARDING = (
    *("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port"),
    *("X-Forwarded-Proto", "X-Forwarded-Server", "X-Real-IP"),
)


def _operators(view: Callable[[], Response]) -> Callable[[], Response]:
    @wraps(view)
    def guarded() -> Response:
        token = gateway().metrics_token
        if not (_shows(request, token) if token else _is_near(request)):
            raise NotFound("there is nothing at this path")
        return view()

    setattr(guarded, GUARD, "the operator")
    return guarded


@metrics.get("/metrics")
@_operators
def told() -> Response:
    hub = gateway()
    text = exposed(
        hub.meter.layout,
        hub.meter.read(),
        {
            BUILD: {(_version(),): 1.0},
            PROCESSES: {(): float(hub.meter.living())},
            **hub.lookout.look(),
        },
    )
    response = Response(text, content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = "no-store"
    return response


def _shows(asked: Request, token: Secret) -> bool:
    scheme, _, shown = asked.headers.get("Authorization", "").partition(" ")
    given = shown.strip().encode("utf-8", "surrogateescape")
    same = hmac.compare_digest(given, token.reveal().encode())
    return same and scheme.lower() == "bearer"


def _is_near(asked: Request) -> bool:
    """Whether it comes from this host itself; through a unix socket it has no address."""
    if any(name in asked.headers for name in FORWARDING):
        return False
    address = asked.remote_addr
    return not address or ip_address(address).is_loopback


@cache
def _version() -> str:
    metadata = importlib.import_module("importlib.metadata")  # slow, and seldom needed
    return str(metadata.version("tokens-gateway"))
