"""The Flask application, with a shorter way to its routes."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request
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


class Application(Flask):
    """Routes go by method and path: of hosts and their parts, which Flask looks at for each request,
    we know nothing, and we build no addresses from routes.
    """

    url_rule_class = Route

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)
