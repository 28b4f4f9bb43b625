"""Ending a call from outside: the caller has hung up while we wait for the platform."""

from __future__ import annotations

import contextlib
import socket
from typing import Any


class Leash:
    """Holds the socket a call is waiting on, so that it can be pulled from a hub callback."""

    __slots__ = ("pulled", "_sock")

    def __init__(self) -> None:
        self.pulled = False
        self._sock: Any = None

    def hold(self, sock: Any) -> None:
        """From now on `sock` is what a pull ends; None lets go."""
        self._sock = sock
        if self.pulled and sock is not None:
            self.pull()

    def pull(self) -> None:
        """Ends the wait at once. Never blocks: shutting a socket down wakes whoever waits on it."""
        self.pulled = True
        if self._sock is not None:
            with contextlib.suppress(OSError):  # it may have ended by itself in the meantime
                self._sock.shutdown(socket.SHUT_RDWR)
