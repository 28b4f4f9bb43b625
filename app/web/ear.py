"""Noticing that a caller has hung up while the platform is silent.

A WSGI server is told of a lost caller by its next write, and there is none while a model thinks. So
the hub watches the caller's socket. An end of what it sends means that it is gone, or only that it
has finished sending: on a stream the next heartbeat tells the two apart, because a peer that is
gone answers it with a reset. A call that is not streamed has nothing to write, so there the end of
sending counts as gone.
"""

from __future__ import annotations

import socket
from typing import Any

from gevent import get_hub

from app.upstream.transport import Leash

_READ = 1
_ears: set[SocketEar] = set()  # of the calls that this worker answers


class SocketEar:
    """Listens to `sock` until `stop`. Pulls `leash` when there is nobody left to answer."""

    __slots__ = ("closing", "_sock", "_leash", "_probing", "_watcher")

    def __init__(self, sock: Any, leash: Leash, *, probing: bool) -> None:
        self.closing = False
        self._sock = sock
        self._leash = leash
        self._probing = probing
        self._watcher = get_hub().loop.io(sock.fileno(), _READ)
        self._watcher.start(self._heard)
        _ears.add(self)

    def _heard(self) -> None:
        """Runs in the hub: must not wait."""
        try:
            gone = not self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            reset = False
        except BlockingIOError:
            return
        except OSError:
            gone = reset = True
        self._watcher.stop()  # what is readable stays readable, be it the end or the next request
        if gone:
            self.closing = True
            if reset or not self._probing:
                self._leash.pull()

    def interrupt(self) -> None:
        """Ends the call because the gateway stops; its caller is told so."""
        self._leash.pull(stopping=True)

    def stop(self) -> None:
        self._watcher.stop()
        self._watcher.close()
        _ears.discard(self)


def interrupt_all() -> int:
    """Ends every call that has not come to its end yet, and says how many that were."""
    ears = tuple(_ears)
    for ear in ears:
        ear.interrupt()
    return len(ears)
