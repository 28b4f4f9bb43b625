"""Calls to a gateway by the way that its callers take, with an eye on when what arrives."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
EARLY_SECONDS = 5.0  # for a word about a body before any of it is sent


@dataclass(slots=True)
class Told:
    """What came back. `lags` are how much later than it was sent each piece came, the first counted as
    in time; `trouble` is what ended it before its end.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seen: dict[str, Any] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)
    took: float = 0.0
    skew: float = 0.0  # of the clock here, against the gateway's
    is_whole: bool = False  # the transfer is
    has_ended: bool = False  # the last event is there
    trouble: str = ""

    @property
    def said(self) -> dict[str, Any]:
        """The JSON that it is; nothing where it is none."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    @property
    def error(self) -> dict[str, Any]:
        error = self.said.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def is_ours(self) -> bool:
        """Whether the gateway itself has answered. Its headers do not show it: nginx can hide them, or add
        one that looks like them to what it says itself.
        """
        details = self.said.get("details")
        is_health = isinstance(details, dict) and "platforms" in details
        return bool(self.seen) or is_health or "request_id" in self.said


class Way:
    """To the gateway that callers know by this address."""

    def __init__(self, url: str, licence: str, ca_file: str | None = None) -> None:
        self.parts = urlsplit(url)
        self.prefix = self.parts.path.rstrip("/")
        self.licence = licence
        self._ca_file = ca_file

    @property
    def is_secure(self) -> bool:
        return self.parts.scheme == "https"

    @property
    def host(self) -> str:
        """The address without what the gateway's paths begin with here."""
        return f"{self.parts.scheme}://{self.parts.netloc}"

    @property
    def url(self) -> str:
        return self.host + self.prefix

    def link(self, beginning: str) -> str:
        """Why links to files that begin so lead to no gateway's files; nothing where they do. The licence does
        not go there.
        """
        there, path = Way(beginning, self.licence, self._ca_file), "/media/doctor/doctor"
        told = there._call("POST", path, {})  # which tells where files are: they are only read
        if told.is_ours:
            return "" if told.status == 405 else "the gateway has none there"
        told = there.get(path)  # nginx may let nobody post
        if told.is_ours:
            return ""
        return told.trouble or f"somebody else answers ({told.status})"

    def get(self, path: str) -> Told:
        return self._call("GET", path, {})

    def stream(self, headers: Mapping[str, str] | None = None, **query: Any) -> Told:
        """Some pieces at known times. Other `headers` take the place of the usual one."""
        given = {"Authorization": f"Bearer {self.licence}"} if headers is None else headers
        silence = float(query.get("silence", 0))
        path = f"/health/stream?{urlencode(query)}"
        return self._call("POST", path, given, ANSWER_SECONDS + silence)

    def announce(self, size: int) -> int:
        """The status that a body of this size meets before any of it is sent; 100 where it may come, and
        0 where nothing is said.
        """
        line = self._line(EARLY_SECONDS)
        try:
            line.putrequest("POST", f"{self.prefix}/health/stream", skip_accept_encoding=True)
            line.putheader("Authorization", f"Bearer {self.licence}")
            line.putheader("Content-Length", str(size))
            line.putheader("Expect", "100-continue")
            line.endheaders()
            first = line.sock.recv(64)
            return int(first.split(b" ")[1]) if first.startswith(b"HTTP/1.") else 0
        except (OSError, ValueError, IndexError):
            return 0
        finally:
            line.close()

    def certificate(self) -> Mapping[str, Any]:
        """What the certificate says. Raises what is wrong with it."""
        line = self._line(CONNECT_SECONDS)
        try:
            line.connect()
            assert isinstance(line.sock, ssl.SSLSocket)
            return line.sock.getpeercert() or {}
        finally:
            line.close()

    def _line(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self.parts.hostname or "", self.parts.port
        if not self.is_secure:
            return http.client.HTTPConnection(host, port, timeout=seconds)
        trust = ssl.create_default_context(cafile=self._ca_file)
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=trust)

    def _call(
        self, method: str, path: str, headers: Mapping[str, str], seconds: float = ANSWER_SECONDS
    ) -> Told:
        told, line = Told(), self._line(seconds)
        began = time.monotonic()
        try:
            line.request(
                method, self.prefix + path, headers={"Accept-Encoding": "identity"} | dict(headers)
            )
            answer = line.getresponse()
            told.status = answer.status
            told.headers = {name.lower(): value for name, value in answer.getheaders()}
            _read(answer, told)
            told.is_whole = True
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            told.trouble = str(error) or type(error).__name__
        finally:
            told.took = time.monotonic() - began
            line.close()
        return told


def _read(answer: http.client.HTTPResponse, told: Told) -> None:
    """Notes each event as it comes."""
    rest, first = b"", 0.0
    for piece in _pieces(answer, told.headers.get("content-encoding", "")):
        now = time.monotonic()
        told.body += piece
        *events, rest = (rest + piece).split(b"\n\n")
        for name, said in map(_event, events):
            if name == "seen":
                told.seen, first = said, now
                told.skew = time.time() - said["now"]
            elif name == "piece":
                told.lags.append(now - first - said["after"])
            elif name == "end":
                told.has_ended = True


def _pieces(answer: http.client.HTTPResponse, coding: str) -> Iterator[bytes]:
    unpacked = (
        zlib.decompressobj(wbits=zlib.MAX_WBITS | 32) if coding in ("gzip", "deflate") else None
    )
    while piece := answer.read1(65536):
        yield piece if unpacked is None else unpacked.decompress(piece)


def _event(block: bytes) -> tuple[str, Any]:
    lines = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
    try:
        return lines.get(b"event", b"").decode(), json.loads(lines.get(b"data", b"null"))
    except ValueError:
        return "", None


def reached(parts: Any) -> str:
    """Why nobody can be reached there; nothing where somebody can."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""
