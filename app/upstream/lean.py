"""Our own adapter below the requests API: HTTP/1.1 over a gevent socket, for the hot path.

urllib3 and http.client make up half of what a small call costs. This adapter does what a gateway
needs and no more: pooled keep-alive connections, one send a request, one read for everything that
has arrived. Proxies are left to urllib3's adapter.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import ssl
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from app.descriptors import check_descriptors
from app.errors import BadReply, ConnectionLost, GatewayError, TimedOut
from app.spool import Pieces
from app.upstream.http1 import MOST_HEAD_BYTES, Framing, Head, framing, read_head
from app.upstream.leash import Leash
from app.upstream.line import Key, Line, connect

IDLE_SECONDS = 20.0  # servers close idle connections; younger than this they are worth a try
PIECE = 65536
SMALL_BODY = 65536  # goes out in one send with its head
MOST_INTERIM = 16
_HEAD_END = b"\r\n\r\n"


class LeanRequest(PreparedRequest):
    """A request that knows which leash it is on and whether it may be sent a second time."""

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Pieces | None,
        leash: Leash | None,
        repeat_stale: bool,
    ) -> None:
        self.method = method
        self.url = url
        # A plain dict does: nobody looks names up here.
        self.headers = headers  # type: ignore[assignment]
        self.body = body  # type: ignore[assignment]  # requests knows no pieces
        self.hooks = {}
        self._cookies = None
        self._body_position = None
        self.leash = leash
        self.repeat_stale = repeat_stale


class LeanResponse(Response):
    """A response whose `raw` is what is left to read, and where. Everything else is filled in by
    the adapter.
    """

    def __init__(self) -> None:
        # Not the parent's: it makes a cookie jar and a special dictionary that nobody asks for.
        self._content = False  # type: ignore[assignment]
        self._content_consumed = False
        self._next = None
        self.encoding = None
        self.history = []


@dataclass(slots=True)
class Rest:
    """What is left to read of an answer, and where."""

    line: Line
    framing: Framing
    data: bytes
    keeps: bool


class LeanAdapter(HTTPAdapter):
    """Sends over pooled connections of its own."""

    def __init__(self, connect_seconds: float, pool_size: int, ca_file: str) -> None:
        super().__init__(pool_connections=16, pool_maxsize=pool_size, max_retries=0)
        self._connect_seconds = connect_seconds
        self._pool_size = pool_size
        self._idle: dict[Key, list[Line]] = {}
        self._sweeper: Any = None
        self._tls: Any = None
        self._ca_file = ca_file

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        if not isinstance(request, LeanRequest) or proxies:
            return super().send(request, stream, timeout, verify, cert, proxies)
        key, target, host = _destination(request.url or "")
        head = _head(request, target, host)
        leash = request.leash
        line = self._take(key)
        while True:
            fresh = line is None
            line = line or self._connect(key, leash)
            try:
                return _exchange(request, line, head, timeout[1])
            except BaseException as error:
                line.close()
                if not isinstance(error, (_Stale, GatewayError)):
                    raise
                if leash is not None and leash.pulled:
                    raise leash.end() from error
                if not isinstance(error, _Stale):
                    raise
                if fresh or not request.repeat_stale:
                    raise _lost(fresh) from error
                line = None  # once more, on a connection nobody has had time to close

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """urllib3's, which trusts the same authorities as we do."""
        return super().proxy_manager_for(proxy, ssl_context=self.context, **proxy_kwargs)

    @property
    def context(self) -> Any:
        """Trusts the authorities that come with requests and those of the operator; not what the
        environment says.
        """
        if self._tls is None:
            # Not made by create_default_context: that one's sockets block the hub where nothing is
            # patched, and it listens to the environment.
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            tls.set_alpn_protocols(["http/1.1"])
            for file in filter(None, (DEFAULT_CA_BUNDLE_PATH, self._ca_file)):
                try:
                    tls.load_verify_locations(file)
                except OSError as error:
                    check_descriptors(error)
                    raise
            self._tls = tls  # only now: one without authorities would trust nobody for good
        return self._tls

    def give_back(self, line: Line) -> None:
        """Keeps a connection for the next call."""
        kept = self._idle.setdefault(line.key, [])
        if len(kept) >= self._pool_size:
            kept.pop(0).close()
        line.since = time.monotonic()
        kept.append(line)
        if self._sweeper is None:
            self._sweeper = gevent.spawn_later(IDLE_SECONDS, self._sweep)

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.kill(block=False)
            self._sweeper = None
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._idle.clear()
        super().close()

    def _sweep(self) -> None:
        """Closes what has been idle for too long: last in, first out would never come to it."""
        while self._idle:
            oldest = time.monotonic() - IDLE_SECONDS
            for key, lines in list(self._idle.items()):
                while lines and lines[0].since <= oldest:
                    lines.pop(0).close()
                if not lines:
                    del self._idle[key]
            if self._idle:
                gevent.sleep(IDLE_SECONDS)
        self._sweeper = None

    def _take(self, key: Key) -> Line | None:
        """The idle connection used last, which is the one most likely to live."""
        kept = self._idle.get(key)
        while kept:
            line = kept.pop()
            if time.monotonic() - line.since < IDLE_SECONDS and line.is_alive():
                return line
            line.close()
        return None

    def _connect(self, key: Key, leash: Leash | None) -> Line:
        return connect(
            key, self._connect_seconds, self.context if key[0] == "https" else None, leash
        )


