"""The Flask application, with a shorter way to its routes."""

from __future__ import annotations

from flask import Flask, Request
from werkzeug.routing import MapAdapter


class Application(Flask):
    """Routes go by method and path: of hosts and their parts, which Flask looks at for each request,
    we know nothing, and we build no addresses from routes.
    """

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return None
        return MapAdapter(self.url_map, "", "/", "", "http", request.path, request.method)
