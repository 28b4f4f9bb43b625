"""Where a call's credentials come from: the operator's pool, or the one the caller brought."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from app.access.caller import Caller
from app.clock import Clock
from app.credential import Credential
from app.errors import (
    GatewayError,
    NoCredential,
    NotAllowed,
    Throttled,
    TooLong,
    UnknownGroup,
    UpstreamError,
)
from app.limits import RATES
from app.pool.budget import Budget
from app.pool.choice import Wanted
from app.pool.hindrance import NEVER
from app.pool.lease import Lease
from app.pool.pool import Pool
from app.pool.purse import BUDGETS
from app.pool.rest import THROTTLES
from app.secret import Secret

SOON = 0.02  # seconds; somebody else may be served first by then


class Lent(Protocol):
    """A credential for one attempt; whoever has it says what came of it, and gives it back."""

    @property
    def credential(self) -> Credential: ...

    def accepted(self) -> None: ...

    def failed(self, error: UpstreamError) -> None: ...

    def give_back(self, tokens: int = 0) -> None: ...


@dataclass(frozen=True, slots=True)
class Brought:
    """The caller's own token: one attempt, and nothing is remembered of it."""

    credential: Credential
    only_once: bool = True

    def candidates(self) -> Iterator[Lent]:
        yield self

    def ended(self, last: UpstreamError | None) -> GatewayError:
        return last or NoCredential("the platform has no credential to be called with")

    # It is its own lease: nobody wants to hear of it.

    def accepted(self) -> None:
        """The caller is told; nobody else."""

    def failed(self, error: UpstreamError) -> None:
        """The caller is told; nobody else."""

    def give_back(self, tokens: int = 0) -> None:
        """It was never anybody's but the caller's."""


@dataclass(frozen=True, slots=True)
class Pinned(Brought):
    """The one credential of the pool that a thing belongs to (C-209)."""

    only_once: bool = False


@dataclass(frozen=True, slots=True)
class Persistence:
    """How hard it is tried: no further attempt is begun after `seconds`, and nobody waits longer than
    `wait_seconds` for a credential that rests. Of calls to a platform, `percent` may be repeats of
    ones that failed by no fault of the credential.
    """

    seconds: float = 120.0
    wait_seconds: float = 2.0
    percent: int = 20


class Pooled:
    """The operator's credentials, one attempt after the other. One that was turned away is left alone
    for the rest of the call, unless the platform named a time that is worth waiting for; one that
    failed by no fault of its own may come round again where there is no other.
    """

    only_once = False

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        budget: Budget,
        persistence: Persistence,
        platform: str,
        wanted: Wanted,
        session: str,
        attempts: int,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._budget = budget
        self._persistence = persistence
        self._platform = platform
        self._wanted = wanted
        self._session = session
        self._attempts = attempts
        self._failed: dict[str, float] = {}  # until when a credential is left alone
        self._last: UpstreamError | None = None

    def candidates(self) -> Iterator[Lent]:
        """Leases, as long as trying makes sense. The last one given has failed when the next is
        asked for.
        """
        ends = self._clock.ticks() + self._persistence.seconds
        self._budget.called(self._clock.ticks())
        for attempt in range(self._attempts):
            if attempt and not self._may_repeat(attempt, ends):
                return
            lease = self._next(ends)
            if lease is None:
                return
            yield _Attempt(self, lease)

    def _may_repeat(self, attempt: int, ends: float) -> bool:
        """Whether the platform is to be bothered once more; after a pause, if it is the platform that
        failed.
        """
        if self._last is None or self._last.verdict != "retry":
            return True
        if not self._budget.allows(self._clock.ticks()):
            return False
        # A little different each time, so that many who failed together do not come back together.
        self._clock.sleep(min(1.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.0))
        return self._clock.ticks() < ends

    def _next(self, ends: float) -> Lease | None:
        """The next lease; waits for it where that does not take long."""
        ends = min(ends, self._clock.ticks() + self._persistence.wait_seconds)
        while True:
            wanted = self._without(*self._failed) if self._failed else self._wanted
            if (lease := self._pool.pick(self._platform, wanted, self._session)) is not None:
                return lease
            now = self._clock.now()
            again = [name for name, until in self._failed.items() if until <= now]
            wanted = self._without(*(self._failed.keys() - again))
            if again and (lease := self._pool.pick(self._platform, wanted, self._session)):
                return lease
            looks = [until for until in self._failed.values() if until > now]
            if (found := self._pool.next_look(self._platform, wanted)) is not None:
                looks.append(max(found.until, now + SOON))
            wait = min(looks, default=float("inf")) - now
            if wait > ends - self._clock.ticks():
                return None
            self._clock.sleep(wait + random.uniform(0.0, SOON))

    def _without(self, *names: str) -> Wanted:
        return replace(self._wanted, but=frozenset(names))

    def failed(self, name: str, error: UpstreamError) -> None:
        self._last = error
        now = self._clock.now()
        if error.verdict == "retry":
            self._failed[name] = now
        else:
            wait = error.retry_after
            self._failed[name] = float("inf") if wait is None else now + wait

    def ended(self, last: UpstreamError | None) -> GatewayError:
        """What to tell when nothing is left to try: the last failure, if there was one."""
        if last is None:
            return self._untried()
        if last.retry_after is not None:
            now = self._clock.now()
            others = self._pool.next_look(self._platform, self._without(*self._failed))
            looks = [*self._failed.values(), others.until if others else now + last.retry_after]
            last.after(max(min(looks) - now, 0.0))
        return last

    def _untried(self) -> GatewayError:
        """Why nobody was asked at all."""
        if not self._pool.fitting(self._platform, self._wanted):
            if self._wanted.groups:
                named = ", ".join(self._wanted.groups)
                return NoCredential("the platform has no key in the group {groups}", groups=named)
            return NoCredential("the platform has no credential to be called with")
        found = self._pool.next_look(self._platform, self._wanted)
        if found is None:
            return self._too_long()
        wait = max(found.until - self._clock.now(), 0.0)
        if found.kind in THROTTLES:
            return Throttled("the platform asks for fewer requests").after(wait)
        if found.kind in RATES:
            return Throttled(
                "all keys of the platform have reached the limits that are set for them here"
            ).after(wait)
        if found.kind in BUDGETS:
            spent = NoCredential(
                "a key of the platform has spent its budget, and no other can be used"
            )
            spent.may_retry = False  # nobody waits for that long
            return spent if found.until == NEVER else spent.after(wait)
        return NoCredential("no key of the platform can be used just now").after(wait)

    def _too_long(self) -> GatewayError:
        """What to tell where every key that fits may only take shorter calls."""
        wanted = self._wanted
        if any(one.kind == "output" for one in self._pool.excess(self._platform, wanted)):
            return TooLong(
                "no key of the platform may give answers of {asked} tokens",
                code="output_length_exceeded",
                asked=wanted.output,
            )
        return TooLong(
            "the request has some {tokens} tokens: that exceeds the maximum context length of every "
            "key of the platform",
            tokens=wanted.context,
        )


