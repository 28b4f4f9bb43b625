"""Who may call: one decorator for every route, in both modes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, g, request

from app.access.caller import Caller, brings_token, check_scope
from app.errors import NoAccess
from app.web.current import this_call, this_request
from app.web.gateway import Gateway, gateway
from app.web.spoken import spoken
from app.wire import gemini_generate

View = Callable[..., Response]
GUARD = "audience"  # the attribute by which a view says who may see it; a test walks all routes


def admit(platform: str = "") -> None:
    """Lets in a caller with a licence that covers `platform`, as `g.caller`. Where Google's dialect
    is spoken, Google's places for a key are looked at too.
    """
    asked = this_request()
    native = spoken(asked) is gemini_generate
    query_key = asked.args.get("key", "") if native else ""
    caller = gateway().access.admit(asked.headers, query_key, native=native)
    this_call().caller = caller
    if platform:
        check_scope(caller, platform)


def require_access(platform: str = "") -> Callable[[View], View]:
    """Only callers with a licence that covers `platform` get through."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Response:
            admit(platform)
            return view(*args, **kwargs)

        setattr(guarded, GUARD, "licence")
        return guarded

    return decorate


def require_access_unless(is_open: Callable[[Gateway], bool]) -> Callable[[View], View]:
    """As `require_access`, but the operator may have opened the route; then any key or none will do
    (C-040). Whoever brings a token says so with a licence, which has to be good here too (C-045).
    """

    def decorate(view: View) -> View:
        guard = require_access()(view)

        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Response:
            if is_open(gateway()) and not brings_token(request.headers):
                g.caller = Caller(None)
                return view(*args, **kwargs)
            return guard(*args, **kwargs)

        setattr(guarded, GUARD, "licence, unless opened")
        return guarded

    return decorate


def recognised() -> Caller:
    """Whoever shows a good licence is known by it, also where none is asked for."""
    try:
        return gateway().access.admit(request.headers)
    except NoAccess:
        return Caller(None)


def open_to_all(view: View) -> View:
    """Marks a route that needs no licence. There are few; the README lists them."""
    setattr(view, GUARD, "anyone")
    return view
