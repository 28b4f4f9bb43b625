"""Reading a request's body: in large pieces, within limits, and as JSON that cannot mean two
things.

gunicorn reads a body in steps of a kilobyte; for a megabyte of base64 that costs more than
everything else we do, so a body of known length is received straight from the connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from flask import Request

from app.errors import BadRequest, TooLarge, WrongMedia
from app.turn import give_way, give_way_over
from app.wire.names import given_twice

DEEPEST = 64
SMALL = 65536  # bytes; below this, looking at every byte costs next to nothing
# No model reads a text with so many commas, and what is not text is read in a fifth of a second.
MOST_VALUES = 3 << 18
_PIECE = 1 << 20
_SLICE = 1 << 16
_STEP = 1 << 18  # of a body that is not kept
_FEW = 1000  # values, as in a chat with pictures
_MANY = 8192  # values that are looked at in a few milliseconds


def read_json(request: Request, most_bytes: int) -> tuple[bytes, dict[str, Any]]:
    """The body's bytes, and the object they hold. Any content type will do: clients leave it out
    (C-082).
    """
    raw = read_body(request, most_bytes)
    return raw, parse(raw)


def parse(raw: bytes) -> dict[str, Any]:
    give_way_over(raw)
    if len(raw) > SMALL and _values(raw) > MOST_VALUES:
        raise TooLarge("the body has more than {most} values", most=MOST_VALUES)
    give_way_over(raw)
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest("the body is not valid JSON: {why}", why=str(error)) from error
    give_way_over(raw)
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    if len(raw) <= SMALL and (twice := given_twice(raw)):
        raise BadRequest("{field} is given twice", param=twice, field=twice)
    if len(raw) > SMALL or raw.count(b"{") + raw.count(b"[") > DEEPEST:
        _check_depth(body)
    return body


def read_body(request: Request, most_bytes: int) -> bytes:
    environ = request.environ
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding not in ("", "identity"):
        raise WrongMedia("a body with content coding {coding} is not read here", coding=coding[:40])
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdecimal():
        return _read_chunked(environ["wsgi.input"], most_bytes)
    if int(length) > most_bytes:
        raise _too_large(most_bytes)
    return _read_known(environ, int(length))


def body_pieces(request: Request, most_bytes: int) -> Iterator[bytes]:
    """The body a piece at a time, for those who put it elsewhere than in memory."""
    environ = request.environ
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if coding not in ("", "identity"):
        raise WrongMedia("a body with content coding {coding} is not read here", coding=coding[:40])
    length = environ.get("CONTENT_LENGTH") or ""
    known = int(length) if length.isdecimal() else None
    if known is not None and known > most_bytes:
        raise _too_large(most_bytes)
    have = 0
    for piece in _pieces(environ["wsgi.input"], environ.get("gunicorn.socket"), known):
        have += len(piece)
        if have > most_bytes:
            raise _too_large(most_bytes)
        yield piece
        give_way()  # a caller that is always ahead of us must not keep the hub to itself
    if known is not None and have < known:
        raise BadRequest("the body is shorter than its declared length")


def _pieces(stream: Any, sock: Any, known: int | None) -> Iterator[bytes]:
    reader: Any = getattr(stream, "reader", None)
    unreader = _unreader(reader, sock, known)
    if known is None or unreader is None:
        left = known if known is not None else _SLICE
        while piece := stream.read(min(_SLICE, left)):
            left -= 0 if known is None else len(piece)
            yield piece
        return
    piece = unreader.take_buffered()
    while known:
        if len(piece) > known:
            unreader.unread(piece[known:])
            piece = piece[:known]
        known -= len(piece)
        reader.length = known  # what gunicorn has still to look for, should we stop here
        if piece:
            yield bytes(piece)
        if not known or not (piece := sock.recv(min(_STEP, known))):
            return


def _unreader(reader: Any, sock: Any, length: int | None) -> Any:
    """Where gunicorn keeps what it has received too early; None where it has to read the body itself."""
    if sock is None or length is None or getattr(reader, "length", -1) != length:
        return None
    return getattr(reader, "unreader", None)


def _read_known(environ: Mapping[str, Any], length: int) -> bytes:
    stream = environ["wsgi.input"]
    sock = environ.get("gunicorn.socket")
    reader: Any = getattr(stream, "reader", None)
    unreader = _unreader(reader, sock, length)
    if length < 16384 or unreader is None:
        body: bytes = stream.read(length)
    else:
        body = _receive(sock, unreader, length)
        reader.length = 0  # so that gunicorn does not look for the body once more
    if len(body) < length:
        raise BadRequest("the body is shorter than its declared length")
    return body


def _receive(sock: Any, unreader: Any, length: int) -> bytes:
    """What gunicorn has already received of the body, then the rest straight from the
    connection.
    """
    start = unreader.take_buffered()
    if len(start) > length:
        unreader.unread(start[length:])
        return bytes(start[:length])
    body = bytearray(length)
    body[: len(start)] = start
    view, have = memoryview(body), len(start)
    while have < length:
        got = sock.recv_into(view[have : have + _PIECE])
        if not got:
            break
        have += got
        give_way()  # as in `body_pieces`
    view.release()
    return bytes(body if have == length else body[:have])


def _read_chunked(stream: Any, most_bytes: int) -> bytes:
    pieces, have = [], 0
    while piece := stream.read(65536):
        have += len(piece)
        if have > most_bytes:
            raise _too_large(most_bytes)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge("the body is larger than {most} MB", most=most_bytes >> 20)


def _values(raw: bytes) -> int:
    """How many there are at most. To search passes over what has none far more quickly than to count."""
    found = 0
    for sign in (b",", b"{", b"["):
        at = raw.find(sign)
        while at >= 0 and found < _FEW:
            found += 1
            at = raw.find(sign, at + 1)
        if at >= 0:
            found += raw.count(sign, at)
    return found


def _check_depth(body: Any) -> None:
    level, depth = [body], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise BadRequest("the body is nested more than {most} levels deep", most=DEEPEST)
        below: list[Any] = []
        for place, one in enumerate(level, 1):
            values = one.values() if isinstance(one, dict) else one
            below += [child for child in values if isinstance(child, (dict, list))]
            if not place % _MANY:
                give_way()
        level = below
