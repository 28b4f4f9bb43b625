"""gunicorn's gevent worker, with a cheaper way to send and our words for what it refuses.

gevent's `sendall` asks the kernel for the size of the send buffer and keeps a deadline, each time.
Nearly always the kernel takes everything at once, so that is tried first; what it does not take
goes the thorough way.
"""

from __future__ import annotations

import os
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib import parse

import orjson
from gevent import GreenletExit, socket
from gunicorn.http import wsgi
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker

from app.canonical.events import Trouble
from app.errors import BadRequest, GatewayError, TooLarge
from app.web.gateway import KEY
from app.web.over import unread
from app.web.response import LeanResponse
from app.wire import openai_chat

# gunicorn has no setting for these. The second is where requests may complain, the same for all of them.
wsgi.Response = LeanResponse
wsgi.WSGIErrorsWrapper = cache(wsgi.WSGIErrorsWrapper)


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

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """The connection keeps its last request until the next one comes, so that has to go without
        its headers and its query: they hold the caller's token (R-077). One header is looked at
        once more.
        """
        try:
            super().handle_request(listener_name, req, sock, addr)
        finally:
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
