"""The gate of one worker, by a clock that is moved."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from app.access.caller import Caller
from app.access.standing import Allotment, Standing, span
from app.errors import OverLimit
from app.limits import Allowance, Limits
from app.pool.host_tally import HostTally
from app.pool.slate import Slate
from app.pool.window import SLIDING
from app.storage.licences import Licence
from app.web.gate import Gate, Minutes, PerMinute, Ticket
from tests.pool.conftest import NOON, Clock

TURN = NOON // 60 * 60
KEPT: list[Ticket] = []  # one that is lost has left


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


@pytest.fixture(autouse=True)
def _all_leave() -> Iterator[None]:
    yield
    KEPT.clear()


def licence(name: str = "abcd1234", **limits) -> Licence:
    return Licence(1, name, "", (), (), 0, None, None, allowance=Allowance(Limits(**limits)))


def enter(gate: Gate, one: Licence, tokens: int = 0) -> tuple[Ticket, dict[str, str]]:
    """A call that has entered, and what its answer says."""
    caller = Caller(one)
    return gate.enter(caller, tokens), caller.standing.headers()


def left(gate: Gate, one: Licence, tokens: int = 0, of: str = "requests") -> str:
    """What is left when one more has entered and does not leave."""
    ticket, headers = enter(gate, one, tokens)
    KEPT.append(ticket)
    return headers[f"x-ratelimit-remaining-{of}"]


def refused(gate: Gate, one: Licence, tokens: int = 0) -> OverLimit:
    return refusal(gate, one, tokens)[0]


def refusal(gate: Gate, one: Licence, tokens: int = 0) -> tuple[OverLimit, dict[str, str]]:
    caller = Caller(one)
    with pytest.raises(OverLimit) as caught:
        gate.enter(caller, tokens)
    return caught.value, caller.standing.headers()


def test_requests_begin_anew_when_the_minute_turns(gate, clock):
    """C-239, C-240, C-243."""
    one = licence(rpm=2)
    assert enter(gate, one)[1] == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "1",
        "x-ratelimit-reset-requests": "48s",
    }
    assert left(gate, one) == "0"
    error, headers = refusal(gate, one)
    assert (error.status, error.code, error.retry_after) == (429, "rpm_exceeded", 48)
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert "requests a minute is 2" in str(error)

    clock.at = TURN + 59.9
    assert refused(gate, one).retry_after == 1
    clock.at = TURN + 60
    assert left(gate, one) == "1"


def test_requests_slide_out_where_minutes_slide(tmp_path, clock):
    """C-239, C-240, C-243: half of those of the minute before are gone in the middle of this one."""
    gate = Gate(HostTally(lambda: Slate(tmp_path / "counters"), SLIDING), clock)
    one = licence(rpm=4)
    assert [left(gate, one) for _ in range(4)] == ["3", "2", "1", "0"]
    error, headers = refusal(gate, one)
    assert (error.code, error.retry_after) == ("rpm_exceeded", 63)  # a fourth of them is gone
    assert headers["x-ratelimit-reset-requests"] == "1m48s"

    clock.at = TURN + 60
    assert refused(gate, one).retry_after == 15
    clock.at = TURN + 90
    assert [left(gate, one) for _ in range(2)] == ["1", "0"]
    assert refused(gate, one).retry_after == 15


def test_another_limit_does_not_make_forget_what_was_used(gate):
    for _ in range(3):
        enter(gate, licence(rpm=5))

    assert refused(gate, licence(rpm=3)).code == "rpm_exceeded"
    assert enter(gate, licence(rpm=4))


def test_tokens_are_held_and_made_good(gate, clock):
    one = licence(tpm=1000)
    first, headers = enter(gate, one, 800)
    assert headers["x-ratelimit-remaining-tokens"] == "200"
    assert refused(gate, one, 300).code == "tpm_exceeded"
    first.leave(100)
    second, headers = enter(gate, one, 300)
    assert headers["x-ratelimit-remaining-tokens"] == "600"
    second.leave(None)  # nobody counted: what was thought stays
    assert left(gate, one, 1, "tokens") == "599"

    clock.at += 60
    first.leave(5000)  # over already: changes nothing
    assert left(gate, one, 10, "tokens") == "990"


def test_what_is_refused_has_used_nothing(gate, tally, clock):
    """Not even for a moment what was counted before the limit that refused."""
    one = licence(rpm=10, tpm=1000, concurrency=1)
    going, _ = enter(gate, one, 100)
    assert refused(gate, one, 100).code == "concurrency_exceeded"
    assert refused(gate, one, 950).code == "tpm_exceeded"

    used = tally.used("licence:abcd1234", clock.now())
    assert (used.minute_requests, used.minute_tokens, used.calls) == (1, 100, 1)
    going.leave(0)


def test_a_ticket_that_is_lost_has_left(gate):
    """As where a caller hangs up before the first piece of a stream."""
    one = licence(concurrency=1)
    ticket, _ = enter(gate, one)
    error = refused(gate, one)
    assert error.retry_after == 1
    del ticket
    gc.collect()

    again, _ = enter(gate, one)
    again.leave(0)
    again.leave(0)
    last, _ = enter(gate, one)
    assert refused(gate, one)
    last.leave(0)


def test_a_call_that_another_limit_refuses_was_no_request(gate, tally, clock):
    """As where the ledger has nothing left for it."""
    one = licence(rpm=2, tpm=1000)
    ticket, _ = enter(gate, one, 100)
    ticket.undo()
    ticket.undo()

    used = tally.used("licence:abcd1234", clock.now())
    assert (used.minute_requests, used.minute_tokens) == (0, 0)


MINUTES = Allotment(60, 10, 20.0)


@pytest.mark.parametrize(
    ("day", "told"),
    [
        (Allotment(1000, 100, 5000.0), ("60", "50", "20s")),
        (Allotment(1000, 970, 5000.0), ("1000", "30", "1h23m20s")),
        (Allotment(50, 0, 5000.0), ("50", "50", "1h23m20s")),  # as little, and for longer
        (Allotment(1000, 1200, 5000.0), ("1000", "0", "1h23m20s")),
    ],
)
@pytest.mark.parametrize("first", ["minute", "day"])
def test_of_a_minute_and_a_day_the_tighter_one_is_told(day, told, first):
    """C-243."""
    standing = Standing()
    for one in (MINUTES, day) if first == "minute" else (day, MINUTES):
        standing.meet_requests(one)

    names = ("limit", "remaining", "reset")
    assert standing.headers() == {
        f"x-ratelimit-{name}-requests": word for name, word in zip(names, told, strict=True)
    }


def test_licences_without_limits_are_not_counted(gate, tally, clock):
    ticket, headers = enter(gate, licence(rpd=5, tpd=5), 7)
    assert headers == {}
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
