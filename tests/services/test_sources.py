"""Whose credentials a call is made with, in which order, and how often."""

from __future__ import annotations

import pytest

from app.access.caller import Caller
from app.canonical.events import Usage
from app.errors import (
    CredentialRefused,
    NoCredential,
    NotAllowed,
    RequestRefused,
    Throttled,
    UnknownGroup,
    Unreachable,
    UpstreamError,
)
from app.limits import Allowance, Limits
from app.pool.rest import Rules
from app.secret import Secret
from app.services.meter import MOST_INPUT, estimated
from app.services.sources import Persistence, Sources
from app.storage.licences import Licence
from app.web.retold import in_chinese
from tests.pool.conftest import Clock, key, pool_of
from tests.pool.test_tally import host_tally

OPERATOR = Caller(None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sources_of(clock, *keys, **more) -> Sources:
    return Sources(pool_of(clock, *keys), clock, Persistence(**more))


def tried(source, *errors: UpstreamError | None) -> list[str]:
    """The names of the credentials that are tried where the attempts fail in this way; None is a
    success, and the last one repeats itself.
    """
    names = []
    for place, lent in enumerate(source.candidates()):
        names.append(lent.credential.id)
        error = errors[min(place, len(errors) - 1)]
        if error is None:
            lent.accepted()
            lent.give_back()
            break
        lent.failed(error)
        lent.give_back()
    return names


def down() -> UpstreamError:
    return Unreachable("failed")


@pytest.mark.parametrize(
    "errors, names",
    [
        ([CredentialRefused("no")], ["a", "b"]),
        ([Throttled("slow")], ["a", "b"]),
        ([down()], ["a", "b", "a", "b"]),
        ([down(), CredentialRefused("no"), down()], ["a", "b", "a", "a"]),
        ([CredentialRefused("no"), down()], ["a", "b", "b", "b"]),
        ([down(), None], ["a", "b"]),
        ([RequestRefused("bad"), None], ["a", "b"]),
    ],
    ids=str,
)
def test_a_key_comes_round_again_only_where_it_is_not_to_blame(clock, errors, names):
    """C-125, C-126. (That a fault in the request ends the call is the relay's to see to.)"""
    assert tried(sources_of(clock, key("a"), key("b")).for_call(OPERATOR, "p", 4), *errors) == names


@pytest.mark.parametrize("attempts, names", [(1, ["a"]), (2, ["a", "b"]), (0, [])])
def test_no_more_is_tried_than_is_allowed(clock, attempts, names):
    """C-123."""
    source = sources_of(clock, key("a"), key("b")).for_call(OPERATOR, "p", attempts)
    assert tried(source, down()) == names


def test_pauses_grow_and_differ(clock):
    source = sources_of(clock, key("a")).for_call(OPERATOR, "p", 5)
    tried(source, down())

    for place, slept in enumerate(clock.slept, 1):
        assert 0.5 <= slept / (0.05 * 2**place) <= 1
    assert len(clock.slept) == 4


def test_nobody_waits_where_another_key_is_free(clock):
    tried(
        sources_of(clock, key("a"), key("b")).for_call(OPERATOR, "p", 5),
        Throttled("slow").after(9),
        None,
    )

    assert clock.slept == []


def test_a_short_wait_that_the_platform_names_is_waited(clock):
    """`Retry-After` is honoured: the call goes out again when it is over, and not before."""
    began = clock.at
    source = sources_of(clock, key("a")).for_call(OPERATOR, "p", 5)

    assert tried(source, Throttled("slow").after(1.5), None) == ["a", "a"]
    assert 1.5 <= clock.at - began < 1.6


def test_a_long_wait_is_the_callers(clock):
    source = sources_of(clock, key("a")).for_call(OPERATOR, "p", 5)
    error = Throttled("slow").after(30)

    assert tried(source, error) == ["a"]
    assert clock.slept == []
    assert source.ended(error).retry_after == 30


def test_limits_of_ours_are_not_put_down_to_the_platform(clock, tmp_path):
    limited = key("a", allowance=Allowance(Limits(concurrency=1)))
    pool = pool_of(clock, limited, tally=host_tally(tmp_path))
    sources = Sources(pool, clock, Persistence(wait_seconds=0))
    lent = next(sources.for_call(OPERATOR, "p", 5).candidates())
    source = sources.for_call(OPERATOR, "p", 5)
    assert tried(source, None) == []
    error = source.ended(None)
    lent.give_back()

    assert (type(error), error.code) == (Throttled, "rate_limit_exceeded")
    assert "limits that are set for them here" in str(error)
    assert not in_chinese(str(error)).isascii()


def test_the_caller_is_told_of_the_soonest_key(clock):
    """R-072."""
    sources = sources_of(clock, key("a"), key("b"))
    source = sources.for_call(OPERATOR, "p", 5)
    last = Throttled("slow").after(30)
    assert tried(source, Throttled("slow").after(8), last) == ["a", "b"]
    assert source.ended(last).retry_after == 8

    source = sources.for_call(OPERATOR, "p", 5)
    assert tried(source, None) == []
    untried = source.ended(None)
    assert (type(untried), untried.retry_after) == (Throttled, 8)


def test_no_key_that_can_be_used_is_no_fault_of_the_callers(clock):
    """K-093: not a word of why."""
    sources = sources_of(clock, key("a"))
    tried(sources.for_call(OPERATOR, "p", 1), CredentialRefused("no"))
    found = sources.for_call(OPERATOR, "p", 5).ended(None)

    assert (type(found), found.status, found.retry_after) == (NoCredential, 503, 10)


def test_no_attempt_is_begun_when_the_time_is_over(clock):
    source = sources_of(clock, key("a"), seconds=10).for_call(OPERATOR, "p", 50)
    calls = 0
    for lent in source.candidates():
        calls += 1
        clock.at += 4
        lent.failed(UpstreamError("down"))
        lent.give_back()

    assert calls == 3


def test_retries_are_at_most_a_fifth_of_the_calls(clock, monkeypatch):
    """R-074: 50 calls a second for a minute, all of which fail, and keys that never rest."""
    monkeypatch.setattr(clock, "sleep", lambda seconds: None)  # others call in the meantime
    pool = pool_of(clock, *(key(f"k{i}") for i in range(200)), rules=Rules(longest=0))
    sources = Sources(pool, clock, Persistence(wait_seconds=0))
    attempts = 0
    for _ in range(3000):
        attempts += len(tried(sources.for_call(OPERATOR, "p", 6), UpstreamError("down")))
        clock.at += 0.02

    assert 3000 < attempts <= 3600


def test_a_quiet_gateway_repeats_as_often_as_it_was_told(clock):
    sources = sources_of(clock, key("a"), key("b"), key("c"))

    assert len(tried(sources.for_call(OPERATOR, "p", 6), down())) == 6


def test_keys_that_are_turned_away_do_not_spend_the_budget(clock):
    sources = sources_of(clock, *(key(f"k{i}") for i in range(60)), percent=0)
    errors = [CredentialRefused("no")] * 50 + [None]

    assert len(tried(sources.for_call(OPERATOR, "p", 60), *errors)) == 51


def test_what_the_caller_brought_is_tried_once_and_nothing_else_is(clock):
    """C-042, C-043."""
    source = sources_of(clock, key("a")).for_call(
        Caller(None, Secret("own")), "p", 9, groups=("x",)
    )
    (lent,) = source.candidates()
    lent.failed(Unreachable("no"))

    assert source.only_once and lent.credential.token == Secret("own")


def test_a_platform_without_keys_has_nothing_to_try(clock):
    sources = sources_of(clock, key("a"))

    assert [sources.has_any(name) for name in "pq"] == [True, False]
    source = sources.for_call(OPERATOR, "q", 9)
    assert tried(source, None) == []
    assert isinstance(source.ended(None), NoCredential)


def licence(*groups: str) -> Caller:
    return Caller(Licence(1, "n", "", (), (), 0, None, None, groups=groups))


def test_a_licence_may_use_its_groups_only(clock):
    sources = sources_of(clock, key("a", groups=("free",)), key("b", groups=("pro",)), key("c"))

    assert tried(sources.for_call(licence("pro"), "p", 9), CredentialRefused("no")) == ["b"]
    with pytest.raises(NotAllowed):
        sources.for_call(licence("pro"), "p", 9, groups=("free",))
    assert tried(sources.for_call(licence("pro", "free"), "p", 9, groups=("free",)), None) == ["a"]


def test_groups_nobody_knows_and_groups_without_a_key_are_told_apart(clock):
    """C-151."""
    sources = sources_of(clock, key("a", groups=("mine",)))

    with pytest.raises(UnknownGroup):
        sources.for_call(OPERATOR, "p", 9, groups=("theirs",))
    source = sources.for_call(OPERATOR, "p", 9, groups=("pro",))
    assert tried(source, None) == []
    assert str(source.ended(None)) == "the platform has no key in the group pro"


@pytest.mark.parametrize(
    "asked, said, usage",
    [
        (0, 0, Usage(1, 0, estimated=True)),
        (400, 1, Usage(100, 1, estimated=True)),
        (400, 8, Usage(100, 2, estimated=True)),
        (10**9, 9, Usage(MOST_INPUT // 4, 3, estimated=True)),
    ],
)
def test_usage_nobody_told_is_estimated_and_says_so(asked, said, usage):
    """C-092."""
    assert estimated(asked, said) == usage
