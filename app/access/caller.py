"""A caller, and how one is told apart from the rest of the world.

There are two ways in. In licence mode a header holds one of our licences and we choose the
credential. In Chat2API mode `Tokens-Authorization` holds the licence, and the usual header brings
the caller's own platform token, which is used for this one call and kept nowhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Protocol

from app.access.standing import Standing
from app.clock import Clock
from app.errors import NoAccess, NotAllowed
from app.secret import Secret
from app.storage.licences import Licence, digest

BOTH_MODES = "tokens-authorization"
CREDENTIAL_HEADERS = (
    "authorization",
    "x-api-key",
    "x-goog-api-key",
    "api-key",
)  # in order of precedence
NOT_A_KEY = frozenset({"", "bearer", "null", "none", "undefined", "not-provided"})
NOT_SENT = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Caller:
    """`licence` is None only where the operator has opened the root; `brought` is None in licence
    mode. `standing` is of this one call.
    """

    licence: Licence | None
    brought: Secret | None = None
    standing: Standing = field(default_factory=Standing, compare=False, repr=False)

    @property
    def name(self) -> str:
        """What logs call the caller."""
        return self.licence.name if self.licence else "open"

    @property
    def is_strict(self) -> bool:
        """Whether none of the caller's calls may lose a field on its way."""
        return self.licence is not None and self.licence.strict

    def may_use(self, platform: str) -> bool:
        return (
            self.licence is None or not self.licence.platforms or platform in self.licence.platforms
        )

    def may_ask(self, model: str) -> bool:
        if self.licence is None or not self.licence.models:
            return True
        return any(fnmatchcase(model, pattern) for pattern in self.licence.models)


class Headers(Protocol):
    """Request headers by name, whatever the case."""

    def get(self, name: str) -> str | None: ...


def brings_token(headers: Headers) -> bool:
    """Whether these are the headers of Chat2API mode."""
    return bool(_bare(headers.get(BOTH_MODES) or ""))  # empty is as if absent


class LicenceLookup(Protocol):
    def by_digest(self, wanted: str) -> Licence | None: ...


class Access:
    """Admits callers. A licence looked up is believed for `believe_seconds`, which bounds how long
    a revoked one lives on in a worker (R-126).
    """

    def __init__(
        self,
        licences: LicenceLookup,
        clock: Clock,
        *,
        believe_seconds: float = 1.5,
        most: int = 10_000,
    ) -> None:
        self._licences = licences
        self._clock = clock
        self._believe_seconds = believe_seconds
        self._most = most
        self._known: dict[str, tuple[float, Licence]] = {}

    def admit(self, headers: Headers, query_key: str = "", *, native: bool = False) -> Caller:
        """The caller who sent these headers, or `NoAccess`. Only native Gemini routes read
        `?key=`.
        """
        found = _first(headers, query_key if native else "", native)
        if not brings_token(headers):
            return Caller(self._licence(found))
        licence = self._licence(_bare(headers.get(BOTH_MODES) or ""))
        if not found:
            raise NoAccess("the platform token is missing: put it in the Authorization header")
        if NOT_SENT.search(found):
            raise NoAccess("the platform token holds characters that no header can")
        return Caller(licence, Secret(found))

    def _licence(self, words: str) -> Licence:
        if not words:
            raise NoAccess("a licence is required: put it in the Authorization header")
        if "," in words:
            raise NoAccess("send one licence, not a list of several")
        # The digest is compared, by the database's index or the dictionary's hash: how long that takes
        # tells nothing about the licence itself (C-039).
        wanted = digest(words[:LONGEST])
        now = self._clock.ticks()
        until, licence = self._known.get(wanted, (0.0, None))
        if licence is None or now >= until:
            licence = self._licences.by_digest(wanted)
            if licence is None:
                self._known.pop(wanted, None)
                raise NoAccess("the licence is not valid")
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[wanted] = (now + self._believe_seconds, licence)
        if not licence.is_live(self._clock.now()):
            raise NoAccess("the licence has expired or was revoked")
        return licence


def check_scope(caller: Caller, platform: str, *models: str) -> None:
    """Raises `NotAllowed` where the licence does not cover the platform or the model, which may go by
    several names: it is enough to cover one.
    """
    if not caller.may_use(platform):
        raise NotAllowed("the licence does not cover the platform {platform}", platform=platform)
    if models and not any(map(caller.may_ask, models)):
        raise NotAllowed(
            "the licence does not cover the model {model}", param="model", model=models[0]
        )


def _first(headers: Headers, query_key: str, native: bool) -> str:
    """The first credential that is one; a wrong one is not rescued by a right one further down
    (C-037).
    """
    for name in CREDENTIAL_HEADERS:
        if name == "x-goog-api-key" and not native:
            continue
        if (value := headers.get(name)) and (found := _bare(value)).lower() not in NOT_A_KEY:
            return found
    return query_key.strip()


def _bare(value: str) -> str:
    """The value without its scheme word, whatever the case and the white space (C-032)."""
    value = value.strip()
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value
