"""Reaching a platform: a call goes out, an answer comes back piece by piece, and every way it can
fail has a name.

`requests` is the client API, with one session for the worker. It reads no environment, keeps no
cookies and follows no redirects: a redirect would carry the platform's key to another host.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests

from app.spool import Pieces
from app.upstream.answer import Answer, Body, LeanBody
from app.upstream.lean import LeanAdapter, LeanRequest
from app.upstream.leash import Leash
from app.upstream.slow import SlowBody, ask

__all__ = ["Answer", "Deadlines", "Leash", "Transport"]

AGENT = "tokens-gateway"
MEGABYTE = 1 << 20

# Ours to say: whoever passes one of these on would have two of them, or one that is wrong.
OURS = frozenset(
    ("accept-encoding", "connection", "content-length", "expect", "host", "transfer-encoding")
)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """In seconds, but for the size of the largest answer."""

    connect_seconds: float = 3.0
    first_byte_seconds: float = 120.0
    total_seconds: float = 1800.0
    answer_megabytes: int = 256


class _Session(requests.Session):
    """Follows nothing and remembers nothing."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class Transport:
    """Calls platforms; one per worker."""

    def __init__(
        self, deadlines: Deadlines, *, pool_size: int = 1000, proxy: str = "", ca_file: str = ""
    ) -> None:
        self._deadlines = deadlines
        self._session = _Session()
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._proxies = {"http": proxy, "https": proxy} if proxy else {}
        self._lean = LeanAdapter(deadlines.connect_seconds, pool_size, ca_file)
        self._session.mount("http://", self._lean)
        self._session.mount("https://", self._lean)

    def through(self, proxy: str) -> Transport:
        """The same transport, by way of another proxy; itself where there is none."""
        if not proxy:
            return self
        other = copy(self)
        other._proxies = {"http": proxy, "https": proxy}
        return other

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Pieces | None,
        *,
        leash: Leash | None = None,
        first_byte_seconds: float | None = None,
        repeat_stale: bool = True,
    ) -> Answer:
        """The platform's answer, as soon as its head is in.

        `repeat_stale` allows one more try where a pooled connection turns out to be dead before a
        byte of the answer has come.
        """
        sent = {name: value for name, value in headers.items() if name.lower() not in OURS}
        sent["Accept-Encoding"] = "identity"
        if "User-Agent" not in sent and "user-agent" not in sent:
            sent["User-Agent"] = AGENT
        limits = (
            self._deadlines.connect_seconds,
            first_byte_seconds or self._deadlines.first_byte_seconds,
        )
        if leash is not None and leash.pulled:
            raise leash.end()
        if self._proxies:
            prepared = requests.Request(method, url, sent, data=body).prepare()
            response = ask(self._session, prepared, limits, self._proxies, leash)
            found = {name.lower(): value for name, value in response.headers.items()}
            return self._answer(response.status_code, found, SlowBody(response, leash))
        request = LeanRequest(method, url, sent, body, leash, repeat_stale)
        response = self._lean.send(request, stream=True, timeout=limits)
        rest: Any = response.raw
        return self._answer(
            response.status_code, response.headers, LeanBody(rest, self._lean, leash)
        )

    def _answer(self, status: int, headers: Mapping[str, str], body: Body) -> Answer:
        deadlines = self._deadlines
        return Answer(
            status,
            headers,
            body,
            most_bytes=deadlines.answer_megabytes * MEGABYTE,
            total_seconds=deadlines.total_seconds,
        )

    def close(self) -> None:
        self._session.close()
