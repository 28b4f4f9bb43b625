"""gunicorn's gevent worker, with a cheaper way to send, our words for what it refuses, and an end that
callers can live with.

gevent's `sendall` asks the kernel for the size of the send buffer and keeps a deadline, each time.
Nearly always the kernel takes everything at once, so that is tried first; what it does not take
goes the thorough way.

A worker that is told to stop takes no new connections and lets answers come to their end. Idle
connections are kept for a moment, since a call may be on its way by one of them. When the time is up,
what still runs is told so in its caller's dialect and breaks off.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache, partial
from http import HTTPStatus
from types import FrameType
from typing import Any
from urllib import parse

import gevent
import orjson
from gevent import GreenletExit, socket
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.http import wsgi
from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ObsoleteFolding,
    ParseException,
)
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker

from app.canonical.events import Trouble
from app.errors import BadRequest, GatewayError, TooLarge
from app.web.ear import interrupt_all
from app.web.gateway import KEY
from app.web.over import unread
from app.web.response import LeanResponse
from app.wire import openai_chat

# gunicorn has no setting for these. The second is where requests may complain, the same for all of them.
wsgi.Response = LeanResponse
wsgi.WSGIErrorsWrapper = cache(wsgi.WSGIErrorsWrapper)
# Its own words quote what was sent, and go into debug logs.
NoMoreData.__str__ = lambda error: type(error).__name__

QUEUE_SECONDS = 0.3  # for connections that nobody has taken yet when a worker is told to stop
IDLE_SECONDS = 5  # that a connection is left idle then; nginx lets go of its own before that
WORDS_SECONDS = 2  # for calls that are interrupted to say so
LAST_SECONDS = 5  # between the interruption and the arbiter's last resort
TICK_SECONDS = 0.1
CALL_FILES = 3  # open ones, for the caller, the platform and what is kept on disk
OTHER_FILES = 64  # ... for all calls together


class LeanSocket(socket.socket):  # type: ignore[misc]
    """A client's socket."""

    __slots__ = ()  # so that an object of the parent can become one of these

    def sendall(self, data: Any, flags: int = 0) -> None:
        try:
            sent = self._sock.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        try:
            super().sendall(memoryview(data)[sent:], flags)
        except TimeoutError as error:  # who takes nothing is as good as gone, and no fault of ours
            raise BrokenPipeError(errno.EPIPE, "the caller takes nothing more") from error


class Idle(gevent.Timeout):  # type: ignore[misc]
    """How long a connection may wait for its next request. Those that wait are in `waiting`."""

    def __init__(self, seconds: float, waiting: set[Idle]) -> None:
        super().__init__(seconds, False)
        self._waiting = waiting
        self._greenlet = gevent.getcurrent()

    def __enter__(self) -> Idle:
        self._waiting.add(self)
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> Any:
        self._waiting.discard(self)
        return super().__exit__(*raised)

    def expire(self) -> None:
        """Ends the wait now. The hub does it, which runs only while the connection really waits."""
        gevent.get_hub().loop.run_callback(self._end)

    def _end(self) -> None:
        if self in self._waiting:
            self._greenlet.throw(self)


