"""The process of the troubled simulators: `python -m tests.soak.door NOTES`."""

from __future__ import annotations

import gzip
import io
import json
import re
import signal
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import wait_read

from app.simulators import SIMULATORS
from app.simulators.serving import PREFIXES, steerable
from app.simulators.simulator import Hangup
from tests.memory import MEGABYTE
from tests.soak.trouble import Trouble, told

SOCKET = "tests.socket"
_WORD = re.compile(rb"word\d+")
_MARKS = {  # what has nothing but formalities behind it in a stream, by what is in the path
    "/chat/completions": rb'"finish_reason":\s*"[^\r\n]*[\r\n]',
    "/responses": rb'"type":\s*"response\.completed"[^\r\n]*[\r\n]',
    "/messages": rb'"stop_reason":\s*"[^\r\n]*[\r\n]',
    "enerateContent": rb'"finishReason":\s*"',
}


class Door:
    """One platform's door."""

    def __init__(self, application: Callable[..., Any], notes: TextIO) -> None:
        self._application, self._notes = application, notes

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        chunked = bool(environ.get("wsgi.input_terminated"))
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        trouble = told(body)
        if trouble is None:
            return self._application(environ, start)  # type: ignore[no-any-return]
        if not trouble.end:
            return self._watched(trouble, environ, start)
        self._spoil(trouble, environ)
        raise Hangup

    def _note(self, trouble: Trouble, **what: Any) -> None:
        self._notes.write(json.dumps({"request": trouble.number, **what}) + "\n")
        self._notes.flush()

    def _watched(
        self, trouble: Trouble, environ: dict[str, Any], start: Callable[..., Any]
    ) -> Iterator[bytes]:
        self._note(trouble, asked=time.monotonic())
        watch = gevent.spawn(self._watch, trouble, environ[SOCKET])
        whole = False
        try:
            yield from self._application(environ, start)
            whole = True
        finally:
            noted = watch.ready()
            watch.kill()
            if not whole and not noted:
                self._note(trouble, closed=time.monotonic())

    def _watch(self, trouble: Trouble, sock: Any) -> None:
        """Notes when the other side closes."""
        if _left(sock):
            self._note(trouble, closed=time.monotonic())

    def _spoil(self, trouble: Trouble, environ: dict[str, Any]) -> None:
        head, pieces = self._played(environ)
        is_stream = b"text/event-stream" in head
        if trouble.swell > 1:
            pieces = [_swollen(one, trouble.swell) for one in pieces]
        if trouble.huge:
            padding = (b"x" if is_stream else b" ") * trouble.huge * MEGABYTE
            pieces.insert(0, b": " + padding + b"\n\n" if is_stream else padding)
        spoilt = Spoilt(trouble, head, pieces)
        if trouble.end == "hold":
            self._note(trouble, asked=time.monotonic())
        else:
            complete = spoilt.payload == b"".join(pieces)
            if is_stream or pieces[0].startswith(b"["):
                mark = next(mark for part, mark in _MARKS.items() if part in environ["PATH_INFO"])
                complete = re.search(mark, spoilt.payload) is not None
            self._note(trouble, complete=complete)
        if spoilt.send(environ[SOCKET]):
            self._note(trouble, closed=time.monotonic())

    def _played(self, environ: dict[str, Any]) -> tuple[bytes, list[bytes]]:
        """What the simulator says: the head without an end, and the body."""
        lines: list[str] = []

        def start(status: str, headers: list[tuple[str, str]]) -> Callable[[bytes], None]:
            lines.append(f"HTTP/1.1 {status}")
            lines.extend(f"{name}: {value}" for name, value in headers if name != "content-length")
            return lambda _: None

        pieces = [piece for piece in self._application(environ, start) if piece]
        return "".join(line + "\r\n" for line in lines).encode(), pieces or [b""]


