"""One caller's calls to Cursor: signed, bounded, read whole where they are short."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import BadReply
from app.secret import Secret
from app.upstream.answer import Answering
from app.upstream.leash import Leash
from app.upstream.platform import Attempt, Send
from app.upstream.transport import Transport

ANSWER_BYTES = 8 << 20
SECONDS = 20.0  # for a call that only asks or says something

Json = dict[str, Any]


@dataclass(slots=True)
class Told:
    """An answer that has been read; it can be read again, as an answer is."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def next(self, seconds: float) -> bytes | None:
        body, self.body = self.body, b""
        return body

    def read(self, limit: int, seconds: float) -> bytes:
        return self.body

    def close(self) -> None:
        """There is nothing left to let go of."""

    @property
    def json(self) -> Json:
        try:
            found = orjson.loads(self.body)
        except ValueError as error:
            raise BadReply("the platform sent an answer that is not JSON") from error
        if not isinstance(found, dict):
            raise BadReply("the platform sent an answer that cannot be read")
        return found

    @property
    def code(self) -> str:
        """What an error calls itself."""
        try:
            error = self.json.get("error")
        except BadReply:
            return ""
        return str(error.get("code") or "") if isinstance(error, dict) else ""


class Desk:
    """The calls of one attempt."""

    def __init__(
        self, transport: Transport, attempt: Attempt, sign: Callable[[str, Secret], Send]
    ) -> None:
        self._transport = transport
        self._sign = sign
        self.attempt = attempt

    @property
    def fingerprint(self) -> str:
        """By which the account of a credential is known again; agents belong to an account."""
        token = self.attempt.credential.token.reveal()
        return hashlib.sha256(b"cursor:" + token.encode()).hexdigest()[:16]

    @property
    def leash(self) -> Leash:
        return self.attempt.leash

    def ask(
        self, method: str, path: str, body: Json | None = None, *, seconds: float = SECONDS
    ) -> Told:
        """A short call, while the caller waits."""
        return self._read(self._open(method, path, body, self.leash, seconds), seconds)

    def tell(self, path: str) -> Told:
        """A call that is made whether or not the caller is still there."""
        return self._read(self._open("POST", path, None, None, SECONDS), SECONDS)

    def look(self, path: str) -> Told:
        """The same, to find something out."""
        return self._read(self._open("GET", path, None, None, SECONDS), SECONDS)

    def listen(self, path: str, last: str) -> Answering:
        """A stream, from after the event `last`."""
        more = {"accept": "text/event-stream"} | ({"last-event-id": last} if last else {})
        return self._open("GET", path, None, self.leash, SECONDS, more)

    def _open(
        self,
        method: str,
        path: str,
        body: Json | None,
        leash: Leash | None,
        seconds: float,
        more: Mapping[str, str] | None = None,
    ) -> Answering:
        attempt = self.attempt
        signed = self._sign(f"{attempt.base_url}/v1{path}", attempt.credential.token)
        headers = {**signed.headers, **(more or {})}
        if body is not None:
            headers["content-type"] = "application/json"
        return self._transport.open(
            method,
            signed.url,
            headers,
            None if body is None else orjson.dumps(body),
            leash=leash,
            first_byte_seconds=seconds,
            repeat_stale=attempt.repeated and method == "GET",
        )

    def _read(self, answer: Answering, seconds: float) -> Told:
        try:
            return Told(answer.status, answer.headers, answer.read(ANSWER_BYTES, seconds))
        finally:
            answer.close()
