"""A caller's bare connection, which can be left at any moment and in any way."""

from __future__ import annotations

import socket
import struct
from urllib.parse import urlsplit

from tests.platforms.conftest import Pair
from tests.stack import compact

SEGMENT = 1400  # bytes: loopback's own are larger than a small room, and then the kernel sends in fits and starts


class Line:
    """Has asked, and has read nothing yet. `sock` is a connection that is there already, to a `host` of
    another name; `room` the bytes that the kernel may keep for who does not read.
    """

    def __init__(
        self,
        pair: Pair,
        text: str,
        *,
        stream: bool = True,
        sock: socket.socket | None = None,
        host: str = "",
        room: int = 0,
    ) -> None:
        path, body = pair.ask(text, stream=stream)
        parts = urlsplit(pair.base)
        self._sock = sock or _connected(parts.hostname, parts.port, room)
        raw = compact(body)
        head = (
            f"POST {parts.path}{path} HTTP/1.1\r\nhost: {host or parts.netloc}\r\n"
            f"authorization: Bearer {pair.stack.licence}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(raw)}\r\n\r\n"
        )
        self._sock.sendall(head.encode() + raw)

    def read(self, most: int = 65536) -> bytes:
        """What has come, b"" at the end."""
        return self._sock.recv(most)

    def wait_for(self, words: bytes) -> None:
        got = b""
        while words not in got:
            piece = self.read()
            assert piece, got
            got += piece

    def half_close(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def hang_up(self, *, reset: bool = False) -> None:
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()


def _connected(host: str | None, port: int | None, room: int) -> socket.socket:
    assert host and port
    sock = socket.socket()
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
    sock.settimeout(10)
    sock.connect((host, port))
    return sock
