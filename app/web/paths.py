"""Paths as people paste them, made into paths as we route them.

Clients differ in whether they add `/v1`, and users in whether they do, so a version segment may be
doubled or missing, slashes may be repeated or trail, and the endpoint may have been pasted with the
base (C-022 to C-024, K-001 to K-006). Nothing is redirected: a redirected POST loses its body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

_SLASHES = re.compile(r"/{2,}")
_VERSION = re.compile(r"^(/v1(?:beta)?)(?:/v1(?:beta)?)+(?=/|$)")
_UNVERSIONED = re.compile(
    r"^/(chat/completions|completions|embeddings|models|messages|responses|images|videos|audio|"
    r"dashboard)(?=/|$)"
)
_DOUBLED = re.compile(r"(/chat/completions|/messages|/responses)(?:(?:/v1)?\1)+$")


class Paths:
    """WSGI middleware that rewrites `PATH_INFO` before anything is routed."""

    def __init__(self, app: Callable[..., Any], prefixes: Iterable[str]) -> None:
        self._app = app
        self._prefix = re.compile(rf"^/({'|'.join(map(re.escape, prefixes))})(?=/|$)")
        self._normal = lru_cache(maxsize=2048)(self.normal)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = environ["PATH_INFO"]
        environ["PATH_INFO"] = self._normal(path) if len(path) < 512 else self.normal(path)
        return self._app(environ, start_response)

    def normal(self, path: str) -> str:
        """The path as it is routed."""
        path = _SLASHES.sub("/", path)
        found = self._prefix.match(path)
        prefix = found[0] if found else ""
        rest = path[len(prefix) :].rstrip("/") or ("/" if not prefix else "")
        rest = _VERSION.sub(_last_version, rest)
        rest = _UNVERSIONED.sub(r"/v1/\1", rest)
        rest = _DOUBLED.sub(r"\1", rest)
        return prefix + rest


def _last_version(found: re.Match[str]) -> str:
    """`/v1/v1beta` means `/v1beta`: the later one was added by the client that knows its own
    protocol.
    """
    return found[0][found[0].rindex("/v1") :]