class _Attempt:
    """A lease, whose failures the source hears of too."""

    __slots__ = ("_source", "_lease", "credential", "accepted", "give_back")

    def __init__(self, source: Pooled, lease: Lease) -> None:
        self._source = source
        self._lease = lease
        self.credential = lease.credential
        self.accepted = lease.accepted
        self.give_back = lease.give_back

    def failed(self, error: UpstreamError) -> None:
        self._lease.failed(error)
        self._source.failed(self.credential.id, error)


Source = Brought | Pinned | Pooled


class Sources:
    """Gives each call its source."""

    def __init__(self, pool: Pool, clock: Clock, persistence: Persistence = Persistence()) -> None:
        self.pool = pool
        self._clock = clock
        self._persistence = persistence
        self._budgets: dict[str, Budget] = {}

    def for_call(
        self,
        caller: Caller,
        platform: str,
        attempts: int,
        *,
        model: str = "",
        groups: tuple[str, ...] = (),
        session: str = "",
        tokens: int = 0,
        context: int = 0,
        output: int = 0,
    ) -> Source:
        """`groups` are those a credential must belong to one of; none = any will do. A token that
        was brought belongs to nobody's groups (C-049). `tokens` is what the call is thought to come to,
        `context` what of it is the request, `output` what at most is the answer.
        """
        if caller.brought is not None:
            return Brought(_brought(caller.brought))
        allowed = caller.licence.groups if caller.licence else ()
        for group in groups:
            if not self.pool.knows_group(group) and group not in allowed:
                raise UnknownGroup(
                    "there is no group {group} here", param="model", group=group[:100]
                )
        if groups and allowed and set(groups).isdisjoint(allowed):
            raise NotAllowed(
                "the licence does not cover the group {group}",
                param="model",
                group=", ".join(groups)[:100],
            )
        budget = self._budgets.get(platform)
        if budget is None:
            budget = self._budgets[platform] = Budget(self._persistence.percent)
        wanted = Wanted(model, groups, allowed, tokens=tokens, context=context, output=output)
        return Pooled(
            self.pool,
            self._clock,
            budget,
            self._persistence,
            platform,
            wanted,
            session,
            attempts,
        )

    def has_any(self, platform: str) -> bool:
        return self.pool.has_any(platform)


def _brought(token: Secret) -> Credential:
    return Credential("brought", token)
