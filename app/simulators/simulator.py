"""What every simulated upstream does the same way: credentials, the journal, mishaps, writing.

A subclass says who is calling, what the prompt is, how it refuses and how it answers; it never
sees a mishap. Order of a request: journal, credential, mishap, answer. Credentials are taken at
their word, except that the ending of one decides its fate: `-revoked`, `-throttled`, `-broke`.

Two facts about writing. A connection is cut by raising a connection reset from the body's
iterator: gevent's server then closes the socket without the final chunk and logs nothing. Headers
are pushed out by an empty write before the first byte, so that silence is silence after headers.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any

import gevent

from app.simulators.directives import setting
from app.simulators.exchange import Call, Environ, Reply, Stream, read_call
from app.simulators.jobs import Clock
from app.simulators.journal import Entry, Journal
from app.simulators.mishaps import Mishap, Mishaps

EPOCH = 1_795_000_000  # every simulated upstream began on the same second, so that replies repeat
THROTTLED_SECONDS = 7
LONGEST_WAIT = 600.0

FATES = {"-revoked": "refuse", "-throttled": "throttle", "-broke": "broke"}
REFUSALS = frozenset({"throttle", "refuse", "forbid", "overload", "fail"})

EDGE_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>edge</center>\r\n</body>\r\n</html>"
)

StartResponse = Callable[..., Any]


class Hangup(ConnectionResetError):
    """Breaks a transfer off."""

    def __init__(self) -> None:
        super().__init__(errno.ECONNRESET, "the simulator hung up on purpose")


class Simulator:
    """A WSGI application that behaves like one vendor's API."""

    name = ""

    def __init__(self) -> None:
        self.journal = Journal()
        self.mishaps = Mishaps()
        self.clock = Clock()
        self.hangups = 0  # streams whose reader left before the end
        self._minted = itertools.count(1)

    # What a subclass says.

    def answer(self, call: Call) -> Reply:
        """Routes, validates and speaks. The credential has been looked at already."""
        raise NotImplementedError

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        """The vendor's words for: keyless, refuse, forbid, throttle, broke, overload, fail."""
        raise NotImplementedError

    def credential(self, call: Call) -> str:
        """The key the call is signed with, empty when there is none."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def prompt(self, call: Call) -> str:
        """The last thing the user said, where directives are looked for."""
        return ""

    def mishap(self, call: Call, prompt: str) -> Mishap | None:
        """What goes wrong with this call."""
        return self.mishaps.take(prompt)

    # What it gets.

    def mint(self, prefix: str, length: int = 24) -> str:
        """A fresh id. The n-th id of a simulator is the same in every run."""
        seed = f"{self.name}:{next(self._minted)}".encode()
        return prefix + hashlib.sha256(seed).hexdigest()[:length]

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        call = read_call(environ)
        self.journal.note(
            Entry(call.method, call.path, call.query, dict(call.headers), call.body())
        )
        prompt = self.prompt(call)
        kind = _fate(self.credential(call))
        if kind:
            mishap: Mishap | None = None
            reply = self.refusal(call, kind, _sentence(kind))
        else:
            mishap = self.mishap(call, prompt)
            reply = self._answer_or_not(call, mishap)
        return self._send(reply, mishap, setting(prompt, "pace", 0.0), start_response)

    def _answer_or_not(self, call: Call, mishap: Mishap | None) -> Reply:
        if mishap is None:
            return self.answer(call)
        if mishap.kind in REFUSALS:
            return self.refusal(call, mishap.kind, mishap)
        if mishap.kind == "html":
            return Reply(mishap.status or 502, EDGE_PAGE, content_type="text/html")
        if mishap.kind == "slow":
            wait(mishap.seconds)
        reply = self.answer(call)
        if reply.status >= 400:
            return reply
        if mishap.kind == "empty":
            return Reply(reply.status, b"", reply.headers, reply.content_type)
        if mishap.kind == "error" and not isinstance(reply.body, Stream):
            return self.refusal(call, "fail", mishap)
        return reply

    def _send(
        self, reply: Reply, mishap: Mishap | None, pace: float, start_response: StartResponse
    ) -> Iterable[bytes]:
        headers = [("content-type", reply.content_type), *reply.headers.items()]
        if isinstance(reply.body, Stream):
            pieces = _play(reply.body, mishap, pace)
        else:
            size, pieces = _parcel(reply.body, mishap if reply.status < 400 else None)
            headers.append(("content-length", str(size)))
        status = f"{reply.status} {_phrase(reply.status)}"
        start_response(status, headers)(b"")
        return self._watched(pieces)

    def _watched(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except GeneratorExit:
            self.hangups += 1
            raise


def wait(seconds: float) -> None:
    """Lets other requests run for so long; never longer than ten minutes."""
    gevent.sleep(max(0.0, min(seconds, LONGEST_WAIT)))


def _fate(credential: str) -> str:
    if not credential:
        return "keyless"
    return next((fate for ending, fate in FATES.items() if credential.endswith(ending)), "")


def _sentence(kind: str) -> Mishap:
    return Mishap(kind if kind in REFUSALS else "refuse", seconds=THROTTLED_SECONDS)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "Unknown"


def _parcel(body: bytes, mishap: Mishap | None) -> tuple[int, Iterator[bytes]]:
    """A body that is not a stream: its announced length and what really comes."""
    kind = mishap.kind if mishap else ""
    half = body[: len(body) // 2]
    if kind in ("garble", "truncate"):
        return len(half), iter([half])
    return len(body), _halves(body, half, mishap)


def _halves(body: bytes, half: bytes, mishap: Mishap | None) -> Iterator[bytes]:
    kind = mishap.kind if mishap else ""
    if mishap and kind == "silence":
        wait(mishap.seconds)
        raise Hangup
    if not (mishap and kind in ("cut", "stall")):
        yield body
        return
    yield half
    if kind == "cut":
        raise Hangup
    wait(mishap.seconds)
    yield body[len(half) :]


def _play(stream: Stream, mishap: Mishap | None, pace: float) -> Iterator[bytes]:
    if mishap and mishap.kind == "silence":
        wait(mishap.seconds)
        raise Hangup
    pending, sent = mishap, 0
    for number, frame in enumerate(stream.frames):
        due = pending is not None and (frame.last or (frame.content and sent >= pending.after))
        if pending is not None and due and not (_only_the_end(pending) and not frame.last):
            yield from _strike(stream, pending, number)
            if pending.kind in ("error", "truncate"):
                return
            pending = None
        if frame.content:
            sent += 1
            if pace:
                wait(pace)
        yield frame.data


def _only_the_end(mishap: Mishap) -> bool:
    """`truncate` without a number lets all of the content through."""
    return mishap.kind == "truncate" and not mishap.after


def _strike(stream: Stream, mishap: Mishap, number: int) -> Iterator[bytes]:
    if mishap.kind == "cut":
        raise Hangup
    if mishap.kind == "stall":
        wait(mishap.seconds)
    elif mishap.kind == "garble":
        yield stream.garbage
    elif mishap.kind == "error":
        yield from stream.error(number) if callable(stream.error) else stream.error
