"""A week in virtual time: keys fail and come back as the platform pleases, and calls never stop."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from app.errors import CredentialRefused, QuotaSpent, Throttled, UpstreamError
from app.pool.choice import Wanted
from app.pool.rest import LENGTHS, RAMP_SECONDS
from tests.pool.conftest import Clock, key, pool_of

HOUR, DAY = 3600.0, 86400.0
WEEK = 7 * DAY
EVERY = 5.0  # seconds between two calls
PROBE_INTERVAL = max(most for _, most in LENGTHS.values())

KINDS = {
    "refused": lambda left: CredentialRefused("no"),
    "spent": lambda left: QuotaSpent("none left"),
    "throttled": lambda left: Throttled("slow"),
    "measured": lambda left: Throttled("slow").after(min(left, HOUR)),
    "down": lambda left: UpstreamError("down"),
}


@dataclass
class Key:
    """What the platform thinks of a key: spans of time in which it fails, and how."""

    name: str
    spans: list[tuple[float, float, str]]
    calls: list[tuple[float, bool]] = field(default_factory=list)  # when, and whether it was good

    def ails(self, at: float) -> UpstreamError | None:
        for begin, end, kind in self.spans:
            if begin <= at < end:
                return KINDS[kind](end - at)
        return None


def spans(chance: random.Random) -> list[tuple[float, float, str]]:
    """Outages of a minute to a day, with hours between them."""
    found, at = [], chance.uniform(0, 12 * HOUR)
    while at < WEEK:
        lasts = chance.choice([60, 600, HOUR, 6 * HOUR, DAY]) * chance.uniform(0.5, 1)
        found.append((at, at + lasts, chance.choice(list(KINDS))))
        at += lasts + chance.uniform(2 * HOUR, 20 * HOUR)
    return found


@pytest.fixture(scope="module")
def week() -> tuple[list[Key], int, float]:
    """The keys with all their calls, the calls that no key served, and when the week began."""
    chance, clock = random.Random(4), Clock()
    keys = [Key(f"k{i}", spans(chance)) for i in range(6)]
    keys.append(Key("dead", [(0, WEEK, "refused")]))
    keys.append(Key("well", []))
    pool, began = pool_of(clock, *(key(one.name) for one in keys)), clock.at
    by_name, unserved = {one.name: one for one in keys}, 0
    while clock.at - began < WEEK:
        failed: set[str] = set()
        while True:
            lease = pool.pick("p", Wanted("m", but=failed))
            if lease is None:
                unserved += 1
                break
            one = by_name[lease.credential.id]
            error = one.ails(clock.at - began)
            one.calls.append((clock.at - began, error is None))
            if error is None:
                lease.accepted()
                lease.give_back()
                break
            lease.failed(error)
            lease.give_back()
            failed.add(one.name)
        clock.at += EVERY
        if clock.at % 60 < EVERY:
            pool.sweep()
    return keys, unserved, began


def test_every_call_is_served_while_one_key_is_well(week):
    assert week[1] == 0


def test_a_key_that_is_well_again_is_back_within_one_probe_interval(week):
    """The longest rest, and the turns of the others."""
    returns = 0
    for one in week[0]:
        for begin, end, kind in one.spans:
            if end >= WEEK - 2 * HOUR:
                continue
            again = min(at for at, good in one.calls if good and at >= end)
            assert again - end <= PROBE_INTERVAL + 10 * EVERY, (one.name, kind)
            returns += 1
    assert returns > 20


def test_a_key_that_fails_receives_nothing_but_probes(week):
    """One at a time, further and further apart; a refused one, one an hour."""
    for one in week[0]:
        for begin, end, kind in one.spans:
            calls = [at for at, _ in one.calls if begin <= at < min(end, WEEK)]
            first, most = LENGTHS[NAMES[kind]]
            doublings = 12
            faults = 5 if kind == "down" else 0
            assert len(calls) <= doublings + faults + (min(end, WEEK) - begin) / most, (
                one.name,
                kind,
            )


NAMES = {
    "refused": "refused",
    "spent": "quota",
    "throttled": "requests",
    "measured": "day",
    "down": "fault",
}


def test_a_dead_key_receives_one_call_an_hour(week):
    dead = next(one for one in week[0] if one.name == "dead")
    late = [at for at, _ in dead.calls if at > HOUR]

    assert not any(good for _, good in dead.calls)
    assert 160 <= len(late) <= 168
    assert all(b - a >= HOUR for a, b in zip(late, late[1:], strict=False))


def test_a_key_that_is_back_has_its_share_again(week):
    """Once its ramp is over, it serves like the others."""
    for one in week[0]:
        for _, end, _ in one.spans:
            calm = end + PROBE_INTERVAL + RAMP_SECONDS + 600
            if calm + 600 >= WEEK or any(
                begin < calm + 600 and end < finish for begin, finish, _ in one.spans
            ):
                continue
            served = sum(1 for at, good in one.calls if calm <= at < calm + 600 and good)
            assert served >= 600 / EVERY / len(week[0]) * 0.9, one.name
