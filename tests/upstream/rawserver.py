"""A server that does to the byte what a test tells it, and remembers what it saw.

Each connection follows the next script in line; the last script serves every connection that comes
after. A script is a function of a `Peer`. Scripts wait for events, never for time. Real threads and
real sockets: the transport lives on the gevent hub of the test's own thread, so a test that waits
for the server has to let the hub run, which `until` does.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent

PATIENCE = 5.0

Script = Callable[["Peer"], None]


def until(look: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first truthy thing that `look` finds; what it found last, once the time is up."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        gevent.sleep(0.002)
    return found


class Request:
    """What arrived: head and body, as they were."""

    def __init__(self, head: bytes, body: bytes) -> None:
        self.line, *lines = head.decode("latin-1").split("\r\n")
        self.pairs = [tuple(line.split(": ", 1)) for line in lines]
        self.headers = {name.lower(): value for name, value in self.pairs}
        self.raw = head
        self.body = body


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: RawServer, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.sent = 0
        self._spare = b""

    def request(self) -> Request | None:
        """The next request in full; None when the client has closed."""
        while b"\r\n\r\n" not in self._spare:
            if not (data := self.sock.recv(65536)):
                return None
            self._spare += data
        head, _, rest = self._spare.partition(b"\r\n\r\n")
        length = int(Request(head, b"").headers.get("content-length", "0"))
        while len(rest) < length:
            if not (data := self.sock.recv(1 << 20)):
                return None
            rest += data
        self._spare = rest[length:]
        found = Request(head, rest[:length])
        self.server.requests.append(found)
        return found

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.sock.sendall(piece)
            self.sent += len(piece)

    def wait_for_close(self) -> None:
        """Until the client has closed; then `server.closed` is one more."""
        self.sock.settimeout(PATIENCE)
        with contextlib.suppress(ConnectionError):
            while self.sock.recv(65536):
                pass
        self.server.closed += 1

    def reset(self) -> None:
        """Ends the connection with a reset instead of a farewell."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hang_up(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)


class RawServer:
    """One thread per connection."""

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests: list[Request] = []
        self.connections = 0
        self.closed = 0
        self.go = threading.Event()  # for scripts that wait to be told
        self.troubles: list[BaseException] = []
        self._context = context
        self._threads: list[threading.Thread] = []
        self._socks: list[socket.socket] = []
        self._over = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._run(self._accept)

    @property
    def url(self) -> str:
        scheme = "https" if self._context else "http"
        return f"{scheme}://localhost:{self.port}/v1/chat"

    def stop(self) -> None:
        self._over = True
        self.go.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            self._run(self._serve, sock, script)

    def _serve(self, sock: socket.socket, script: Script) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socks.append(sock)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            with sock:
                script(Peer(self, sock))
        except OSError as error:
            if not self._over:
                self.troubles.append(error)


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """An address that swallows whoever connects: a listener whose queue is full and that never
    accepts (R-037).
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


# ---------------------------------------------------------------- scripts


def answers(*pieces: bytes) -> Script:
    """Sends the pieces after every request, and keeps the connection."""

    def script(peer: Peer) -> None:
        while peer.request() is not None:
            peer.send(*pieces)
        peer.server.closed += 1

    return script


def answers_once(*pieces: bytes) -> Script:
    """Sends the pieces after one request and closes."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*pieces)
        peer.hang_up()
        peer.wait_for_close()

    return script


def resets_after(*pieces: bytes) -> Script:
    """Reads a request in full, sends the pieces, waits to be told and resets."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*pieces)
        if pieces:
            peer.server.go.wait(PATIENCE)
        peer.reset()

    return script


def is_silent_after(*pieces: bytes) -> Script:
    """Sends the pieces after a request and then nothing, until the client has had enough."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(*pieces)
        peer.wait_for_close()

    return script


# ---------------------------------------------------------------- answers


def ok(body: bytes = b"", *headers: str) -> bytes:
    """A whole answer of known length."""
    return head(f"Content-Length: {len(body)}", *headers) + body


def head(*headers: str, status: str = "200 OK", version: str = "1.1") -> bytes:
    lines = [f"HTTP/{version} {status}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


CHUNKED = head("Transfer-Encoding: chunked")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST = b"0\r\n\r\n"
