"""What is held against a credential, and how it comes back.

A rest covers one model (or all) and one kind of limit, for as long as the platform said, or for a
time that doubles with every failure. When it is over, one live call probes; where that is accepted,
calls come back slowly. Everything here is a function of values and of the time it is given, so that
what a worker decides can be told again elsewhere.

    resting ──until──▶ due ──claimed──▶ probing ──accepted──▶ ramping ──▶ over
       ▲                                   │                     │
       └───────────── failed ──────────────┴─────────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Phase = Literal["resting", "due", "probing", "ramping", "over"]
Key = tuple[str, str, str]

# Seconds of the first rest where the platform names none, and of the longest.
LENGTHS = {
    "requests": (5.0, 60.0),
    "tokens": (5.0, 60.0),
    "day": (60.0, 3600.0),
    "quota": (600.0, 3600.0),
    "refused": (10.0, 3600.0),
    "fault": (5.0, 300.0),
}
THROTTLES = frozenset({"requests", "tokens", "day"})
# A probe that has not failed by then counts as accepted: the platform says "too fast" at once, but an
# answer that is not streamed may take minutes. So does one whose worker died.
PROBE_SECONDS = {"refused": 5.0, "fault": 10.0}
QUICK_PROBE = 1.0
RAMP_SECONDS = 5.0
DOUBLING = 0.5  # seconds
CLOCKS_DIFFER = 60.0  # seconds between hosts; more than that, and the clock was set back
REMEMBERED = 600.0  # seconds after its return that a failure still counts as the next in a row


@dataclass(frozen=True, slots=True)
class Rules:
    """What an operator may say of rests: none lasts `longest`, and how many refusals in a row
    retire.
    """

    longest: float = 3600.0
    retire_after: int = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """A failed attempt: what it names, for which model ("" is all), for how long if it says so.
    `began` is when the attempt did.
    """

    kind: str
    model: str
    why: str
    began: float
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """All times are Unix seconds, so that other processes and later ones can read them. `step` counts
    the failures in a row before this one; below zero, everything is forgiven.
    """

    credential: str
    model: str
    kind: str
    since: float
    until: float
    step: int
    why: str
    probed_at: float = 0.0
    recovered_at: float = 0.0

    @property
    def key(self) -> Key:
        return self.credential, self.model, self.kind

    @property
    def probe_seconds(self) -> float:
        return PROBE_SECONDS.get(self.kind, QUICK_PROBE)

    def back_at(self) -> float:
        """When calls came back, or will if the probe that is out does not fail; 0 if none is."""
        if self.recovered_at:
            return self.recovered_at
        return self.probed_at + self.probe_seconds if self.probed_at else 0.0

    def phase(self, now: float) -> Phase:
        if self.step < 0:
            return "over"
        if now < self.until and now > self.since - CLOCKS_DIFFER:
            return "resting"
        back = self.back_at()
        if not back:
            return "due"
        if now < back:
            return "probing"
        return "ramping" if now < back + RAMP_SECONDS else "over"

    def next_look(self, now: float) -> float:
        """When there is news, if nothing happens before."""
        phase = self.phase(now)
        if phase == "resting":
            return self.until
        return self.back_at() + DOUBLING if phase == "probing" else now

    def room(self, now: float) -> int:
        """How many calls one worker may have let through by now, while it is ramping."""
        return int(2.0 ** ((now - self.back_at()) / DOUBLING)) - 1

    def is_retired(self, rules: Rules) -> bool:
        """Whether refusals were confirmed: only a live probe an hour is left."""
        return self.kind == "refused" and self.step + 1 >= rules.retire_after

    def is_forgotten(self, now: float) -> bool:
        if self.step < 0:
            return True
        back = self.back_at()
        return bool(back) and now > back + REMEMBERED and now > self.until


def rested(
    before: Rest | None, credential: str, evidence: Evidence, now: float, rules: Rules
) -> Rest:
    """The rest that this evidence asks for, on top of what was held against the credential before."""
    if before is not None and before.is_forgotten(now):
        before = None
    if before is not None and evidence.began < before.since:
        # The call was on its way when the rest began: the same story once more. A longer wait counts
        # another failure it is not.
        seconds = _length(evidence, before.step, rules)
        return replace(before, until=max(before.until, now + seconds))
    step = 0 if before is None else before.step + 1
    until = now + _length(evidence, step, rules)
    if before is not None:
        until = max(until, before.until)
    return Rest(credential, evidence.model, evidence.kind, now, until, step, evidence.why)


def _length(evidence: Evidence, step: int, rules: Rules) -> float:
    first, most = LENGTHS[evidence.kind]
    if evidence.seconds is not None:
        return min(max(evidence.seconds, 0.0), rules.longest)
    if evidence.kind == "refused" and step + 1 >= rules.retire_after:
        return min(most, rules.longest)
    return min(first * 2.0 ** min(step, 20), most, rules.longest)


def merged(one: Rest, other: Rest) -> Rest:
    """What two processes know together. It does not matter who tells whom first, nor how often."""
    older, newer = sorted((one, other), key=_order)
    if older.step < 0 or newer.step < 0:
        return newer
    until = max(older.until, newer.until)
    if older.since < newer.since:
        return replace(newer, until=until)
    return replace(
        newer,
        until=until,
        probed_at=max(older.probed_at, newer.probed_at),
        recovered_at=max(older.recovered_at, newer.recovered_at),
    )


def _order(rest: Rest) -> tuple[float, bool, int, float, float, float]:
    """By age; of the same moment, forgiveness is the last word."""
    found = (rest.step, rest.until, rest.probed_at, rest.recovered_at)
    return rest.since, rest.step < 0, *found


def forgiven(credential: str, model: str, kind: str, now: float) -> Rest:
    """Nothing is held against it any more."""
    return Rest(credential, model, kind, now, 0.0, -1, "forgiven")
