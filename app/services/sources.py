"""Where a call's credentials come from: the operator's, or the one the caller brought."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.access.caller import Caller
from app.credential import GROUPS, Credential
from app.errors import NoCredential, UnknownGroup, UpstreamError
from app.secret import Secret


@dataclass(frozen=True, slots=True)
class Brought:
    """The caller's own token: one attempt, and nothing is remembered of it."""

    token: Secret
    only_once: bool = True

    def candidates(self) -> Iterator[Credential]:
        yield Credential("brought", self.token)

    def report(self, credential: Credential, error: UpstreamError) -> None:
        """The caller is told; nobody else."""


class Configured:
    """The keys from the settings, in the order they are written there.

    A call that failed for no fault of the key (`retry`) may come round to it again; a key that was
    refused or throttled is left alone for the rest of the call.
    """

    only_once = False

    def __init__(self, credentials: tuple[Credential, ...], attempts: int) -> None:
        self._queue = deque(credentials)
        self._attempts = attempts

    def candidates(self) -> Iterator[Credential]:
        while self._queue and self._attempts > 0:
            self._attempts -= 1
            yield self._queue[0]

    def report(self, credential: Credential, error: UpstreamError) -> None:
        """What came of an attempt: the credential goes to the end of the queue, or out of it."""
        self._queue.remove(credential)
        if error.verdict == "retry":
            self._queue.append(credential)


Source = Brought | Configured


class Sources:
    """Gives each call its source."""

    def __init__(self, keys: Mapping[str, tuple[Credential, ...]]) -> None:
        self._keys = keys
        given = (group for one in keys.values() for key in one for group in key.groups)
        self._groups = frozenset(GROUPS).union(given)

    def for_call(
        self, caller: Caller, platform: str, attempts: int, groups: tuple[str, ...] = ()
    ) -> Source:
        """`groups` are those a credential must belong to one of; none = any will do. A token that
        was brought belongs to nobody's groups (C-049).
        """
        if caller.brought is not None:
            return Brought(caller.brought)
        keys = self._keys.get(platform, ())
        return Configured(self._chosen(keys, groups) if groups else keys, attempts)

    def _chosen(
        self, keys: tuple[Credential, ...], groups: tuple[str, ...]
    ) -> tuple[Credential, ...]:
        for group in groups:
            if group not in self._groups:
                raise UnknownGroup(
                    "there is no group {group} here", param="model", group=group[:100]
                )
        chosen = tuple(key for key in keys if not set(groups).isdisjoint(key.groups))
        if not chosen:
            named = ", ".join(groups)
            raise NoCredential("the platform has no key in the group {groups}", groups=named)
        return chosen

    def has_any(self, platform: str) -> bool:
        return bool(self._keys.get(platform))
