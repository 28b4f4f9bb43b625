"""Our own adapter below the requests API: HTTP/1.1 over a gevent socket, for the hot path.

urllib3 and http.client make up half of what a small call costs. This adapter does what a gateway needs and no more: pooled
keep-alive connections, one send a request, one read for everything that has arrived. Proxies are left to urllib3's adapter.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gevent import socket, ssl
from gevent.monkey import get_original
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from app.errors import BadReply, CallerGone, GatewayError, TimedOut, Unreachable
from app.upstream.http1 import MOST_HEAD_BYTES, Framing, framing, read_head
from app.upstream.leash import Leash

IDLE_SECONDS = 20.0  # servers close idle connections; younger than this they are worth a try
PIECE = 65536
SMALL_BODY = 65536  # goes out in one send with its head

Key = tuple[str, str, int]

_poll = get_original(
    "select", "poll"
)  # gevent's own would switch greenlets for a look that never waits
_SOMETHING = 0x01 | 0x08 | 0x10  # can be read, has failed, is closed


@dataclass(slots=True)
class Line:
    """A connection, and when it was last of use."""

    key: Key
    sock: Any
    since: float
    used: bool = False

    def is_alive(self) -> bool:
        """Nothing to read: a server that closed, or spoke out of turn, leaves something."""
        poll = _poll()
        poll.register(self.sock.fileno(), _SOMETHING)
        return not poll.poll(0)

    def close(self) -> None:
        self.sock.close()


class LeanRequest(PreparedRequest):
    """A request that knows which leash it is on and whether it may be sent a second time."""

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        leash: Leash | None,
        repeat_stale: bool,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers  # type: ignore[assignment]  # a plain dict does: nobody looks names up here
        self.body = body
        self.hooks = {}
        self._cookies = None
        self._body_position = None
        self.leash = leash
        self.repeat_stale = repeat_stale


class LeanResponse(Response):
    """A response whose `raw` is the `Line` it came on. Everything else is filled in by the adapter."""

    def __init__(self) -> None:
        # Not the parent's: it makes a cookie jar and a case-insensitive dictionary that nobody asks for.
        self._content = False  # type: ignore[assignment]
        self._content_consumed = False
        self._next = None
        self.encoding = None
        self.history = []


class LeanAdapter(HTTPAdapter):
    """Sends over pooled connections of its own."""

    def __init__(self, connect_seconds: float, pool_size: int, ca_file: str) -> None:
        super().__init__(pool_connections=16, pool_maxsize=64, max_retries=0)
        self._connect_seconds = connect_seconds
        self._pool_size = pool_size
        self._idle: dict[Key, list[Line]] = {}
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
        line = self._take(key)
        while True:
            fresh = line is None
            line = line or self._connect(key, request.leash)
            try:
                return self._exchange(request, line, head, timeout[1])
            except _Stale as stale:
                line.close()
                if request.leash is not None and request.leash.pulled:
                    raise CallerGone("the caller hung up") from stale
                if fresh or not request.repeat_stale:
                    raise _lost(fresh) from stale
                line = None  # once more, on a connection nobody has had time to close
            except BaseException:
                line.close()
                raise

    def give_back(self, line: Line) -> None:
        """Keeps a connection for the next call."""
        kept = self._idle.setdefault(line.key, [])
        if len(kept) >= self._pool_size:
            kept.pop(0).close()
        line.since = time.monotonic()
        kept.append(line)

    def close(self) -> None:
        for lines in self._idle.values():
            for line in lines:
                line.close()
        self._idle.clear()
        super().close()

    def _take(self, key: Key) -> Line | None:
        """The idle connection used last, which is the one most likely to live."""
        kept = self._idle.get(key)
        now = time.monotonic()
        while kept:
            line = kept.pop()
            if now - line.since < IDLE_SECONDS and line.is_alive():
                line.used = True
                return line
            line.close()
        return None

    def _connect(self, key: Key, leash: Leash | None) -> Line:
        scheme, host, port = key
        try:
            sock = socket.create_connection((host, port), self._connect_seconds)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if leash is not None:
                leash.hold(sock)
            if scheme == "https":
                sock = self._context().wrap_socket(sock, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            raise Unreachable("the platform's certificate is not valid") from error
        except OSError as error:
            if leash is not None and leash.pulled:
                raise CallerGone("the caller hung up") from error
            raise Unreachable("the platform cannot be reached") from error
        return Line(key, sock, time.monotonic())

    def _context(self) -> Any:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
            if self._ca_file:
                self._tls.load_verify_locations(self._ca_file)
        return self._tls

    def _exchange(
        self, request: LeanRequest, line: Line, head: bytes, seconds: float
    ) -> LeanResponse:
        sock, body = line.sock, request.body
        if request.leash is not None:
            request.leash.hold(sock)
        sock.settimeout(seconds)
        try:
            if isinstance(body, bytes) and len(body) > SMALL_BODY:
                sock.sendall(head)
                sock.sendall(body)
            else:
                sock.sendall(head + body if isinstance(body, bytes) else head)
        except TimeoutError as error:
            raise TimedOut("the platform took too long to answer") from error
        except OSError as error:
            raise _Stale from error
        status, headers, rest = _receive_head(sock, seconds)
        framed = framing(request.method or "", status, headers)
        response = LeanResponse()
        response.status_code = status
        response.headers = headers  # type: ignore[assignment]
        response.url = request.url or ""
        response.request = request
        response.raw = _Raw(line, framed, rest, headers.get("connection", "").lower() != "close")
        return response


@dataclass(slots=True)
class _Raw:
    """What is left to read of an answer, and where."""

    line: Line
    framing: Framing
    rest: bytes
    keeps: bool


class _Stale(Exception):
    """The connection ended before a byte of the answer had come."""


def _lost(fresh: bool) -> GatewayError:
    """Repeating is not for us to decide once a request may have been read in full: it could cost twice."""
    error = Unreachable("the platform closed the connection without an answer")
    if fresh:
        error.verdict = "stop"
        error.may_retry = False
    return error


def _destination(url: str) -> tuple[Key, str, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return (parts.scheme, host, port), target, parts.netloc


def _head(request: LeanRequest, target: str, host: str) -> bytes:
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body is not None:
        lines.append(f"Content-Length: {len(request.body)}")
    text = "\r\n".join(lines)
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise ValueError("a header or an address holds a line end")
    return (text + "\r\n\r\n").encode("latin-1")


def _receive_head(sock: Any, seconds: float) -> tuple[int, dict[str, str], bytes]:
    end = time.monotonic() + seconds
    got = b""
    cause: OSError | None = None
    while True:
        head, found, rest = got.partition(b"\r\n\r\n")
        if found:
            status, headers = read_head(head)
            if status >= 200:
                return status, headers, rest
            got = rest  # an interim answer; the real one follows
            continue
        if len(got) > MOST_HEAD_BYTES:
            raise BadReply("the platform's answer has a head that is too long")
        try:
            data = sock.recv(PIECE)
        except TimeoutError as error:
            raise TimedOut("the platform took too long to answer") from error
        except OSError as error:
            data, cause = b"", error
        if not data:
            if got:
                raise BadReply("the platform's answer broke off in its head") from cause
            raise _Stale from cause
        if time.monotonic() > end:
            raise TimedOut("the platform took too long to answer")
        got += data