class Spoilt:
    """An answer as it goes out, in pieces."""

    def __init__(self, trouble: Trouble, head: bytes, pieces: list[bytes]) -> None:
        self._trouble = trouble
        packed = _packed(trouble.pack, pieces)
        if trouble.end == "clean":
            packed = _first(packed, trouble.at)
        head += f"content-encoding: {trouble.pack}\r\n".encode() if trouble.pack else b""
        wire = [head + _framing(trouble.frame, packed), *_framed(trouble.frame, packed)]
        self.out = wire if trouble.end == "clean" else _first(wire, trouble.at)

    @property
    def payload(self) -> bytes:
        """What whoever reads it gets."""
        body = b"".join(self.out).partition(b"\r\n\r\n")[2]
        got = _unframed(body) if self._trouble.frame == "chunked" else body
        return _unpacked(self._trouble.pack, got)

    def send(self, sock: Any) -> bool:
        """And comes to the end that the trouble says; whether the other side has closed before."""
        try:
            for piece in self.out if self._trouble.pace else [b"".join(self.out)]:
                sock.sendall(piece)
                gevent.sleep(self._trouble.pace)
        except OSError:
            return True
        if self._trouble.end == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return self._trouble.end == "hold" and _left(sock)


def _swollen(piece: bytes, times: int) -> bytes:
    """An event with a word in it, but none that says all of them again."""
    return _WORD.sub(lambda word: word[0] * times, piece) if len(piece) < 1000 else piece


def _left(sock: Any) -> bool:
    """Waits for a word from the other side; whether it has closed instead."""
    try:
        wait_read(sock.fileno())
        return not sock.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def _first(pieces: list[bytes], part: float) -> list[bytes]:
    """So much of them, to the byte."""
    left, found = int(sum(map(len, pieces)) * part), []
    for piece in pieces:
        found.append(piece[:left])
        left -= len(found[-1])
    return [piece for piece in found if piece]


def _framing(frame: str, pieces: list[bytes]) -> bytes:
    """The end of the head; no connection is used again."""
    lines = {
        "chunked": b"transfer-encoding: chunked\r\n",
        "length": b"content-length: %d\r\n" % sum(map(len, pieces)),
        "close": b"",
    }
    return lines[frame] + b"connection: close\r\n\r\n"


def _framed(frame: str, pieces: list[bytes]) -> list[bytes]:
    if frame != "chunked":
        return pieces
    return [*(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces if one), b"0\r\n\r\n"]


def _unframed(body: bytes) -> bytes:
    found, at = [], 0
    while (end := body.find(b"\r\n", at)) > at:
        size = int(body[at:end], 16)
        found.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(found)


def _packed(pack: str, pieces: list[bytes]) -> list[bytes]:
    if not pack:
        return pieces
    if pack == "gzip" and len(pieces) == 1:
        return [gzip.compress(pieces[0])]
    packer = zlib.compressobj(wbits=31 if pack == "gzip" else 15)
    found = [packer.compress(one) + packer.flush(zlib.Z_SYNC_FLUSH) for one in pieces]
    return [*found, packer.flush()]


def _unpacked(pack: str, got: bytes) -> bytes:
    return zlib.decompressobj(wbits=47).decompress(got) if pack else got


class Handler(WSGIHandler):  # type: ignore[misc]
    """Shows the application the connection itself."""

    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), SOCKET: self.socket}


def main(notes: str) -> None:
    servers: dict[str, WSGIServer] = {}
    with open(notes, "a") as file:
        for name, make in SIMULATORS.items():
            door = Door(steerable(make()), file)
            servers[name] = WSGIServer(("127.0.0.1", 0), door, log=None, handler_class=Handler)
            servers[name].start()
            servers[name].socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ports = {name: server.server_port for name, server in servers.items()}
        addresses = {
            name: f"http://127.0.0.1:{port}{PREFIXES.get(name, '')}" for name, port in ports.items()
        }
        print(json.dumps(addresses), flush=True)
        ended = Event()
        gevent.signal_handler(signal.SIGTERM, ended.set)
        ended.wait()
        for server in servers.values():
            server.stop(timeout=0)


if __name__ == "__main__":
    main(sys.argv[1])
