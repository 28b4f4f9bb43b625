"""Whose a stored response is.

The vendor keeps responses by the operator's key, and whoever has the key may read all of them. So what
is stored for a licence is remembered here, and no other licence comes to it. An id is in the first
event of a stream, or in the whole answer; it is remembered before the caller hears it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from app.errors import GatewayError, NotFound
from app.upstream.answer import Answering
from app.upstream.platform import Attempt, Memory
from app.upstream.transport import Transport
from app.wire.sse import Frames

log = logging.getLogger(__name__)

KEPT_SECONDS = 30 * 86400.0  # as long as the vendor keeps a response
MOST_SEEN = 1 << 20  # bytes of a stream in which its id is looked for
_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")

Post = Callable[[Transport, Attempt], Answering]


class Stored:
    """What the platform has stored, by licence. `open` is the opening of a chat that may store more."""

    def __init__(self, memory: Memory, post: Post) -> None:
        self._memory = memory
        self._post = post

    def open(self, transport: Transport, attempt: Attempt) -> Answering:
        if not attempt.repeated:  # the token is the caller's own, and the platform judges by it
            return self._post(transport, attempt)
        asked = _read(attempt.payload)
        self._check_previous(attempt.caller, asked)
        answer = self._post(transport, attempt)
        if asked.get("store") is False or not 200 <= answer.status < 300:
            return answer
        return Heard(answer, lambda name: self._keep(attempt.caller, name))

    def check(self, owner: str, name: str | None, body: bytes | None) -> None:
        """Raises `NotFound` where `name`, or what the body goes on with, is not the licence's."""
        if name is not None and not self._is_of(owner, name):
            raise NotFound("there is no response {id} here", id=name[:100])
        if body:
            self._check_previous(owner, _read(body))

    def _check_previous(self, owner: str, asked: Mapping[str, Any]) -> None:
        name = asked.get("previous_response_id")
        if isinstance(name, str) and name and not self._is_of(owner, name):
            raise NotFound(
                "there is no response {id} here", param="previous_response_id", id=name[:100]
            )

    def _is_of(self, owner: str, name: str) -> bool:
        return bool(_ID.fullmatch(name)) and self._memory.find(owner, name) is not None

    def _keep(self, owner: str, name: str) -> None:
        try:
            self._memory.keep(owner, name, "", KEPT_SECONDS, durable=False)
        except GatewayError as error:  # the answer is there; only nobody comes back to it
            log.warning("a stored response cannot be remembered: %s", error)


class Heard:
    """An answer on its way, whose id is told to `found` before anybody reads it."""

    def __init__(self, answer: Answering, found: Callable[[str], None]) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.close = answer.close
        self.next: Callable[[float], bytes | None] = self._listen
        self._answer = answer
        self._found = found
        self._frames: Frames | None = Frames()
        self._left = MOST_SEEN

    def read(self, limit: int, seconds: float) -> bytes:
        body = self._answer.read(limit, seconds)
        self._tell(_read(body))
        return body

    def _listen(self, seconds: float) -> bytes | None:
        data = self._answer.next(seconds)
        if data and self._frames is not None:
            self._left -= len(data)
            for _, payload in self._frames.feed(data):
                if self._tell(_read(payload).get("response")):
                    break
            else:
                if self._left > 0:
                    return data
            self._frames, self.next = None, self._answer.next
        return data

    def _tell(self, response: Any) -> bool:
        name = response.get("id") if isinstance(response, dict) else None
        if not isinstance(name, str) or not _ID.fullmatch(name):
            return False
        self._found(name)
        return True


def _read(data: bytes) -> dict[str, Any]:
    """An object; an empty one where it is something else."""
    try:
        found = orjson.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
