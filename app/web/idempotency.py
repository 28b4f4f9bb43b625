"""`Idempotency-Key`: one decorator for the routes that cost something. A call that is repeated under
its key is told what the first was told, byte for byte, and nothing is asked of a platform.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from tempfile import SpooledTemporaryFile
from typing import Any

import orjson
from flask import Response, current_app, g, request
from werkzeug.http import parse_options_header

from app.errors import BadRequest, GatewayError, NoPicture, RequestRefused, Verbatim
from app.services.idempotency import Claim, Replay
from app.storage.idempotency import Answer
from app.web.gateway import Gateway, gateway
from app.web.intake import body_pieces

HEADER = "Idempotency-Key"
MOST_CHARACTERS = 255
MOST_BYTES = 4 << 20  # of an answer that is kept
IN_MEMORY = 1 << 20  # bytes of a body that is read before its view reads it
REPLAYED, ORIGINAL = "x-tokens-replayed", "x-tokens-original-request"
MEANT = (  # beginnings of the headers that belong to an answer, and not to the moment it was given
    "cache-control",
    "content-type",
    "openai-",
    "request-id",
    "x-accel-buffering",
    "x-should-retry",
    "x-tokens-",
)
# What a platform refuses for another reason than what was asked: the credential, the hour.
PASSING = frozenset({401, 402, 403, 407, 408, 409, 425, 429})

_PLACE = "HTTP_IDEMPOTENCY_KEY"
_KEY = re.compile(rf"[\x20-\x7e]{{1,{MOST_CHARACTERS}}}")

View = Callable[..., Response]


def once_per_key(view: View) -> View:
    """Runs the view once for each key of a licence. Goes below `require_access`."""

    @wraps(view)
    def once(*args: Any, **kwargs: Any) -> Response:
        if _PLACE not in request.environ:
            return view(*args, **kwargs)
        hub, key = gateway(), _key(request.environ[_PLACE])
        with _read(hub) as asked:
            found = hub.idempotency.begin(g.caller.name, key, asked, g.request_id)
            if isinstance(found, Replay):
                return _replayed(found)
            return _run(found, lambda: view(*args, **kwargs))

    return once


def _key(given: str) -> str:
    if not _KEY.fullmatch(given):
        raise BadRequest(
            "{field} must be 1 to {most} printable characters of ASCII",
            param=HEADER,
            field=HEADER,
            most=MOST_CHARACTERS,
        )
    return given


# ---------------------------------------------------------------- what is asked


@contextmanager
def _read(hub: Gateway) -> Iterator[bytes]:
    """A digest of all that is asked. The body is there for the view to read it again."""
    query = sorted(one for one in request.args.items(multi=True) if one[0] != "key")
    digest = hashlib.sha256(orjson.dumps([request.path, query]))
    hub.spool_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with SpooledTemporaryFile(IN_MEMORY, dir=str(hub.spool_folder)) as body:

        def pieces() -> Iterator[bytes]:
            for piece in body_pieces(request, hub.body_bytes):
                body.write(piece)
                yield piece

        for piece in without(_boundary(), pieces()):
            digest.update(piece)
        body.seek(0)
        request.environ["wsgi.input"] = body
        yield digest.digest()


def _boundary() -> bytes:
    """What stands between the fields of a form; clients make up another one for each sending."""
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind != "multipart/form-data":
        return b""
    return options.get("boundary", "").encode("latin-1", "replace")


def without(mark: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces without the mark, wherever they are cut."""
    if not mark:
        yield from pieces
        return
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(mark)
        yield from whole
        if (sure := len(held) - len(mark) + 1) > 0:  # no mark can begin in these
            yield held[:sure]
            held = held[sure:]
    yield held


# ---------------------------------------------------------------- what is answered


def _run(claim: Claim, view: Callable[[], Response]) -> Response:
    try:
        response = view()
        if "streaming" not in g:
            return _kept(claim, response)
    except BaseException as error:
        if isinstance(error, GatewayError) and _is_final(error):
            told: Any = current_app.handle_user_exception(error)
            return _kept(claim, told)
        claim.forget()
        raise
    body: Any = response.response
    response.response = Recording(claim, response, body, g.record)
    return response


def _is_final(error: GatewayError) -> bool:
    """Whether to ask again would bring the same, or has been paid for."""
    if isinstance(error, Verbatim):
        return 400 <= error.status < 500 and error.status not in PASSING
    return isinstance(error, (RequestRefused, NoPicture))


def _kept(claim: Claim, response: Response) -> Response:
    """The answer, which is kept before the caller hears of it."""
    if (response.content_length or 0) > MOST_BYTES:
        claim.keep(_answer(response, None))
        return response
    body: Any = response.response
    told = b"".join(response.iter_encoded())
    if hasattr(body, "close"):
        body.close()
    response.direct_passthrough = False
    response.set_data(told)
    claim.keep(_answer(response, told))
    return response


def _answer(response: Response, body: bytes | None) -> Answer:
    headers = {
        name: value for name, value in response.headers.items() if name.lower().startswith(MEANT)
    }
    return Answer(response.status_code, headers, body)


def _replayed(replay: Replay) -> Response:
    answer = replay.answer
    response = Response(answer.body, answer.status)
    response.headers.pop("Content-Type")  # Flask's idea of it
    response.headers.extend(answer.headers)
    response.headers[REPLAYED] = "true"
    response.headers[ORIGINAL] = replay.request
    g.record.update(licence=g.caller.name, replayed=replay.request)
    return response


class Recording:
    """A stream on its way to the caller, kept when it has come to a good end."""

    def __init__(self, claim: Claim, response: Response, body: Any, record: dict[str, Any]) -> None:
        self._claim = claim
        self._answer = _answer(response, None)  # its headers, before the call's own come to them
        self._body = body
        self._record = record
        self._next = iter(body).__next__
        self._pieces: list[bytes] = []
        self._room = MOST_BYTES

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            piece: bytes = self._next()
        except StopIteration:
            self._end()
            raise
        except BaseException:
            self._claim.forget()
            raise
        self._room -= len(piece)
        if self._room >= 0:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
        return piece

    def close(self) -> None:
        """Also for a caller who is gone."""
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._claim.forget()

    def _end(self) -> None:
        """Before the caller hears of the end of the transfer."""
        if self._record.get("outcome") == "ok":
            told = b"".join(self._pieces) if self._room >= 0 else None
            self._claim.keep(replace(self._answer, body=told))
        else:
            self._claim.forget()
