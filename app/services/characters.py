"""Characters for films: made by whichever credential can, and looked up with that one ever after
(C-209).

What is kept of one is short: whose it is, which credential made it, and what the platform calls it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import replace

from app.access.caller import Caller
from app.canonical.media import Character, File
from app.credential import Credential
from app.errors import NotFound, NotOffered, RequestRefused
from app.services.attempts import until_one_works
from app.services.images import Errands, MediaCall
from app.services.sources import Pinned, Source, Sources
from app.spool import Spool
from app.storage.tasks import BROUGHT
from app.upstream.media import CharacterSource, Errand
from app.upstream.platform import Memory, Platform

KEPT_SECONDS = 365 * 86400.0


class CharacterDesk:
    """Has characters made, and finds them again. `memory` is what a platform keeps for licences."""

    def __init__(self, errands: Errands, sources: Sources, memory: Callable[[str], Memory]) -> None:
        self._errands = errands
        self._sources = sources
        self._memory = memory

    def make(
        self, platform: Platform, call: MediaCall, film: File, name: str, spool: Spool
    ) -> Character:
        """The character, under an id of ours."""
        source = characters_of(platform)
        lenders = self._sources.for_call(
            call.caller, platform.name, call.attempts + 1, groups=call.groups, session=call.session
        )
        made, credential = self._asked(
            platform, call, lenders, spool, lambda errand: source.make(errand, film, name)
        )
        id = f"char_{secrets.token_hex(16)}"
        by = BROUGHT if call.caller.brought is not None else credential.id
        kept = json.dumps({"by": by, "id": made.id})
        self._memory(platform.name).keep(call.caller.name, id, kept, KEPT_SECONDS)
        return replace(made, id=id)

    def find(self, platform: Platform, call: MediaCall, id: str, spool: Spool) -> Character:
        """As it stands at the platform. Nobody's but its owner's, by whoever's token it was made."""
        source = characters_of(platform)
        told = self._memory(platform.name).find(call.caller.name, id)
        kept = json.loads(told) if told else {"by": ""}
        lenders = self._pinned(platform, call.caller, kept["by"])
        if lenders is None:
            raise _nobody(id)
        try:
            found, _ = self._asked(
                platform, call, lenders, spool, lambda errand: source.find(errand, kept["id"])
            )
        except RequestRefused as error:
            if error.status in (404, 410):
                raise _nobody(id) from error
            raise
        return replace(found, id=id)

    def _asked(
        self,
        platform: Platform,
        call: MediaCall,
        lenders: Source,
        spool: Spool,
        ask: Callable[[Errand], Character],
    ) -> tuple[Character, Credential]:
        source = characters_of(platform)

        def attempt(credential: Credential) -> Character:
            return ask(
                self._errands.errand(
                    platform,
                    credential,
                    spool,
                    source.read_error,
                    leash=call.leash,
                    brought=call.caller.brought is not None,
                )
            )

        return until_one_works(lenders, call.record, attempt)

    def _pinned(self, platform: Platform, caller: Caller, by: str) -> Source | None:
        """Who made it; a token that was brought is only ever the caller's own."""
        if (by == BROUGHT) != (caller.brought is not None):
            return None
        if by == BROUGHT:
            return self._sources.for_call(caller, platform.name, 1)
        credential = self._sources.pool.credential(platform.name, by)
        return None if credential is None else Pinned(credential)


def _nobody(id: str) -> NotFound:
    return NotFound("there is no character {id} here", id=id[:60])


def characters_of(platform: Platform) -> CharacterSource:
    """Where another platform makes the films there is nobody to be in them."""
    if platform.characters is None or platform.engine:
        raise NotOffered("{platform} does not offer this endpoint", platform=platform.name)
    return platform.characters