class _Stale(Exception):
    """The connection ended before a byte of the answer had come."""


def _lost(fresh: bool) -> GatewayError:
    """Repeating is not for us to decide once a request may have been read in full: it could cost
    twice.
    """
    error = ConnectionLost("the platform closed the connection without an answer")
    if fresh:
        error.verdict = "stop"
        error.may_retry = False
    return error


@lru_cache(maxsize=1024)
def _destination(url: str) -> tuple[Key, str, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        raise ValueError("not an address of a platform")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if " " in target:
        raise ValueError("an address holds a space")
    return (parts.scheme, host, port), target, parts.netloc


def _head(request: LeanRequest, target: str, host: str) -> bytes:
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None:
        lines.append(f"Content-Length: {len(request.body)}")
    elif request.method not in ("GET", "HEAD", "DELETE"):
        lines.append("Content-Length: 0")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError("a header or an address holds a line end")
    return (text + "\r\n\r\n").encode("latin-1")


def _exchange(request: LeanRequest, line: Line, head: bytes, seconds: float) -> LeanResponse:
    if request.leash is not None:
        request.leash.hold(line.sock)
    line.sock.settimeout(seconds)
    _send(line.sock, head, request.body)
    found, rest = _receive_head(line.sock, seconds)
    response = LeanResponse()
    response.status_code = found.status
    response.headers = found.headers  # type: ignore[assignment]
    response.url = request.url or ""
    response.request = request
    framed = framing(request.method or "", found.status, found.headers)
    response.raw = Rest(line, framed, rest, found.keeps)
    return response


def _send(sock: Any, head: bytes, body: Any) -> None:
    """Sends what the server takes: one that has read enough may have answered, then closed."""
    try:
        if body is None:
            sock.sendall(head)
        elif isinstance(body, Pieces):
            sock.sendall(head)
            for piece in body:
                sock.sendall(piece)
        elif len(body) > SMALL_BODY:
            sock.sendall(head)
            sock.sendall(body)
        else:
            sock.sendall(head + body)
    except TimeoutError as error:
        raise TimedOut("the platform took too long to answer") from error
    except OSError:
        return  # if there is no answer, reading will tell


def _receive_head(sock: Any, seconds: float) -> tuple[Head, bytes]:
    """The head of the answer proper, and what came after it."""
    end = time.monotonic() + seconds
    got, looked, interim = b"", 0, 0
    while True:
        stop = got.find(_HEAD_END, looked)
        if stop < 0:
            if len(got) > MOST_HEAD_BYTES:
                raise BadReply("the platform's answer has a head that is too long")
            looked = max(len(got) - 3, 0)
            got += _receive(sock, end, got)
            continue
        if stop > MOST_HEAD_BYTES:
            raise BadReply("the platform's answer has a head that is too long")
        head, got = read_head(got[:stop]), got[stop + 4 :]
        if head.status >= 200:
            return head, got
        interim += 1
        if head.status == 101 or interim > MOST_INTERIM:
            raise BadReply("the platform's answer is not one")
        looked = 0


def _receive(sock: Any, end: float, got: bytes) -> bytes:
    """More of a head that has to be complete by `end`."""
    if got:
        sock.settimeout(max(end - time.monotonic(), 0.001))
    try:
        data: bytes = sock.recv(PIECE)
    except TimeoutError as error:
        raise TimedOut("the platform took too long to answer") from error
    except OSError as error:
        raise _broke_off(got) from error
    if not data:
        raise _broke_off(got)
    if got and time.monotonic() > end:
        raise TimedOut("the platform took too long to answer")
    return data


def _broke_off(got: bytes) -> BadReply | _Stale:
    return BadReply("the platform's answer broke off in its head") if got else _Stale()
