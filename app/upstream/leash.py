"""Ending a call from outside, while we wait for the platform: the caller has hung up, or the gateway
stops.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Protocol

from app.errors import CallerGone, Interrupted


class Held(Protocol):
    """A socket, or something else that can be shut down without waiting."""

    def shutdown(self, how: int) -> object: ...


class Leash:
    """Holds what a call is waiting on, so that it can be pulled from a hub callback."""

    __slots__ = ("pulled", "_held", "_stopping")

    def __init__(self) -> None:
        self.pulled = False
        self._held: Held | None = None
        self._stopping = False

    def hold(self, held: Held | None) -> None:
        """From now on `held` is what a pull ends; None lets go."""
        self._held = held
        if self.pulled and held is not None:
            self.pull()

    def pull(self, *, stopping: bool = False) -> None:
        """Ends the wait at once. Never blocks: shutting a socket down wakes whoever waits on it.
        `stopping`: it is the gateway that wants it.
        """
        self._stopping = self._stopping or (stopping and not self.pulled)
        self.pulled = True
        if self._held is not None:
            with contextlib.suppress(OSError):  # it may have ended by itself in the meantime
                self._held.shutdown(socket.SHUT_RDWR)

    def end(self) -> CallerGone:
        """What a call ends with whose leash was pulled."""
        if self._stopping:
            return Interrupted("the gateway stops and could not wait for the end of the answer")
        return CallerGone("the caller hung up")
