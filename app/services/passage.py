"""Native routes that are passed on as they are: counting tokens, stored responses and their like.

One request, one answer, both untouched but for the credential. Nothing is retried: these calls are
cheap for the caller to repeat, and some of them change something.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from app.access.caller import Caller
from app.clock import Clock
from app.errors import UpstreamError
from app.services.chat import ERROR_BYTES, PASSED_HEADERS, Relayed
from app.services.sources import Sources
from app.upstream.platform import Platform
from app.upstream.refusals import refusal
from app.upstream.transport import Answer, Leash, Transport


class Passage:
    """Passes a call on to the path of the same name at the platform."""

    def __init__(
        self,
        transport: Transport,
        sources: Sources,
        base_urls: Mapping[str, str],
        clock: Clock,
        seconds: float,
        answer_bytes: int,
    ) -> None:
        self._transport = transport
        self._sources = sources
        self._base_urls = base_urls
        self._clock = clock
        self._seconds = seconds
        self._answer_bytes = answer_bytes

    def serve(
        self,
        platform: Platform,
        caller: Caller,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        leash: Leash,
    ) -> Relayed:
        """`path` is below the platform's base address, with its query. A credential that is refused
        gives way to the next.
        """
        if ".." in urlsplit(path).path.split("/"):
            raise ValueError("a path of ours never climbs")
        source = self._sources.for_call(caller, platform.name, 100)
        last: UpstreamError | None = None
        for lent in source.candidates():
            credential = lent.credential
            base_url = credential.base_url or self._base_urls[platform.name]
            send = platform.chat.follow(base_url + path, credential.token)
            answer = self._transport.through(credential.proxy.reveal()).open(
                method,
                send.url,
                {**headers, **send.headers},
                body,
                leash=leash,
                first_byte_seconds=self._seconds,
                repeat_stale=caller.brought is None,
            )
            try:
                relayed = self._relayed(answer)
            finally:
                lent.give_back()
            if relayed.status not in (401, 403) or source.only_once:
                lent.accepted()
                return relayed
            assert isinstance(relayed.body, bytes)
            trouble = platform.chat.dialect.read_error(relayed.status, None)
            error = refusal(relayed.status, {}, trouble, model="", now=self._clock.now())
            assert isinstance(error, UpstreamError)
            lent.failed(error)
            last = error
        raise source.ended(last)

    def _relayed(self, answer: Answer) -> Relayed:
        good = 200 <= answer.status < 300
        try:
            body = answer.read(self._answer_bytes if good else ERROR_BYTES, self._seconds)
        finally:
            answer.close()
        kind = answer.headers.get("content-type", "application/json" if good else "")
        found = answer.headers.items()
        passed = {name: value for name, value in found if name.startswith(PASSED_HEADERS)}
        return Relayed(answer.status, kind, passed, body)
