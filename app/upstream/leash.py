"""Ending a call from outside: the caller has hung up while we wait for the platform."""

from __future__ import annotations

import contextlib
import socket
from typing import Protocol


class Held(Protocol):
    """A socket, or something else that can be shut down without waiting."""

    def shutdown(self, how: int) -> object: ...


class Leash:
    """Holds what a call is waiting on, so that it can be pulled from a hub callback."""

    __slots__ = ("pulled", "_held")

    def __init__(self) -> None:
        self.pulled = False
        self._held: Held | None = None

    def hold(self, held: Held | None) -> None:
        """From now on `held` is what a pull ends; None lets go."""
        self._held = held
        if self.pulled and held is not None:
            self.pull()

    def pull(self) -> None:
        """Ends the wait at once. Never blocks: shutting a socket down wakes whoever waits on it."""
        self.pulled = True
        if self._held is not None:
            with contextlib.suppress(OSError):  # it may have ended by itself in the meantime
                self._held.shutdown(socket.SHUT_RDWR)
