"""A platform's answer, read piece by piece.

What one read brings comes out in one piece. There is one watcher and one timer that ticks for the
whole answer: to start and stop a watcher for every read costs a system call, and a timeout object
more than the read. So a tick may come early, never late.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any, Protocol

from gevent import get_hub, getcurrent

from app.errors import BadReply, BrokenTransfer, CallerGone, TimedOut
from app.turn import give_way
from app.upstream.coding import Inflated
from app.upstream.lean import PIECE, LeanAdapter, Rest
from app.upstream.leash import Leash
from app.upstream.line import Line

_READABLE = 1  # the hub's word for it
_GREEDY_READS = 32  # in a row without waiting; then others get a turn


class Body(Protocol):
    """Bytes as they arrive. `b""` is the end, None means that nothing came for a while."""

    complete_by: str

    def next(self, seconds: float) -> bytes | None: ...

    def close(self) -> None: ...


class Answering(Protocol):
    """What can be read like a platform's answer. `next` gives what has arrived, `b""` at a clean end
    and None when nothing came for a while.
    """

    status: int
    headers: Mapping[str, str]

    def next(self, seconds: float) -> bytes | None: ...

    def read(self, limit: int, seconds: float) -> bytes: ...

    def close(self) -> None: ...


class Answer:
    """`complete_by` says how the end is known: `length`, `chunked`, or `close`, which proves
    nothing.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        body: Body,
        *,
        most_bytes: int,
        total_seconds: float,
    ) -> None:
        self.status = status
        self.headers = headers
        self.complete_by = body.complete_by
        self._body = body
        self._most = self._left = most_bytes
        self._end = time.monotonic() + total_seconds
        coding = headers.get("content-encoding", "").strip().lower()
        self._coding = "" if coding == "identity" else coding
        self._inflated: Inflated | None = None

    def next(self, seconds: float) -> bytes | None:
        """What has arrived; `b""` when the transfer has ended cleanly, None when nothing came for
        about `seconds`.

        Raises `BrokenTransfer` for an end that comes too early.
        """
        if self._coding:
            return self._decoded(seconds)
        return self._arrived(seconds)

    def read(self, limit: int, seconds: float) -> bytes:
        """All of it, up to `limit` bytes and within `seconds`."""
        end, have = time.monotonic() + seconds, 0
        pieces: list[bytes] = []
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise TimedOut("the platform took too long to answer")
            data = self.next(left)
            if data is None:
                continue
            if not data:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
            have += len(data)
            if have > limit:
                raise BadReply("the platform's answer is too large")
            pieces.append(data)

    def close(self) -> None:
        """Lets go of the connection; it serves again only if the answer was read to its end."""
        self._body.close()

    def _arrived(self, seconds: float) -> bytes | None:
        data = self._body.next(seconds)
        if time.monotonic() > self._end:
            raise TimedOut("the platform's answer goes on for too long")
        if data:
            self._left -= len(data)
            if self._left < 0:
                raise BadReply("the platform's answer is too large")
        return data

    def _decoded(self, seconds: float) -> bytes | None:
        while True:
            inflated = self._inflated
            if inflated is not None and inflated.pending:
                data: bytes | None = b""
            elif not (data := self._arrived(seconds)):
                if data is not None and inflated is not None and not inflated.complete:
                    raise BrokenTransfer("the platform's answer ended before it was complete")
                return data
            if inflated is None:
                inflated = self._inflated = Inflated(self._coding, self._most)
            if out := inflated.feed(data or b""):
                return out


class LeanBody:
    """Off a connection of our own. `adapter` is where the connection may go back to."""

    def __init__(self, rest: Rest, adapter: LeanAdapter, leash: Leash | None) -> None:
        line = rest.line
        self.complete_by = rest.framing.name
        self._line: Line | None = line
        self._sock = line.sock
        self._framing = rest.framing
        self._rest = rest.data
        self._adapter = adapter if rest.keeps else None
        self._leash = leash
        self._watcher: Any = None
        self._timer: Any = None
        self._ticks = 0.0
        self._waiting: Any = None
        self._over = False
        self._drained = False  # the last read took all there was: wait before the next
        self._is_plain = line.key[0] == "http"  # TLS may hold back what it has already read
        self._greed = 0
        line.sock.settimeout(0)  # waiting is our own business from here on

    def next(self, seconds: float) -> bytes | None:
        framing = self._framing
        while True:
            if self._rest:
                data, self._rest = self._rest, b""
            elif framing.complete or self._over:
                return b""
            elif (arrived := self._receive(seconds)) is None:
                return None
            elif arrived:
                data = arrived
            else:
                self._over = True
                return b""
            if out := framing.feed(data):
                return out

    def close(self) -> None:
        if self._line is None:
            return
        line, self._line = self._line, None
        for watcher in (self._watcher, self._timer):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        if self._leash is not None:
            self._leash.hold(None)
        framing = self._framing
        if self._adapter is not None and framing.complete and not (self._rest or framing.spare):
            self._adapter.give_back(line)
        else:
            line.close()

    def _receive(self, seconds: float) -> bytes | None:
        """One read. None when the timer ticked first, `b""` where the connection's end may be the
        body's.
        """
        if self._drained and not self._wait(seconds):
            return None
        while True:
            try:
                data: bytes = self._sock.recv(PIECE)
                break
            except (BlockingIOError, ssl.SSLWantReadError):
                if not self._wait(seconds):
                    return None
            except OSError as error:
                raise self._broken() from error
        if self._leash is not None and self._leash.pulled:
            raise self._leash.end()
        if not data and self._framing.name != "close":
            raise self._broken()
        self._drained = self._is_plain and 0 < len(data) < PIECE
        if not self._drained:
            self._give_way()
        return data

    def _give_way(self) -> None:
        """A sender that is always ahead of us must not keep the hub to itself."""
        self._greed += 1
        if self._greed >= _GREEDY_READS:
            self._greed = 0
            give_way()

    def _broken(self) -> BrokenTransfer | CallerGone:
        if self._leash is not None and self._leash.pulled:
            return self._leash.end()
        return BrokenTransfer("the platform's answer ended before it was complete")

    def _wait(self, seconds: float) -> bool:
        """Whether something can be read; False when the timer ticked first."""
        self._greed = 0
        hub = get_hub()
        if self._ticks != seconds:
            self._tick_every(seconds)
        if self._watcher is None:
            self._watcher = hub.loop.io(self._sock.fileno(), _READABLE)
        if not self._watcher.active:
            self._watcher.start(self._arrives)
        self._waiting = getcurrent()
        try:
            return bool(hub.switch())
        finally:
            self._waiting = None

    def _arrives(self) -> None:
        if self._waiting is not None:
            self._waiting.switch(True)
        else:  # it is read later, and until then the hub would say so again and again
            self._watcher.stop()

    def _tick_every(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._ticks = seconds
        self._timer = get_hub().loop.timer(seconds, seconds)
        self._timer.start(self._tick)

    def _tick(self) -> None:
        if self._waiting is not None:
            self._waiting.switch(False)
