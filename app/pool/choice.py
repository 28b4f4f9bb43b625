"""Which credential should serve, as a function of what is known: the same answer as the live pool
gives, with the reason for every credential that it passes over. Commands explain with it, and tests
hold the live pool to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from app.credential import Credential
from app.pool.hindrance import NEVER, Hindrance, hindrance
from app.pool.lane import MOST_TIED
from app.pool.rest import Rest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A credential at one moment. `turn` and `order` say whose turn it is; `spent` is the limit of
    its own that is used up.
    """

    credential: Credential
    turn: int = 0
    order: int = 0
    busy: int = 0
    rests: Mapping[tuple[str, str], Rest] = field(default_factory=dict)
    let: Mapping[tuple[str, str], int] = field(default_factory=dict)
    spent: Hindrance | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call asks of a credential. `groups` are the call's own choice, `allowed` the licence's;
    empty is no choice. `but` are credentials that failed the call already, `tokens` what it is
    thought to come to: `context` in the request, and `output` at most in the answer, where somebody
    has limits of that.
    """

    model: str
    groups: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    but: Collection[str] = ()
    tokens: int = 0
    context: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`until` is when a reason to pass it over ends, if that is known."""

    credential: Credential
    ready: bool
    reason: str
    until: float | None = None


def fits(credential: Credential, groups: tuple[str, ...], allowed: tuple[str, ...]) -> str:
    """Why a credential is out of the question for a call, whatever its health; empty if it is not."""
    if not credential.enabled:
        return "switched off"
    if groups and set(groups).isdisjoint(credential.groups):
        return "in none of the groups " + ", ".join(groups)
    if allowed and set(allowed).isdisjoint(credential.groups):
        return "in none of the licence's groups " + ", ".join(allowed)
    return ""


def excess(credential: Credential, wanted: Wanted) -> Hindrance | None:
    """The limit of the credential that the call is too long for, if it is."""
    allowance = credential.allowance
    for kind, long, most in (
        ("context", wanted.context, allowance.context),
        ("output", wanted.output, allowance.output),
    ):
        if most is not None and long > most:
            return Hindrance(kind, f"{long} of at most {most} tokens", NEVER)
    return None


def verdict(candidate: Candidate, wanted: Wanted, now: float) -> Verdict:
    """Whether it may serve, and if not, why."""
    credential = candidate.credential
    if out := fits(credential, wanted.groups, wanted.allowed):
        return Verdict(credential, False, out)
    found = (
        excess(credential, wanted)
        or candidate.spent
        or hindrance(candidate.rests, candidate.let, wanted.model, now)
    )
    if found is not None:
        until = None if found.until == NEVER else found.until
        return Verdict(credential, False, f"{found.kind}, {found.why}", until)
    if credential.id in wanted.but:
        return Verdict(credential, False, "has failed this call already")
    for rest in candidate.rests.values():
        if rest.model in ("", wanted.model) and rest.phase(now) == "due":
            return Verdict(credential, True, f"{rest.kind}, to be probed: {rest.why}")
    return Verdict(credential, True, "ready")


def choose(candidates: Sequence[Candidate], wanted: Wanted, now: float) -> Candidate | None:
    """The one that should serve: of the highest priority that has any, the one whose turn it is, and
    of several the least busy.
    """
    ready = [one for one in candidates if verdict(one, wanted, now).ready]
    if not ready:
        return None
    highest = max(one.credential.priority for one in ready)
    tier = [one for one in ready if one.credential.priority == highest]
    turn = min(one.turn for one in tier)
    tied = sorted((one for one in tier if one.turn == turn), key=lambda one: one.order)
    return min(tied[:MOST_TIED], key=lambda one: one.busy)
