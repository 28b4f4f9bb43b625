"""Where a call's credentials come from: the operator's, or the one the caller brought."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.access.caller import Caller
from app.credential import Credential
from app.errors import UpstreamError
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

    def for_call(self, caller: Caller, platform: str, attempts: int) -> Source:
        if caller.brought is not None:
            return Brought(caller.brought)
        return Configured(self._keys.get(platform, ()), attempts)

    def has_any(self, platform: str) -> bool:
        return bool(self._keys.get(platform))
