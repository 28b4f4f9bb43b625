"""A platform's answer, read piece by piece.

What one read brings comes out in one piece. Waiting costs one watcher, started and stopped, and one timer that ticks for
the whole answer: a timeout object for every read would cost more than the read.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any, Protocol

import gevent
import requests
from gevent import get_hub, getcurrent
from gevent.queue import Empty, Queue
from urllib3.exceptions import HTTPError

from app.errors import BadReply, BrokenTransfer, CallerGone, TimedOut
from app.upstream.http1 import Framing, Inflated
from app.upstream.lean import PIECE, LeanAdapter, Line
from app.upstream.leash import Leash

_READABLE = 1  # the hub's word for it


class Body(Protocol):
    """Bytes as they arrive. `b""` is the end, None means that nothing came for a while."""

    complete_by: str

    def next(self, seconds: float) -> bytes | None: ...

    def close(self) -> None: ...


class Answer:
    """`complete_by` says how the end is known: `length`, `chunked`, or `close`, which proves nothing."""

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
        self._left = most_bytes
        self._end = time.monotonic() + total_seconds
        coding = headers.get("content-encoding", "identity").strip().lower()
        self._inflated = None if coding in ("", "identity") else Inflated(coding, most_bytes)

    def next(self, seconds: float) -> bytes | None:
        """What has arrived; `b""` when the transfer has ended cleanly, None when nothing came for about `seconds`.

        Raises `BrokenTransfer` for an end that comes too early.
        """
        while True:
            data = self._body.next(seconds)
            if time.monotonic() > self._end:
                raise TimedOut("the platform's answer goes on for too long")
            if not data:
                return data
            self._left -= len(data)
            if self._left < 0:
                raise BadReply("the platform's answer is too large")
            if self._inflated is None:
                return data
            if data := self._inflated.feed(data):
                return data

    def read(self, limit: int, seconds: float) -> bytes:
        """All of it, up to `limit` bytes and within `seconds`."""
        end, have = time.monotonic() + seconds, 0
        pieces: list[bytes] = []
        while True:
            left = end - time.monotonic()
            data = self.next(left) if left > 0 else None
            if data is None:
                if time.monotonic() >= end:
                    raise TimedOut("the platform took too long to answer")
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


class LeanBody:
    """Off a connection of our own."""

    def __init__(
        self,
        line: Line,
        framing: Framing,
        rest: bytes,
        adapter: LeanAdapter | None,
        leash: Leash | None,
    ) -> None:
        self.complete_by = framing.name
        self._line: Line | None = line
        self._sock = line.sock
        self._framing = framing
        self._rest = rest
        self._adapter = adapter
        self._leash = leash
        self._watcher: Any = None
        self._timer: Any = None
        self._ticks = 0.0
        self._waiting: Any = None
        self._over = False
        self._drained = False  # the last read took all there was: wait before the next
        self._is_plain = line.key[0] == "http"  # TLS may hold back what it has already read
        line.sock.settimeout(0)  # waiting is our own business from here on

    def next(self, seconds: float) -> bytes | None:
        framing = self._framing
        while True:
            if self._rest:
                data, self._rest = self._rest, b""
            elif framing.complete or self._over:
                return b""
            else:
                if self._drained:
                    self._drained = False
                    if not self._wait(seconds):
                        self._drained = True
                        return None
                try:
                    data = self._sock.recv(PIECE)
                except (BlockingIOError, ssl.SSLWantReadError):
                    if not self._wait(seconds):
                        return None
                    continue
                except OSError as error:
                    raise self._broken() from error
                if self._leash is not None and self._leash.pulled:
                    raise CallerGone("the caller hung up")
                self._drained = self._is_plain and 0 < len(data) < PIECE
                if not data:
                    if framing.name != "close":
                        raise self._broken()
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

    def _broken(self) -> BrokenTransfer | CallerGone:
        if self._leash is not None and self._leash.pulled:
            return CallerGone("the caller hung up")
        return BrokenTransfer("the platform's answer ended before it was complete")

    def _wait(self, seconds: float) -> bool:
        """Whether something can be read; False when the timer ticked first."""
        hub = get_hub()
        if self._watcher is None:
            self._watcher = hub.loop.io(self._sock.fileno(), _READABLE)
        if self._ticks != seconds:
            self._tick_every(seconds)
        self._waiting = getcurrent()
        self._watcher.start(self._waiting.switch, True)
        try:
            return bool(hub.switch())
        finally:
            self._waiting = None
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


class SlowBody:
    """Through urllib3, whose reads cannot be interrupted: a greenlet reads ahead, by one piece at most."""

    complete_by = "chunked"

    def __init__(self, response: requests.Response, leash: Leash | None) -> None:
        self._response = response
        self._leash = leash
        self._pieces: Queue[bytes | Exception] = Queue(1)
        self._over = False
        self._reader = gevent.spawn(self._read_ahead)

    def _read_ahead(self) -> None:
        try:
            while piece := self._response.raw.read1(PIECE, decode_content=False):
                self._pieces.put(piece)
            self._pieces.put(b"")
        except (OSError, HTTPError) as error:
            self._pieces.put(error)

    def next(self, seconds: float) -> bytes | None:
        if self._over:
            return b""
        if self._leash is not None and self._leash.pulled:
            raise CallerGone("the caller hung up")
        try:
            piece: bytes | Exception = self._pieces.get(timeout=seconds)
        except Empty:
            return None
        if isinstance(piece, Exception):
            raise BrokenTransfer("the platform's answer ended before it was complete") from piece
        self._over = not piece
        return piece

    def close(self) -> None:
        self._reader.kill()
        self._response.close()