class LeanWorker(GeventWorker):  # type: ignore[misc]
    """Hands every client over as a `LeanSocket`."""

    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self._waiting: set[Idle] = set()
        self._pools: list[Pool] = []

    def timeout_ctx(self) -> Idle:
        return Idle(self.cfg.keepalive if self.alive else IDLE_SECONDS, self._waiting)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Of a unix socket the arbiter has taken the name away by now: what is in the queue is the
        last that comes.
        """
        gevent.spawn_later(QUEUE_SECONDS, self._leave)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """The arbiter has not heard of this worker for too long. What gunicorn does, to end the call that
        stands still, would leave no worker to take new ones until the last stream here is over.
        """
        self.log.critical("it stood still in\n%s", "".join(traceback.format_stack(frame, 12)))
        os._exit(1)

    def _leave(self) -> None:
        self.alive = False

    def run(self) -> None:
        # gunicorn looks some twenty settings up for a call, in a way of its own that takes ten times as long.
        self.cfg.__dict__.update({name: one.get() for name, one in self.cfg.settings.items()})
        servers = [self._serving(one) for one in self.sockets]
        while self.alive:
            self.notify()
            gevent.sleep(1.0)
        for one in servers:
            one.close()
        self._see_out()

    def _serving(self, listener: Any) -> StreamServer:
        listener.setblocking(1)
        pool = Pool(min(self.worker_connections, places()))
        self._pools.append(pool)
        server = StreamServer(listener, handle=partial(self.handle, listener), spawn=pool)
        if self.cfg.workers > 1:
            server.max_accept = 1
        server.start()
        return server

    def _see_out(self) -> None:
        """Waits until every connection is closed, with less and less patience."""
        pools = self._pools
        patience = self.cfg.graceful_timeout - LAST_SECONDS
        steps: list[tuple[float, Callable[[], None]]] = [
            (IDLE_SECONDS, self._close_idle),
            (patience, self._interrupt),
            (patience + WORDS_SECONDS, lambda: _kill(pools)),
        ]
        began = time.monotonic()
        for seconds, step in sorted(steps, key=lambda one: one[0]):
            while any(pools) and time.monotonic() < began + seconds:
                self.notify()
                gevent.sleep(TICK_SECONDS)
            if not any(pools):
                return
            step()

    def _close_idle(self) -> None:
        for one in tuple(self._waiting):
            one.expire()

    def _interrupt(self) -> None:
        self._close_idle()
        if calls := interrupt_all():
            self.log.warning("%d calls are interrupted: the time to stop is up", calls)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        if type(client) is socket.socket:
            client.__class__ = (
                LeanSocket  # the same object with another `sendall`; TLS sockets stay as they are
            )
        super().handle(listener, client, addr)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """The connection keeps its last request until the next one comes, so that has to go without
        its headers and its query: they hold the caller's token (R-077). One header is looked at
        once more.

        A header on two lines is refused: gunicorn's parser in Python does that, the one in C makes a
        header without a name of the second line, and what the first says may not be what is meant.

        While there is no place left, a connection serves once: idle, it would keep out those who wait.
        """
        if any(not name for name, _ in req.headers):
            raise ObsoleteFolding("")
        if any(pool.full() for pool in self._pools):
            req.force_close()
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
            sock.settimeout(None)  # that was for sending; how long it may be idle is not its affair
            req.headers = [one for one in req.headers if one[0] == "CONNECTION"]
            if req.query:
                req.uri = req.query = ""
                parse.clear_cache()  # type: ignore[attr-defined]  # of addresses taken apart

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers what never becomes a request of ours in JSON (C-181). Only the kind of error is
        logged: its words quote what was sent, which may be a licence (C-039).
        """
        if isinstance(exc, GreenletExit):
            return  # the worker ends, and nobody is waiting for an answer here
        request_id = "req_" + os.urandom(12).hex()
        if isinstance(exc, ParseException):
            self.log.warning("cannot read a request (%s): %s", request_id, type(exc).__name__)
            unread(self.wsgi.extensions[KEY], request_id, meaning(exc))
        else:
            self.log.error("request failed (%s)", request_id, exc_info=exc)
        try:
            write_nonblock(client, written(meaning(exc), request_id))
        except OSError as error:
            self.log.debug("nobody took the answer to %s: %s", request_id, error)


def places() -> int:
    """How many calls there are file descriptors for. Whoever comes after them waits in the socket's queue:
    without one, a call would be let in and fail on its way to the platform.
    """
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return sys.maxsize
    return max((most - OTHER_FILES) // CALL_FILES, 1)


def _kill(pools: Sequence[Pool]) -> None:
    for pool in pools:
        pool.kill(timeout=1)


def meaning(exc: BaseException) -> GatewayError:
    """Our error for what gunicorn raised."""
    if isinstance(exc, (LimitRequestHeaders, LimitRequestLine)):
        error = TooLarge("the head of the request is too large")
        error.status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return error
    if isinstance(exc, ParseException):
        return BadRequest("the request cannot be read")
    return GatewayError()


def written(error: GatewayError, request_id: str) -> bytes:
    """The error as a whole HTTP answer. Nothing is known of the caller, so it is told in the way
    that most understand.
    """
    trouble = Trouble(str(error), error.status, error.code, error.type)
    body = orjson.dumps(openai_chat.write_error(trouble) | {"request_id": request_id})
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"x-request-id: {request_id}",
        "x-should-retry: false",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
