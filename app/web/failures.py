"""Errors, told in the dialect and the language of whoever asked."""

from __future__ import annotations

import logging
import math

import orjson
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.exceptions import NotFound as NoSuchPath

from app import errors
from app.canonical.events import Trouble
from app.errors import GatewayError, Verbatim, let_go
from app.services.chat import PASSED_HEADERS
from app.web.chinese import CHINESE
from app.web.limits import take_back
from app.web.retold import in_chinese
from app.web.spoken import spoken

log = logging.getLogger(__name__)


def prefers_chinese(accept: str) -> bool:
    """Whether Chinese comes before English in `Accept-Language` (C-186)."""
    if "zh" not in accept.lower():
        return False
    best: dict[str, float] = {}
    for one in accept.lower().split(","):
        tag, _, weight = one.strip().partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            quality = 0.0
        best[tag[:2]] = max(best.get(tag[:2], 0.0), quality)
    return best.get("zh", 0.0) > best.get("en", 0.0)


def worded(error: GatewayError, accept: str) -> str:
    """The error's message in the language the caller prefers."""
    template, facts = error.template, error.facts
    if prefers_chinese(accept):
        template = CHINESE.get(template, template)
        facts = {name: in_chinese(one) if name == "why" else one for name, one in facts.items()}
    return template.format(**facts) if facts else template


def in_trouble(error: GatewayError, accept: str) -> Trouble:
    """The error as dialects tell it."""
    return Trouble(worded(error, accept), error.status, error.code, error.type, error.param)


def register_failures(app: Flask) -> None:
    """Every way a request can end badly gives JSON in the caller's dialect, never a page of
    HTML.
    """

    @app.errorhandler(Verbatim)
    def pass_on(error: Verbatim) -> Response:
        response = Response(error.body, error.status)
        response.headers.pop("Content-Type")  # Flask's idea of it; a platform may have none
        for name, value in error.headers.items():
            if name == "content-type" or name.startswith(PASSED_HEADERS):
                response.headers[name] = value
        g.outcome = "refused"
        let_go(error)
        return response

    @app.errorhandler(GatewayError)
    def tell(error: GatewayError) -> Response:
        take_back(error)
        let_go(error)
        return told(error)

    @app.errorhandler(HTTPException)
    def tell_routing(error: HTTPException) -> Response:
        let_go(error)
        if isinstance(error, MethodNotAllowed):
            response = told(
                errors.WrongMethod("{method} is not allowed here", method=request.method)
            )
            response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
            return response
        if isinstance(error, NoSuchPath):
            return told(errors.NotFound("there is nothing at this path"))
        if error.code == 413:
            return told(errors.TooLarge("the body is too large"))
        return told(errors.BadRequest("the request cannot be read"))

    @app.errorhandler(
        Exception
    )  # the last resort: whatever it is, it is ours, it is logged and it is told as JSON
    def tell_bug(error: Exception) -> Response:
        log.error("request failed", exc_info=error, extra={"request_id": g.get("request_id")})
        let_go(error)
        return told(GatewayError())


def told(error: GatewayError) -> Response:
    """The error as an answer."""
    body = spoken(request).write_error(
        in_trouble(error, request.headers.get("Accept-Language", ""))
    )
    body["request_id"] = g.get("request_id", "")
    response = Response(orjson.dumps(body), error.status, content_type="application/json")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    if error.may_retry is not None:
        response.headers["x-should-retry"] = "true" if error.may_retry else "false"
    g.outcome = error.code
    return response
