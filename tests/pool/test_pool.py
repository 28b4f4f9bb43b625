"""What is held against keys, for how long, and how they come back."""

from __future__ import annotations

import logging

import pytest

from app.errors import (
    CredentialRefused,
    QuotaSpent,
    RequestRefused,
    Throttled,
    Unreachable,
    UpstreamError,
)
from app.pool.board import News
from app.pool.choice import Wanted, verdict
from app.pool.rest import Rest, Rules
from tests.pool.conftest import key, picked, pool_of

M, N = Wanted("m"), Wanted("n")


def fail(pool, error: UpstreamError, model: str = "m") -> str:
    """The next call fails like this; the name of the key that met it."""
    lease = pool.pick("p", Wanted(model))
    assert lease is not None
    lease.failed(error)
    lease.give_back()
    return lease.credential.id


def why(pool, name: str, model: str = "m") -> str:
    found = {one.credential.id: one for one in pool.candidates("p", Wanted(model))}
    return verdict(found[name], Wanted(model), pool.clock.now()).reason


@pytest.mark.parametrize(
    "error, other_model",
    [
        (Throttled("slow").after(30), True),
        (Throttled("slow", kind="tokens").after(30), True),
        (CredentialRefused("no", whole=False), True),
        (CredentialRefused("no"), False),
        (QuotaSpent("spent"), False),
        (UpstreamError("down").after(30), True),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else str(one),
)
def test_exactly_what_was_named_rests(clock, error, other_model):
    pool = pool_of(clock, key("a"))
    fail(pool, error)

    assert picked(pool) is None
    assert (picked(pool, "n") == "a") is other_model


def test_a_key_rests_as_long_as_the_platform_said(clock):
    """R-069."""
    pool = pool_of(clock, key("a"))
    fail(pool, Throttled("slow").after(30))
    clock.at += 29.5
    assert picked(pool) is None
    clock.at += 0.6
    assert picked(pool) == "a"


def test_all_keys_rest_and_the_soonest_is_known(clock):
    """R-072."""
    pool = pool_of(clock, key("a"), key("b"))
    fail(pool, Throttled("slow").after(30))
    fail(pool, Throttled("slow").after(8))

    assert picked(pool) is None
    found = pool.next_look("p", M)
    assert (found.kind, found.until) == ("requests", clock.at + 8)


def test_one_call_probes_and_others_come_back_slowly(clock):
    """R-073: at most two calls in the first 100 ms."""
    pool = pool_of(clock, key("a"))
    fail(pool, Throttled("slow").after(10))
    clock.at += 10
    probe = pool.pick("p", M)
    assert probe is not None and probe.probes
    assert picked(pool) is None

    clock.at += 0.05
    probe.accepted()
    assert [picked(pool) for _ in range(50)] == [None] * 50
    let = []
    for _ in range(60):  # six seconds
        clock.at += 0.1
        let.append(sum(1 for _ in range(2000) if picked(pool)))
    assert sum(let[:6]) == 1 and sum(let[:11]) == 3
    assert let[-1] == 2000  # and then without bounds


def test_a_probe_that_fails_rests_again_for_longer(clock):
    pool = pool_of(clock, key("a"))
    fail(pool, Throttled("slow"))
    lengths = []
    for _ in range(3):
        found = pool.next_look("p", M)
        lengths.append(found.until - clock.at)
        clock.at = found.until
        fail(pool, Throttled("slow"))
        assert picked(pool) is None

    assert lengths == [5, 10, 20]


def test_a_fault_in_the_call_is_none_of_the_key(clock):
    """A probe that the platform refuses for what is in it has shown that the key works."""
    pool = pool_of(clock, key("a"))
    fail(pool, Throttled("slow").after(5))
    clock.at += 5
    fail(pool, RequestRefused("bad field"))
    clock.at += 0.6

    assert picked(pool) == "a"


def test_faults_trip_only_when_there_are_many(clock):
    """Five of the last ten, within ten minutes."""
    pool = pool_of(clock, key("a"))
    for _ in range(4):
        fail(pool, UpstreamError("down"))
        picked(pool)
    assert picked(pool) == "a"
    fail(pool, UpstreamError("down"))
    assert picked(pool) is None
    assert why(pool, "a").startswith("fault, resting")
    assert picked(pool, "n") == "a"


def test_a_key_that_mostly_works_does_not_trip(clock):
    pool = pool_of(clock, key("a"))
    for _ in range(20):
        fail(pool, UpstreamError("down"))
        for _ in range(2):
            lease = pool.pick("p", M)
            lease.accepted()
            lease.give_back()

    assert picked(pool) == "a"


def test_old_faults_do_not_count(clock):
    pool = pool_of(clock, key("a"))
    for _ in range(20):
        fail(pool, UpstreamError("down"))
        clock.at += 160

    assert picked(pool) == "a"


def test_an_unreachable_platform_rests_for_all_models(clock):
    pool = pool_of(clock, key("a"))
    for _ in range(5):
        fail(pool, Unreachable("gone"))

    assert (picked(pool), picked(pool, "n")) == (None, None)


def test_refusals_retire_a_key_with_an_alarm_and_a_probe_an_hour(clock, caplog):
    """R-075: no more than three calls, and one an hour from then on."""
    pool = pool_of(clock, key("a"))
    calls = 0
    for _ in range(3 * 3600):
        clock.at += 1
        if (lease := pool.pick("p", M)) is not None:
            calls += 1
            lease.failed(CredentialRefused("no"))
            lease.give_back()

    assert calls == 3 + 2
    alarms = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert [one.getMessage() for one in alarms] == [
        "a key is retired: the platform keeps refusing it"
    ]
    assert alarms[0].credential == "a"


def test_many_refusals_of_one_moment_are_one(clock):
    pool = pool_of(clock, key("a"))
    leases = [pool.pick("p", M) for _ in range(100)]
    clock.at += 0.3
    for lease in leases:
        lease.failed(CredentialRefused("no"))
    clock.at += 10.1

    assert picked(pool) == "a"


def test_an_operator_may_do_without_rests(clock):
    pool = pool_of(clock, key("a"), rules=Rules(longest=0))
    for error in (Throttled("slow").after(30), CredentialRefused("no"), QuotaSpent("spent")):
        fail(pool, error)

    assert picked(pool) == "a"


# ---------------------------------------------------------------- sessions


def test_a_session_stays_with_its_key(clock):
    """C-232."""
    pool = pool_of(clock, *(key(f"k{i}") for i in range(10)))
    for session in ("s1", "s2", "s3", "s4"):
        names = {accept(pool, session) for _ in range(20)}
        assert len(names) == 1


def accept(pool, session: str) -> str | None:
    lease = pool.pick("p", M, session)
    if lease is None:
        return None
    lease.accepted()
    lease.give_back()
    return lease.credential.id


def test_sessions_are_spread_by_weight(clock):
    pool = pool_of(clock, key("a", weight=3), key("b", weight=1))
    names = [accept(pool, f"session {i}") for i in range(1000)]

    assert 650 < names.count("a") < 850


def test_all_workers_choose_the_same_key_for_a_new_session(clock):
    keys = [key(f"k{i}", weight=1 + i % 3) for i in range(10)]
    one, other = pool_of(clock, *keys), pool_of(clock, *keys)
    picked(other)  # they are not in step

    assert [accept(one, f"s{i}") for i in range(50)] == [accept(other, f"s{i}") for i in range(50)]


def test_a_session_moves_when_its_key_rests_and_stays_where_it_went(clock):
    """C-236: it does not come back, which would lose the cache a second time."""
    pool = pool_of(clock, key("a"), key("b"), key("c"))
    first = accept(pool, "s")
    lease = pool.pick("p", M, "s")
    lease.failed(Throttled("slow").after(30))
    second = accept(pool, "s")
    assert second not in (None, first)
    clock.at += 3000

    assert {accept(pool, "s") for _ in range(9)} == {second}


def test_a_session_never_blocks_failover(clock):
    pool = pool_of(clock, key("a"), key("b"))
    first = accept(pool, "s")
    lease = pool.pick("p", Wanted("m", but={first}), "s")

    assert lease.credential.id != first


def test_a_session_is_forgotten_when_its_time_is_over(clock):
    """C-237."""
    keys = [key(f"k{i}") for i in range(10)]
    pool = pool_of(clock, *keys, sticky_seconds=60)
    name = accept(pool, "s")
    pool.take(News(bindings={"s": ("k0" if name != "k0" else "k1", int(clock.at + 60))}))
    moved = accept(pool, "s")
    assert moved != name
    clock.at += 120
    assert accept(pool, "s") == name


def test_a_session_goes_with_the_call_where_nothing_is_sticky(clock):
    pool = pool_of(clock, key("a"), key("b"), sticky_seconds=0)

    assert {accept(pool, "s") for _ in range(4)} == {"a", "b"}


# ---------------------------------------------------------------- others


def test_what_another_worker_learnt_counts_here(clock):
    """R-071."""
    one, other = pool_of(clock, key("a")), pool_of(clock, key("a"))
    fail(one, Throttled("slow").after(30))
    rests, _ = one.untold()
    other.take(News(rests=rests))

    assert picked(other) is None
    clock.at += 30
    probe = one.pick("p", M)
    probe.accepted()
    other.take(News(rests=one.untold()[0]))
    clock.at += 6
    assert picked(other) == "a"


class Rival:
    """A board where somebody else always was quicker."""

    def __init__(self) -> None:
        self.asked: list[Rest] = []

    def news(self) -> News:
        return News()

    def tell(self, rests, bindings, now) -> None:
        """Nobody reads it."""

    def claim(self, rest: Rest, now: float) -> bool:
        self.asked.append(rest)
        return False


class Forbidden:
    """A board that nobody may go to."""

    def __getattr__(self, name: str):
        raise AssertionError(f"{name} is a call to the database")


def test_a_call_that_goes_well_asks_no_database(clock):
    """Whoever serves, however it ends: a worker decides from memory."""
    pool = pool_of(clock, key("a"), key("b"), boards=[Forbidden()])
    for place in range(100):
        lease = pool.pick("p", M, f"session {place}")
        lease.accepted()
        lease.give_back(10)
    fail(pool, Throttled("slow").after(30))
    fail(pool, Throttled("slow").after(30))

    assert picked(pool) is None


def test_a_probe_belongs_to_whoever_claims_it_first(clock):
    rival = Rival()
    pool = pool_of(clock, key("a"), boards=[rival])
    fail(pool, Throttled("slow").after(5))
    clock.at += 5

    assert [picked(pool) for _ in range(10)] == [None] * 10
    assert len(rival.asked) == 1


def test_a_pardon_of_the_operator_ends_a_rest(clock):
    pool = pool_of(clock, key("a"))
    fail(pool, CredentialRefused("no"))
    assert picked(pool) is None
    pool.take(News(rests=[Rest("a", "", "refused", clock.at + 1, 0.0, -1, "forgiven")]))

    assert picked(pool) == "a"


def test_what_has_been_over_for_long_is_swept_out(clock):
    pool = pool_of(clock, key("a"))
    fail(pool, Throttled("slow").after(5))
    clock.at += 5
    pool.pick("p", M).accepted()
    clock.at += 100
    pool.sweep()
    assert pool.known()[0]
    clock.at += 1000
    pool.sweep()
    assert not pool.known()[0]


def test_the_time_a_model_takes_to_be_forgotten_does_not_grow_a_list_without_end(clock):
    pool = pool_of(clock, key("a"))
    for i in range(2000):
        picked(pool, f"model {i}")

    assert len(pool._lanes) <= 256


def test_a_lease_is_given_back_once(clock):
    pool = pool_of(clock, key("a"))
    lease = pool.pick("p", M)
    lease.give_back()
    lease.give_back()
    (one,) = pool.candidates("p", M)
    assert one.busy == 0

    pool.pick("p", M)  # and nobody keeps it
    (one,) = pool.candidates("p", M)
    assert one.busy == 0
