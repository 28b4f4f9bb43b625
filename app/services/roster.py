"""The models a platform lists. Mostly they are known; some platforms have others for each account, and
are asked.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import orjson

from app.access.caller import Caller
from app.clock import Clock
from app.credential import Credential
from app.errors import BadReply, OutOfFiles, UpstreamError, Verbatim
from app.services.sources import Sources
from app.upstream.platform import Model, Platform
from app.upstream.transport import Transport

log = logging.getLogger(__name__)

BELIEVED = 600.0  # seconds
PATIENCE = 5.0  # seconds; clients do not wait long for a list
LIST_BYTES = 4 << 20


class Roster:
    """Lists models; one per worker."""

    def __init__(
        self, transport: Transport, sources: Sources, base_urls: Mapping[str, str], clock: Clock
    ) -> None:
        self._transport = transport
        self._sources = sources
        self._base_urls = base_urls
        self._clock = clock
        self._known: dict[str, tuple[float, Sequence[Model]]] = {}  # by credential, until when

    def models(self, platform: Platform, caller: Caller) -> Sequence[Model]:
        """What the platform lists for this caller; what is known of it where it cannot be asked."""
        if platform.listing is None:
            return platform.catalogue.models
        source = self._sources.for_call(caller, platform.name, 1)
        for lent in source.candidates():
            credential, now = lent.credential, self._clock.ticks()
            until, known = self._known.get(credential.id, (0.0, platform.catalogue.models))
            if now < until and not source.only_once:
                return known
            if source.only_once:  # told what the platform says, of which nothing is kept (C-049)
                return self._asked(platform, credential, brought=True)
            try:
                known = self._asked(platform, credential)
            except (UpstreamError, OutOfFiles) as error:
                log.warning("the models of a platform cannot be had: %s", error)
            self._known[credential.id] = (now + BELIEVED, known)
            return known
        return platform.catalogue.models

    def _asked(
        self, platform: Platform, credential: Credential, *, brought: bool = False
    ) -> Sequence[Model]:
        assert platform.listing is not None
        url = (credential.base_url or self._base_urls[platform.name]) + platform.chat.probe
        send = platform.chat.follow(url, credential.token)
        answer = self._transport.through(credential.proxy.reveal()).open(
            "GET",
            send.url,
            send.headers,
            None,
            first_byte_seconds=PATIENCE,
            repeat_stale=not brought,
        )
        try:
            body = answer.read(LIST_BYTES, PATIENCE)
        finally:
            answer.close()
        if brought and answer.status >= 400:
            raise Verbatim(answer.status, answer.headers, body)
        if answer.status != 200:
            raise UpstreamError("the platform answered with status {status}", status=answer.status)
        try:
            told = orjson.loads(body)
        except ValueError as error:
            raise BadReply("the platform sent an answer that is not JSON") from error
        theirs = platform.listing(told)
        ours = {model.id: model for model in platform.catalogue.models}
        return tuple(ours.get(model.id, model) for model in sorted(theirs, key=lambda one: one.id))
