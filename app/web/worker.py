"""gunicorn's gevent worker, with a cheaper way to send.

gevent's `sendall` asks the kernel for the size of the send buffer and keeps a deadline, each time.
Nearly always the kernel takes everything at once, so that is tried first; what it does not take
goes the thorough way.
"""

from __future__ import annotations

from typing import Any

from gevent import socket
from gunicorn.workers.ggevent import GeventWorker


class LeanSocket(socket.socket):  # type: ignore[misc]
    """A client's socket."""

    __slots__ = ()  # so that an object of the parent can become one of these

    def sendall(self, data: Any, flags: int = 0) -> None:
        try:
            sent = self._sock.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            super().sendall(memoryview(data)[sent:], flags)


class LeanWorker(GeventWorker):  # type: ignore[misc]
    """Hands every client over as a `LeanSocket`."""

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        if type(client) is socket.socket:
            client.__class__ = (
                LeanSocket  # the same object with another `sendall`; TLS sockets stay as they are
            )
        super().handle(listener, client, addr)
