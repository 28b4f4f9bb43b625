"""Reaching a platform: a call goes out, an answer comes back piece by piece, and every way it can fail has a name.

`requests` is the client API, with one session for the worker. It reads no environment, keeps no cookies and follows no
redirects: a redirect would carry the platform's key to another host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests

from app.errors import CallerGone, TimedOut, Unreachable
from app.upstream.answer import Answer, Body, LeanBody, SlowBody
from app.upstream.lean import LeanAdapter, LeanRequest
from app.upstream.leash import Leash

__all__ = ["Answer", "Deadlines", "Leash", "Transport"]

AGENT = "tokens-gateway"
MEGABYTE = 1 << 20


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
        self._verify: bool | str = ca_file or True
        self._lean = LeanAdapter(deadlines.connect_seconds, pool_size, ca_file)
        if not proxy:
            self._session.mount("http://", self._lean)
            self._session.mount("https://", self._lean)

    def open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        leash: Leash | None = None,
        first_byte_seconds: float | None = None,
        repeat_stale: bool = True,
    ) -> Answer:
        """The platform's answer, as soon as its head is in.

        `repeat_stale` allows one more try where a pooled connection turns out to be dead before a byte of the
        answer has come.
        """
        deadlines = self._deadlines
        sent = {"User-Agent": AGENT, **headers, "Accept-Encoding": "identity"}
        seconds = first_byte_seconds or deadlines.first_byte_seconds
        if leash is not None and leash.pulled:
            raise CallerGone("the caller hung up")
        if self._proxies:
            return self._open_by_proxy(method, url, sent, body, seconds, leash)
        request = LeanRequest(method, url, sent, body, leash, repeat_stale)
        limits = (deadlines.connect_seconds, seconds)
        response = self._lean.send(request, stream=True, timeout=limits)
        raw: Any = response.raw
        lean = LeanBody(raw.line, raw.framing, raw.rest, self._lean if raw.keeps else None, leash)
        return self._answer(response.status_code, response.headers, lean)

    def _open_by_proxy(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        seconds: float,
        leash: Leash | None,
    ) -> Answer:
        """Through requests and urllib3, the slow and thorough way."""
        prepared = requests.Request(method, url, dict(headers), data=body).prepare()
        try:
            response = self._session.send(
                prepared,
                stream=True,
                timeout=(self._deadlines.connect_seconds, seconds),
                verify=self._verify,
                proxies=self._proxies,
                allow_redirects=False,
            )
        except requests.Timeout as error:
            raise TimedOut("the platform took too long to answer") from error
        except requests.RequestException as error:
            raise Unreachable("the platform cannot be reached") from error
        found = {name.lower(): value for name, value in response.headers.items()}
        return self._answer(response.status_code, found, SlowBody(response, leash))

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
        self._lean.close()
