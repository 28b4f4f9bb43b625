"""THIN stand-in until the real transport lands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gevent import socket, ssl

from app.errors import BadReply, BrokenTransfer, CallerGone, TimedOut, Unreachable


@dataclass(frozen=True, slots=True)
class Deadlines:
    connect_seconds: float = 3.0
    first_byte_seconds: float = 120.0
    total_seconds: float = 1800.0
    answer_megabytes: int = 256


class Leash:
    __slots__ = ("pulled", "_sock")

    def __init__(self) -> None:
        self.pulled = False
        self._sock = None

    def hold(self, sock) -> None:
        self._sock = sock

    def pull(self) -> None:
        self.pulled = True
        if self._sock is not None:
            try:
                self._sock._sock.shutdown(2) if hasattr(self._sock, "_sock") else self._sock.shutdown(2)
            except OSError:
                pass


class Answer:
    complete_by = "chunked"

    def __init__(self, transport, key, sock, status, headers, rest, leash):
        self.status = status
        self.headers = headers
        self._t, self._key, self._sock, self._buf, self._leash = transport, key, sock, rest, leash
        self._done = False
        self._chunked = "chunked" in headers.get("transfer-encoding", "")
        length = headers.get("content-length")
        self._left = None if length is None or self._chunked else int(length)
        self._chunk = 0
        if self._left == 0:
            self._done = True

    def _recv(self, seconds):
        self._sock.settimeout(seconds)
        try:
            data = self._sock.recv(65536)
        except socket.timeout:
            return None
        except OSError as e:
            if self._leash and self._leash.pulled:
                raise CallerGone("the caller hung up") from e
            raise BrokenTransfer("the platform's answer broke off") from e
        if self._leash and self._leash.pulled:
            raise CallerGone("the caller hung up")
        return data

    def next(self, seconds):
        while True:
            out = self._take()
            if out or self._done:
                return out
            data = self._recv(seconds)
            if data is None:
                return None
            if not data:
                if not self._chunked and self._left is None:
                    self._done = True
                    return b""
                raise BrokenTransfer("the platform's answer broke off")
            self._buf += data

    def _take(self):
        if not self._chunked:
            out, self._buf = self._buf, b""
            if self._left is not None:
                self._left -= len(out)
                if self._left <= 0:
                    self._done = True
            return out
        out = []
        while not self._done:
            if self._chunk > 0:
                piece = self._buf[: self._chunk]
                out.append(piece)
                self._buf = self._buf[len(piece) :]
                self._chunk -= len(piece)
                if self._chunk:
                    break
                self._chunk = -2
            if self._chunk == -2:
                if len(self._buf) < 2:
                    break
                self._buf = self._buf[2:]
                self._chunk = 0
            line, found, rest = self._buf.partition(b"\r\n")
            if not found:
                break
            size = int(line.split(b";")[0], 16)
            if size == 0:
                if rest[:2] != b"\r\n":
                    break
                self._buf = rest[2:]
                self._done = True
                break
            self._buf = rest
            self._chunk = size
        return b"".join(out)

    def read(self, limit, seconds):
        end = time.monotonic() + seconds
        out = []
        size = 0
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut("the platform took too long to answer")
            data = self.next(left)
            if data == b"":
                return b"".join(out)
            if data is None:
                continue
            size += len(data)
            if size > limit:
                raise BadReply("the platform's answer is too large")
            out.append(data)

    def close(self):
        if self._sock is None:
            return
        sock, self._sock = self._sock, None
        if self._done and not self._buf and (self._chunked or self._left is not None):
            self._t._pool.setdefault(self._key, []).append(sock)
        else:
            sock.close()


class Transport:
    def __init__(self, deadlines, *, pool_size=1000, proxy="", ca_file=""):
        self._d = deadlines
        self._pool = {}

    def open(self, method, url, headers, body, *, leash=None, first_byte_seconds=None, repeat_stale=True):
        parts = urlsplit(url)
        key = (parts.scheme, parts.hostname, parts.port)
        reused = bool(self._pool.get(key))
        if reused:
            sock = self._pool[key].pop()
        else:
            try:
                sock = socket.create_connection((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), self._d.connect_seconds)
                if parts.scheme == "https":
                    sock = ssl.create_default_context().wrap_socket(sock, server_hostname=parts.hostname)
            except OSError as e:
                raise Unreachable("the platform cannot be reached") from e
        if leash:
            leash.hold(sock)
        path = parts.path + ("?" + parts.query if parts.query else "")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", "accept-encoding: identity"]
        lines += [f"{k}: {v}" for k, v in headers.items()]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        sock.settimeout(first_byte_seconds or self._d.first_byte_seconds)
        buf = b""
        try:
            sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))
            while b"\r\n\r\n" not in buf:
                data = sock.recv(65536)
                if not data:
                    raise ConnectionResetError("closed")
                buf += data
        except socket.timeout as e:
            sock.close()
            raise TimedOut("the platform took too long to answer") from e
        except OSError as e:
            sock.close()
            if leash and leash.pulled:
                raise CallerGone("the caller hung up") from e
            if reused and repeat_stale and not buf:
                return self.open(method, url, headers, body, leash=leash, first_byte_seconds=first_byte_seconds)
            raise Unreachable("the platform closed the connection") from e
        head, _, rest = buf.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        got = {}
        for f in fields:
            k, _, v = f.partition(":")
            got[k.strip().lower()] = v.strip()
        return Answer(self, key, sock, int(first.split()[1]), got, rest, leash)

    def close(self):
        for socks in self._pool.values():
            for s in socks:
                s.close()
