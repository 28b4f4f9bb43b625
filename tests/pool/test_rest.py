"""How long a credential rests, and how it comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.pool.rest import (
    LENGTHS,
    RAMP_SECONDS,
    REMEMBERED,
    Evidence,
    Rest,
    Rules,
    forgiven,
    merged,
    rested,
)

NOW = 1_795_000_000.0
RULES = Rules()


def evidence(kind="requests", seconds=None, began=NOW) -> Evidence:
    return Evidence(kind, "m", "rate_limit_exceeded", began, seconds)


def failing(kind: str, times: int) -> list[Rest]:
    """The rests of a credential whose every probe fails."""
    found: list[Rest] = []
    now, before = NOW, None
    for _ in range(times):
        before = rested(before, "c", evidence(kind, began=now), now, RULES)
        found.append(before)
        now = before.until + 0.1
        before = replace(before, probed_at=now)
    return found


@pytest.mark.parametrize("named, length", [(7.0, 7.0), (0.0, 0.0), (-5.0, 0.0), (1e12, 3600.0)])
def test_a_rest_lasts_as_long_as_the_platform_said_within_limits(named, length):
    """R-069."""
    assert rested(None, "c", evidence(seconds=named), NOW, RULES).until == NOW + length


@pytest.mark.parametrize("kind", LENGTHS)
def test_a_rest_nobody_measured_doubles_with_every_failure_up_to_its_kinds_longest(kind):
    first, most = LENGTHS[kind]
    lengths = [rest.until - rest.since for rest in failing(kind, 12)]

    assert lengths[0] == pytest.approx(first)
    assert lengths[-1] == pytest.approx(most)
    assert lengths == sorted(lengths)


def test_refusals_are_confirmed_before_a_key_is_retired():
    """R-075: after the third in a row there is one live probe an hour."""
    rests = failing("refused", 4)

    assert [rest.is_retired(RULES) for rest in rests] == [False, False, True, True]
    assert [round(rest.until - rest.since) for rest in rests] == [10, 20, 3600, 3600]


def test_calls_that_were_on_their_way_confirm_nothing():
    """A hundred refusals of one moment are one refusal."""
    first = rested(None, "c", evidence("refused", began=NOW - 1), NOW, RULES)
    again = first
    for i in range(100):
        again = rested(again, "c", evidence("refused", began=NOW - 1), NOW + i / 100, RULES)

    assert again.step == 0 and not again.is_retired(RULES)


@pytest.mark.parametrize("waits", [(5.0, 60.0), (60.0, 5.0)])
@pytest.mark.parametrize("began", [NOW - 1, NOW + 0.5])
def test_of_two_rests_the_later_end_counts(waits, began):
    """R-070."""
    first = rested(None, "c", evidence(seconds=waits[0], began=NOW - 1), NOW, RULES)
    then = rested(first, "c", evidence(seconds=waits[1], began=began), NOW + 1, RULES)

    assert then.until == max(NOW + waits[0], NOW + 1 + waits[1])


def test_a_rest_ends_with_one_probe_and_a_ramp():
    """R-073."""
    rest = rested(None, "c", evidence(seconds=10), NOW, RULES)
    assert rest.phase(NOW + 9.99) == "resting"
    assert rest.phase(NOW + 10) == "due"

    probing = replace(rest, probed_at=NOW + 11)
    assert probing.phase(NOW + 11.5) == "probing"

    back = replace(probing, recovered_at=NOW + 11.6)
    assert back.phase(NOW + 11.7) == "ramping"
    assert [back.room(NOW + 11.6 + s) for s in (0, 0.1, 0.5, 1, 2, 4)] == [0, 0, 1, 3, 15, 255]
    assert back.phase(NOW + 11.6 + RAMP_SECONDS) == "over"


@pytest.mark.parametrize(
    "kind, seconds", [("requests", 1), ("quota", 1), ("refused", 5), ("fault", 10)]
)
def test_a_probe_that_nobody_hears_of_again_counts_as_accepted(kind, seconds):
    """Its worker may have died, or its answer take minutes: neither keeps a key out for good."""
    rest = replace(rested(None, "c", evidence(kind, 1.0), NOW, RULES), probed_at=NOW + 2)

    assert rest.phase(NOW + 2 + seconds - 0.01) == "probing"
    assert rest.phase(NOW + 2 + seconds) == "ramping"


def test_a_failure_long_after_a_return_is_the_first_again():
    rest = failing("fault", 4)[-1]
    back = replace(rest, probed_at=rest.until, recovered_at=rest.until + 1)
    soon, late = back.recovered_at + REMEMBERED - 1, back.recovered_at + REMEMBERED + 1

    assert rested(back, "c", evidence("fault", began=soon), soon, RULES).step == 4
    assert rested(back, "c", evidence("fault", began=late), late, RULES).step == 0


def test_a_clock_that_is_set_back_does_not_prolong_a_rest():
    """R-147."""
    rest = rested(None, "c", evidence(seconds=30), NOW, RULES)

    assert rest.phase(NOW - 3600) == "due"


moments = st.floats(NOW, NOW + 100)
rests = st.builds(
    Rest,
    credential=st.just("c"),
    model=st.just("m"),
    kind=st.just("requests"),
    since=st.sampled_from([NOW, NOW + 1, NOW + 2]),
    until=moments,
    step=st.integers(-1, 3),
    why=st.just("x"),
    probed_at=st.just(0.0) | moments,
    recovered_at=st.just(0.0) | moments,
)


@given(rests, rests)
def test_what_two_workers_know_together_does_not_depend_on_who_tells_whom(one, other):
    """R-071."""
    assert merged(one, other) == merged(other, one)
    assert merged(one, merged(one, other)) == merged(one, other)


@given(rests, rests)
def test_together_they_know_the_later_end(one, other):
    """R-070: unless everything was forgiven."""
    if one.step >= 0 and other.step >= 0:
        assert merged(one, other).until == max(one.until, other.until)


def test_what_is_forgiven_is_forgiven():
    rest = rested(None, "c", evidence(seconds=3600), NOW, RULES)
    pardon = forgiven("c", "m", "requests", NOW + 1)

    assert merged(rest, pardon).phase(NOW + 2) == "over"
    worse = rested(None, "c", evidence(seconds=9, began=NOW + 3), NOW + 3, RULES)
    assert merged(worse, pardon).phase(NOW + 4) == "resting"
