"""The Flask application, with a shorter way to its routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter, Rule


class Route(Rule):
    """Matches paths. It learns how to make them when it first has to, for that takes longer than all
    else about it.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Any:
        def build(route: Route, **values: Any) -> tuple[str, str]:
            make = super(Route, route)._compile_builder(append_unknown)
            return make.__get__(route, None)(**values)  # type: ignore[no-any-return]

        return build


class NoSessions(SessionInterface):
    """There are no cookies here, so all have the same session, with nothing in it."""

    _session = NullSession()

    def open_session(self, app: Flask, request: Request) -> NullSession:
        return self._session


class Application(Flask):
    """Routes go by method and path: of hosts and their parts, which Flask looks at for each request,
    we know nothing, and we build no addresses from routes.
    """

    url_rule_class = Route
    session_interface = NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """As it is: nothing here is a coroutine, and to make sure of that for each call takes longer than
        some of what is called.
        """
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)
