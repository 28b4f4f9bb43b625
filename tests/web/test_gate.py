"""The gate of one worker, by a clock that is moved."""

from __future__ import annotations

import gc

import pytest

from app.errors import OverLimit
from app.limits import Allowance, Limits
from app.pool.host_tally import HostTally
from app.pool.slate import Slate
from app.storage.licences import Licence
from app.web.gate import Gate, Minutes, PerMinute, span
from tests.pool.conftest import NOON, Clock

TURN = NOON // 60 * 60


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.at = TURN + 12.5
    return clock


@pytest.fixture
def tally(tmp_path) -> HostTally:
    return HostTally(lambda: Slate(tmp_path / "counters"))


@pytest.fixture
def gate(tally, clock) -> Gate:
    return Gate(tally, clock)


def licence(name: str = "abcd1234", **limits) -> Licence:
    return Licence(1, name, "", (), (), 0, None, None, allowance=Allowance(Limits(**limits)))


def refused(gate: Gate, one: Licence, tokens: int = 0) -> OverLimit:
    with pytest.raises(OverLimit) as caught:
        gate.enter(one, tokens)
    return caught.value


def test_requests_begin_anew_when_the_minute_turns(gate, clock):
    """C-239, C-240, C-243."""
    one = licence(rpm=2)
    first = gate.enter(one, 0)
    assert first.headers() == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "48s",
    }
    assert gate.enter(one, 0).headers()["x-ratelimit-remaining-requests"] == "0"
    error = refused(gate, one)
    assert (error.status, error.code, error.retry_after) == (429, "rpm_exceeded", 48)
    assert error.headers["x-ratelimit-remaining-requests"] == "0"
    assert "2 requests a minute" in str(error)

    clock.at = TURN + 59.9
    assert refused(gate, one).retry_after == 1
    clock.at = TURN + 60
    assert gate.enter(one, 0).headers()["x-ratelimit-remaining-requests"] == "1"


def test_another_limit_does_not_make_forget_what_was_used(gate):
    for _ in range(3):
        gate.enter(licence(rpm=5), 0)

    assert refused(gate, licence(rpm=3)).code == "rpm_exceeded"
    assert gate.enter(licence(rpm=4), 0)


def test_tokens_are_held_and_made_good(gate, clock):
    one = licence(tpm=1000)
    first = gate.enter(one, 800)
    assert first.headers()["x-ratelimit-remaining-tokens"] == "200"
    assert refused(gate, one, 300).code == "tpm_exceeded"
    first.leave(100)
    second = gate.enter(one, 300)
    assert second.headers()["x-ratelimit-remaining-tokens"] == "600"
    second.leave(None)  # nobody counted: what was thought stays
    assert gate.enter(one, 1).headers()["x-ratelimit-remaining-tokens"] == "599"

    clock.at += 60
    first.leave(5000)  # over already: changes nothing
    assert gate.enter(one, 10).headers()["x-ratelimit-remaining-tokens"] == "990"


def test_what_is_refused_has_used_nothing(gate, tally, clock):
    """Not even for a moment what was counted before the limit that refused."""
    one = licence(rpm=10, tpm=1000, concurrency=1)
    going = gate.enter(one, 100)
    assert refused(gate, one, 100).code == "concurrency_exceeded"
    assert refused(gate, one, 950).code == "tpm_exceeded"

    used = tally.used("licence:abcd1234", clock.now())
    assert (used.minute_requests, used.minute_tokens, used.calls) == (1, 100, 1)
    going.leave(0)


def test_a_ticket_that_is_lost_has_left(gate):
    """As where a caller hangs up before the first piece of a stream."""
    one = licence(concurrency=1)
    ticket = gate.enter(one, 0)
    error = refused(gate, one)
    assert error.retry_after == 1
    del ticket
    gc.collect()

    again = gate.enter(one, 0)
    again.leave(0)
    again.leave(0)
    last = gate.enter(one, 0)
    assert refused(gate, one)
    last.leave(0)


def test_licences_without_limits_are_not_counted(gate, tally, clock):
    ticket = gate.enter(licence(rpd=5, tpd=5), 7)
    assert ticket.headers() == {}
    ticket.leave(7)
    assert tally.used("licence:abcd1234", clock.now()).minute_requests == 0


@pytest.mark.parametrize(
    "seconds, words",
    [(0.2, "1s"), (48, "48s"), (60, "1m0s"), (3600, "1h0m0s"), (86399.5, "24h0m0s")],
)
def test_times_are_written_as_openai_writes_them(seconds, words):
    assert span(seconds) == words


def test_the_storage_is_one_for_any_strategy(tally, clock):
    """What Flask-Limiter may ask of it besides."""
    minutes = Minutes("tally://", tally=tally, clock=clock)
    key = PerMinute(5).key_for("rpm", "x")
    assert minutes.incr(key, 60) == 1 and minutes.incr(key, 60, 3) == 4
    assert minutes.get(key) == 4 and minutes.get_moving_window(key, 5, 60) == (TURN, 4)
    assert minutes.get_expiry(key) == TURN + 60
    assert not minutes.acquire_entry(key, 5, 60, 2) and minutes.acquire_entry(key, 5, 60)
    minutes.clear(key)
    assert minutes.get(key) == 0 and minutes.check()
