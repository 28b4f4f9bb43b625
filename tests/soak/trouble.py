"""The simulators, behind a door at which some answers come to grief.

What is done to an answer stands in its prompt, beside what the simulators read there: `trouble:
number=17 at=0.4 end=reset`. Without such words a platform answers as ever. Of an answer with a number
there are lines in the notes: when it was asked for, whether what went out had in it what clients take
for the end, and when the other side closed the connection before.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import wait_read

from app.simulators import SIMULATORS
from app.simulators.serving import PREFIXES, steerable
from app.simulators.simulator import Hangup
from tests.stack import AccessLog, Simulators

ENDS = (
    "close",
    "reset",
    "clean",  # of the transfer, as if the answer were whole
    "hold",  # nothing more comes, until the gateway has had enough
)
FRAMES = ("chunked", "length", "close")
SOCKET = "tests.socket"
MEGABYTE = 1 << 20

_WORDS = re.compile(rb"trouble: ((?:[a-z]+=[a-z0-9.]+ ?)+)")
_WORD = re.compile(rb"word\d+")
_MARKS = {  # what has nothing but formalities behind it in a stream, by what is in the path
    "/chat/completions": rb'"finish_reason":\s*"[^\r\n]*[\r\n]',
    "/responses": rb'"type":\s*"response\.completed"[^\r\n]*[\r\n]',
    "/messages": rb'"stop_reason":\s*"[^\r\n]*[\r\n]',
    "enerateContent": rb'"finishReason":\s*"',
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is done to one answer. `at` is how much of it gets out, `swell` how often each of its words is
    said, `huge` megabytes of nothing in it.
    """

    number: int
    at: float = 1.0
    end: str = ""
    frame: str = "chunked"
    pack: str = ""
    pace: float = 0.0
    huge: int = 0
    swell: int = 1

    def __str__(self) -> str:
        """As it stands in a prompt."""
        given = {name: value for name, value in asdict(self).items() if value not in ("", 0)}
        words = (f"{value:.6f}" if isinstance(value, float) else value for value in given.values())
        return "trouble: " + " ".join(f"{name}={word}" for name, word in zip(given, words))


_KINDS = {one.name: type(one.default) for one in fields(Trouble)} | {"number": int}


def told(body: bytes) -> Trouble | None:
    """The trouble that the prompt asks for."""
    found = _WORDS.search(body)
    if found is None:
        return None
    pairs = [word.split("=") for word in found[1].decode().split()]
    return Trouble(**{name: _KINDS[name](value) for name, value in pairs})


def much(number: int) -> Trouble:
    """More than anybody keeps for a caller who does not read: 15 MB where 600 words are asked for."""
    return Trouble(number, at=0.9, end="hold", swell=4000)


class TroubledSimulators(Simulators):
    """All simulators in one process, with trouble at the door."""

    def __init__(self, folder: Path) -> None:
        notes = folder / "notes"
        notes.touch()
        self._notes, self._lock = AccessLog(notes), threading.Lock()
        super().__init__("tests.soak.trouble", str(notes))

    def notes(self) -> dict[int, list[dict[str, Any]]]:
        """What was written down, by the numbers of the troubles."""
        found: dict[int, list[dict[str, Any]]] = {}
        with self._lock:
            lines = self._notes.lines()
        for line in lines:
            found.setdefault(line["request"], []).append(line)
        return found


# ---------------------------------------------------------------- the other process


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
            pieces = [_WORD.sub(lambda word: word[0] * trouble.swell, one) for one in pieces]
        if trouble.huge:
            padding = (b"x" if is_stream else b" ") * trouble.huge * MEGABYTE
            pieces.insert(0, b": " + padding + b"\n\n" if is_stream else padding)
        spoilt = Spoilt(trouble, head, pieces)
        mark = next((mark for part, mark in _MARKS.items() if part in environ["PATH_INFO"]), b"$.")
        complete = spoilt.payload == b"".join(pieces)
        if is_stream or b"[" == pieces[0][:1]:
            complete = re.search(mark, spoilt.payload) is not None
        self._note(trouble, asked=time.monotonic(), complete=complete)
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
    """An answer as it goes out: `out` are its pieces, `payload` what whoever reads them gets."""

    def __init__(self, trouble: Trouble, head: bytes, pieces: list[bytes]) -> None:
        self._trouble = trouble
        packed = _packed(trouble.pack, pieces)
        if trouble.end == "clean":
            packed = _first(packed, trouble.at)
        head += f"content-encoding: {trouble.pack}\r\n".encode() if trouble.pack else b""
        wire = [head + _framing(trouble.frame, packed), *_framed(trouble.frame, packed)]
        self.out = wire if trouble.end == "clean" else _first(wire, trouble.at)
        body = b"".join(self.out).partition(b"\r\n\r\n")[2]
        got = _unframed(body) if trouble.frame == "chunked" else body
        self.payload = _unpacked(trouble.pack, got)

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
    match frame:
        case "chunked":
            return b"transfer-encoding: chunked\r\n\r\n"
        case "length":
            return b"content-length: %d\r\n\r\n" % sum(map(len, pieces))
        case _:
            return b"connection: close\r\n\r\n"


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
