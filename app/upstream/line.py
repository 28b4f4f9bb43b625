"""One connection to a platform: made within a time limit, looked at before it serves again, cut
from outside.

Names are resolved off the hub. The limit covers the name, every address it has, and the handshake,
so that an address that swallows packets costs no more than any other. A leash can be pulled from
the first moment: while there is no socket to shut down yet, it throws into the greenlet that waits
for one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gevent
from gevent import get_hub, getcurrent, socket, ssl
from gevent.monkey import get_original

from app.descriptors import check_descriptors
from app.errors import Unreachable
from app.upstream.leash import Leash

Key = tuple[str, str, int]

_SOMETHING = 0x01 | 0x08 | 0x10  # can be read, has failed, is closed
_poll = get_original(
    "select", "poll"
)  # gevent's own would switch greenlets for a look that never waits


@dataclass(slots=True)
class Line:
    """A connection, and when it was last of use."""

    key: Key
    sock: Any
    since: float = 0.0

    def is_alive(self) -> bool:
        """Nothing to read: a server that closed, or spoke out of turn, leaves something."""
        poll = _poll()
        poll.register(self.sock.fileno(), _SOMETHING)
        return not poll.poll(0)

    def close(self) -> None:
        self.sock.close()


def connect(key: Key, seconds: float, tls: Any, leash: Leash | None) -> Line:
    """A fresh line; `tls` is the context to speak TLS with, or None."""
    waiting = _Waiting(leash)
    if leash is not None:
        leash.hold(waiting)
    limit = gevent.Timeout.start_new(seconds)
    try:
        return _secured(key, _reached(key[1], key[2], seconds), tls)
    except gevent.Timeout as error:
        if error is not limit:
            raise
        raise Unreachable("the platform cannot be reached") from error
    except ssl.SSLCertVerificationError as error:
        raise Unreachable("the platform's certificate is not valid") from error
    except (OSError, UnicodeError) as error:  # the latter for names that cannot be one
        check_descriptors(error)
        raise Unreachable("the platform cannot be reached") from error
    finally:
        limit.close()
        waiting.over()


def _reached(host: str, port: int, seconds: float) -> Any:
    """A socket connected to the first address that answers; each may take its share of the time."""
    end = time.monotonic() + seconds
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    trouble: OSError | None = None
    for left, (family, kind, proto, _, address) in zip(range(len(found), 0, -1), found):
        try:
            share = max((end - time.monotonic()) / left, 0.01)
            return _connected(socket.socket(family, kind, proto), address, share)
        except OSError as error:
            trouble = error
    raise trouble or OSError("the name has no address")


def _connected(sock: Any, address: Any, seconds: float) -> Any:
    try:
        sock.settimeout(seconds)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    except BaseException:
        sock.close()
        raise


def _secured(key: Key, sock: Any, tls: Any) -> Line:
    if tls is None:
        return Line(key, sock)
    try:
        sock = tls.wrap_socket(sock, server_hostname=key[1], do_handshake_on_connect=False)
        sock.settimeout(None)  # the limit on the whole is in force
        sock.do_handshake()
    except BaseException:
        sock.close()
        raise
    return Line(key, sock)


class _Waiting:
    """Ends whatever the greenlet that made it is waiting for, until it is `over`."""

    __slots__ = ("_greenlet", "_leash", "_callback")

    def __init__(self, leash: Leash | None) -> None:
        self._greenlet = getcurrent()
        self._leash = leash
        self._callback: Any = None

    def shutdown(self, how: int) -> None:
        if self._callback is None and self._leash is not None:
            ended = self._leash.end()
            self._callback = get_hub().loop.run_callback(self._greenlet.throw, ended)

    def over(self) -> None:
        if self._callback is not None:
            self._callback.stop()
