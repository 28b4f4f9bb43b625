"""A connection that ends when its time is up or its allowance is spent, however slowly bytes drip.

Timeouts of sockets, and so those of every HTTP library above them, count from the last byte: a
server that drips one byte a second into a status line, a header, a TLS record or a chunk size holds
its reader for hours. Here each single receive is given only what is left until one deadline, below
HTTP and below TLS. TLS runs over memory buffers (urllib3's `SSLTransport`) rather than in an
`SSLSocket`, because gevent's handshake waits the full timeout anew for every record.

`Line` derives from `socket.socket` as it is when this module is imported, so gevent has to patch
first, as gunicorn's worker does unless the application is preloaded.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from typing import Any

from app.clock import Clock

Connector = Callable[[str, int, float], socket.socket]


class Deadline:
    """The moment after which a fetch is over, whatever it is doing."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._end = clock.ticks() + seconds

    def left(self) -> float:
        """Seconds until then, always more than zero. Raises `TimeoutError` when there are none."""
        left = self._end - self._clock.ticks()
        if left <= 0:
            raise TimeoutError("the fetch took too long")
        return left


class Line(socket.socket):
    """A connected socket that stops at `deadline` and after `allowance` bytes.

    The allowance counts bytes on the wire, so endless interim answers, header blocks and chunk
    extensions are covered as well as the body.
    """

    def __init__(self, connected: socket.socket, deadline: Deadline, allowance: int) -> None:
        super().__init__(
            connected.family, connected.type, connected.proto, fileno=connected.detach()
        )
        self._deadline = deadline
        self._allowance = allowance

    def allow(self, more: int) -> None:
        """Let that many bytes more come in."""
        self._allowance += more

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        self._await_turn()
        data = super().recv(bufsize, flags)
        self._count(len(data))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self._await_turn()
        received = super().recv_into(buffer, nbytes, flags)
        self._count(received)
        return received

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(self._deadline.left())
        super().sendall(data, flags)

    def _await_turn(self) -> None:
        # gevent hands out what has already arrived without letting anyone else run, so a server that
        # fills the line with one-byte chunks would have the worker to itself.
        time.sleep(0)
        self.settimeout(self._deadline.left())

    def _count(self, received: int) -> None:
        self._allowance -= received
        if self._allowance < 0:
            raise OSError("the server sends more than any file we take needs")


def system_connect(address: str, port: int, seconds: float) -> socket.socket:
    """Connect to a numeric address: no name is looked up here."""
    ip_address(address)
    return socket.create_connection((address, port), timeout=seconds)


@cache
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Certificates verified against `ca_file` alone; one for all who ask for the same.

    Not `ssl.create_default_context()`: that one, like urllib3's, writes session keys wherever
    SSLKEYLOGFILE points and takes its roots from SSL_CERT_FILE.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
