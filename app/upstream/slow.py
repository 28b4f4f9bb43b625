"""The slow and thorough way, through requests and urllib3: for proxies.

urllib3's reads can be neither interrupted nor given up for a moment. So one greenlet asks, and
another reads ahead, by one piece at most. Where nothing is patched they block the hub while they
wait, and ticks and leashes come late.

A greenlet that is ended keeps what ended it, with every frame that it went through; so ours end by
themselves. The frames hold the request, and the request holds a token (R-077).
"""

from __future__ import annotations

import contextlib
from http.client import HTTPException

import requests
from gevent import Greenlet, GreenletExit
from gevent.queue import Empty, Full, Queue
from urllib3.exceptions import HTTPError, ProtocolError

from app.descriptors import check_descriptors
from app.errors import (
    BadReply,
    BrokenTransfer,
    ConnectionLost,
    GatewayError,
    TimedOut,
    Unreachable,
)
from app.upstream.leash import Leash

PIECE = 65536


def ask(
    session: requests.Session,
    request: requests.PreparedRequest,
    timeout: tuple[float, float],
    proxies: dict[str, str],
    leash: Leash | None,
) -> requests.Response:
    """The response, as soon as its head is in. Raises what the lean way raises."""
    asking = _Asking(session, request, timeout, proxies)
    if leash is not None:
        leash.hold(asking)
    asking.start()
    connecting, answering = timeout
    # As long again for sending: the time for the answer begins when all is sent.
    try:
        asking.join(connecting + 2 * answering)
    except BaseException:  # whoever waits is ended, and with it the asking (C-110)
        asking.give_up()
        raise
    if leash is not None and leash.pulled:
        asking.give_up()
        raise leash.end()
    if not asking.dead:
        asking.give_up()
        raise TimedOut("the platform took too long to answer")
    if asking.trouble is not None:
        raise _named(asking.trouble) from asking.trouble
    response: requests.Response = asking.get()
    return response


class _Asking(Greenlet):  # type: ignore[misc]  # gevent is not typed
    """Sends a request and waits for the head of the answer."""

    def __init__(
        self,
        session: requests.Session,
        request: requests.PreparedRequest,
        timeout: tuple[float, float],
        proxies: dict[str, str],
    ) -> None:
        super().__init__()
        self.trouble: requests.RequestException | None = None
        self._session = session
        self._request = request
        self._timeout = timeout
        self._proxies = proxies

    def _run(self) -> requests.Response | None:
        try:
            return self._session.send(
                self._request,
                stream=True,
                timeout=self._timeout,
                proxies=self._proxies,
                verify=True,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            self.trouble = error
            return None
        except GreenletExit:
            return None  # nobody waits for it any more

    def shutdown(self, how: int) -> None:
        """What a leash does when it is pulled."""
        self.kill(block=False)

    def give_up(self) -> None:
        """Ends the asking; an answer that has come in the meantime is let go."""
        self.kill(block=False)
        if isinstance(self.value, requests.Response):
            self.value.close()


def _named(error: requests.RequestException) -> GatewayError:
    """Our name for what went wrong. What may have been read in full is not to be sent again."""
    if isinstance(error, requests.Timeout) and not isinstance(error, requests.ConnectTimeout):
        return TimedOut("the platform took too long to answer")
    inner = _innermost(error)
    if not isinstance(inner, ConnectionError):
        if isinstance(inner, HTTPException):
            return BadReply("the platform's answer is not HTTP")
        check_descriptors(error)
        return Unreachable("the platform cannot be reached")
    lost = ConnectionLost("the platform closed the connection without an answer")
    lost.verdict = "stop"
    lost.may_retry = False
    return lost


def _innermost(error: requests.RequestException) -> object:
    """What http.client or the socket raised. urllib3 blames the proxy for whatever happens after
    it, so its own names say little; but it never shows a connection that could not be made as a
    ConnectionError.
    """
    cause = error.args[0] if error.args else None
    cause = getattr(cause, "reason", cause)
    cause = getattr(cause, "original_error", cause)
    return cause.args[-1] if isinstance(cause, ProtocolError) else cause


class SlowBody:
    """The body of such a response."""

    def __init__(self, response: requests.Response, leash: Leash | None) -> None:
        headers = response.headers
        known = response.request.method == "HEAD" or response.status_code in (204, 304)
        if not known and "transfer-encoding" in headers:
            self.complete_by = "chunked"
        else:
            self.complete_by = "length" if known or "content-length" in headers else "close"
        self._response = response
        self._leash = leash
        self._pieces: Queue[bytes | Exception] = Queue(1)
        self._over = False
        self._reader = Greenlet.spawn(self._read_ahead)
        if leash is not None:
            leash.hold(self)

    def next(self, seconds: float) -> bytes | None:
        if self._over:
            return b""
        try:
            piece: bytes | Exception = self._pieces.get(timeout=seconds)
        except Empty:
            return None
        if self._leash is not None and self._leash.pulled:
            raise self._leash.end()
        if isinstance(piece, Exception):
            raise BrokenTransfer("the platform's answer ended before it was complete") from piece
        self._over = not piece
        return piece

    def shutdown(self, how: int) -> None:
        """What a leash does when it is pulled: wakes who waits. A full queue will do that by
        itself.
        """
        with contextlib.suppress(Full):
            self._pieces.put_nowait(b"")

    def close(self) -> None:
        if self._leash is not None:
            self._leash.hold(None)
        self._reader.kill()  # and wait for it: a response cannot be closed under its reader
        self._response.close()

    def _read_ahead(self) -> None:
        try:
            while piece := self._response.raw.read1(PIECE, decode_content=False):
                self._pieces.put(piece)
            self._pieces.put(b"")
        except (OSError, HTTPError) as error:
            self._pieces.put(error)
        except GreenletExit:
            return  # the body was closed
