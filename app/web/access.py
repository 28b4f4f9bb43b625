"""Who may call: one decorator for every route, in both modes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, g, request

from app.access.caller import Caller, check_scope
from app.web.gateway import Gateway, gateway

View = Callable[..., Response]
GUARD = "audience"  # the attribute by which a view says who may see it; a test walks all routes


def require_access(platform: str = "", *, native: bool = False) -> Callable[[View], View]:
    """Only callers with a licence that covers `platform` get through. Native Gemini routes also
    read `?key=`.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Response:
            g.caller = gateway().access.admit(
                request.headers, request.args.get("key", "") if native else "", native=native
            )
            if platform:
                check_scope(g.caller, platform)
            return view(*args, **kwargs)

        setattr(guarded, GUARD, "licence")
        return guarded

    return decorate


def require_access_unless(is_open: Callable[[Gateway], bool]) -> Callable[[View], View]:
    """As `require_access`, but the operator may have opened the route; then any key or none will do
    (C-040).
    """

    def decorate(view: View) -> View:
        guard = require_access()(view)

        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Response:
            if is_open(gateway()):
                g.caller = Caller(None)
                return view(*args, **kwargs)
            return guard(*args, **kwargs)

        setattr(guarded, GUARD, "licence, unless opened")
        return guarded

    return decorate


def open_to_all(view: View) -> View:
    """Marks a route that needs no licence. There are few; the README lists them."""
    setattr(view, GUARD, "anyone")
    return view
