"""Counting what has limits: on one host, in Redis, and in both."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.clock import SystemClock
from app.days import DAY
from app.limits import UNLIMITED, Allowance, Limits
from app.pool.choice import Wanted
from app.pool.hindrance import Hindrance
from app.pool.host_tally import HostTally
from app.pool.redis_tally import RedisTally
from app.pool.shared_tally import SharedTally
from app.pool.slate import NEAR, SLOTS, Slate
from app.pool.tally import Draw, Taken, Tally
from app.pool.window import FIXED, MINUTE, SLIDING, WINDOWS, Window
from tests.pool.conftest import NOON, key, picked, pool_of
from tests.redis_server import RedisServer

pytestmark = pytest.mark.slow  # a Redis of its own
CALL = Draw(1, 0, 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


def host_tally(folder, name="counters", window: Window = FIXED) -> HostTally:
    tally = HostTally(lambda: Slate(folder / name), window)
    tally.start()
    return tally


def shared_tally(
    server: RedisServer, folder, name="counters", hosts=2, window: Window = FIXED
) -> SharedTally:
    """One host's, without the greenlet: tests look when they want it to."""
    host = host_tally(folder, name, window)
    return SharedTally(host, RedisTally(server.url, window), hosts, SystemClock())


@pytest.fixture(params=WINDOWS.values(), ids=WINDOWS)
def window(request) -> Window:
    return request.param


@pytest.fixture(params=["host", "redis", "shared"])
def tally(request, tmp_path, window) -> Tally:
    if request.param == "host":
        return host_tally(tmp_path, window=window)
    server = request.getfixturevalue("server")
    server.client.flushall()
    if request.param == "redis":
        return RedisTally(server.url, window)
    return shared_tally(server, tmp_path, window=window)


def give(tally, taken: Taken, tokens: int) -> None:
    if isinstance(tally, RedisTally):
        tally.give(taken, tokens)
    else:
        tally.give(taken, tokens, time.time())


def settled_minute() -> None:
    """Waits for the next minute where this one is about to end: by its end tests would see two."""
    left = MINUTE - time.time() % MINUTE
    if left < 5:
        threading.Event().wait(left)


# ---------------------------------------------------------------- every tally


@pytest.mark.parametrize(
    "limits", [Limits(rpm=3), Limits(rpd=3), Limits(concurrency=3), Limits(tpm=3), Limits(tpd=3)]
)
def test_a_limit_lets_in_what_it_says(tally, limits):
    """C-240."""
    settled_minute()
    draw = Draw(1, 1, 1)
    found = [tally.take("a", draw, limits, time.time()) for _ in range(5)]

    assert [isinstance(one, Taken) for one in found] == [True] * 3 + [False] * 2
    kind = next(name for name in Limits.__slots__ if getattr(limits, name))
    assert {one.kind for one in found[3:]} == {kind}
    assert isinstance(tally.take("b", draw, limits, time.time()), Taken)


def test_what_is_refused_is_not_counted(tally):
    settled_minute()
    limits = Limits(rpm=5, tpm=10)
    assert isinstance(tally.take("a", Draw(1, 8, 1), limits, time.time()), Taken)
    assert tally.take("a", Draw(1, 8, 1), limits, time.time()).kind == "tpm"
    last = [tally.take("a", Draw(1, 0, 1), Limits(rpm=5), time.time()) for _ in range(5)]

    assert [isinstance(one, Taken) for one in last] == [True] * 4 + [False]


def test_a_refusal_says_when_there_is_more(tally):
    settled_minute()
    limits = Limits(rpm=1)
    tally.take("a", CALL, limits, time.time())
    now = time.time()
    found = tally.take("a", CALL, limits, now)

    turns = 1 if tally.window is FIXED else 2  # until it has slid out altogether
    assert found.until == pytest.approx((now // MINUTE + turns) * MINUTE, abs=1)


def test_tokens_that_were_held_and_not_used_are_free_again(tally):
    settled_minute()
    limits = Limits(tpm=100)
    first = tally.take("a", Draw(1, 90, 1), limits, time.time())
    assert isinstance(tally.take("a", Draw(1, 20, 1), limits, time.time()), Hindrance)
    give(tally, first, 50)

    assert isinstance(tally.take("a", Draw(1, 50, 1), limits, time.time()), Taken)
    assert isinstance(tally.take("a", Draw(1, 1, 1), limits, time.time()), Hindrance)


def test_tokens_beyond_what_was_held_count_too(tally):
    settled_minute()
    limits = Limits(tpm=100)
    give(tally, tally.take("a", Draw(1, 10, 1), limits, time.time()), 95)

    assert isinstance(tally.take("a", Draw(1, 10, 1), limits, time.time()), Hindrance)


def test_an_estimate_above_the_limit_gets_in_where_nothing_is_used(tally):
    settled_minute()
    limits = Limits(tpm=100)
    assert isinstance(tally.take("a", Draw(1, 5000, 1), limits, time.time()), Taken)
    assert isinstance(tally.take("a", Draw(1, 1, 1), limits, time.time()), Hindrance)


def test_a_call_that_is_over_makes_room(tally):
    limits = Limits(concurrency=1)
    first = tally.take("a", CALL, limits, time.time())
    assert isinstance(tally.take("a", CALL, limits, time.time()), Hindrance)
    give(tally, first, 0)
    assert isinstance(tally.take("a", CALL, limits, time.time()), Taken)


# ---------------------------------------------------------------- a host's, by a clock that is moved


@pytest.mark.parametrize("kind, of", [("rpm", MINUTE), ("rpd", DAY), ("tpm", MINUTE)])
def test_counts_begin_anew_with_the_minute_and_the_day(tmp_path, kind, of):
    """C-239."""
    tally, limits = host_tally(tmp_path), Limits(**{kind: 1})
    start = NOON // of * of
    for turn in range(3):
        now = start + turn * of
        found = [tally.take("a", Draw(1, 1, 0), limits, now + part) for part in (0, of - 1)]
        assert [isinstance(one, Taken) for one in found] == [True, False]
        assert found[1].until == now + of


def test_who_looked_at_the_clock_before_the_minute_turned_counts_with_the_rest(tmp_path):
    """Two workers at the turn: the slower one must not begin the old minute again."""
    tally, limits, turn = host_tally(tmp_path), Limits(rpm=2), NOON // MINUTE * MINUTE
    taken = [tally.take("a", CALL, limits, turn + part) for part in (0.1, -0.1, 0.1, -0.1, 0.2)]

    assert [isinstance(one, Taken) for one in taken] == [True, True, False, False, False]


def test_what_was_held_in_a_minute_that_is_over_is_not_taken_from_the_next(tmp_path):
    tally, limits = host_tally(tmp_path), Limits(tpm=100)
    turn = NOON // MINUTE * MINUTE
    first = tally.take("a", Draw(1, 90, 1), limits, turn)
    second = tally.take("a", Draw(1, 50, 1), limits, turn + MINUTE)
    tally.give(first, 10, turn + MINUTE)
    assert tally.used("a", turn + MINUTE).minute_tokens == 50
    tally.give(second, 70, turn + MINUTE)
    assert tally.used("a", turn + MINUTE).minute_tokens == 70


# ---------------------------------------------------------------- minutes that slide


def sliding(folder, *steps: tuple[float, int], limits: Limits) -> list[int]:
    """How many of so many calls each are let in, so many seconds after a minute has begun."""
    tally, start = host_tally(folder, window=SLIDING), NOON // MINUTE * MINUTE
    return [
        sum(isinstance(tally.take("a", CALL, limits, start + at), Taken) for _ in range(calls))
        for at, calls in steps
    ]


def test_what_was_used_slides_out_bit_by_bit(tmp_path):
    """C-239: sixty a minute that are used at once come back one a second."""
    steps = ((50, 100), (59.9, 100), (60, 100), (61, 100), (75, 100), (90, 100), (119.9, 100))
    found = sliding(tmp_path, *steps, (121, 100), limits=Limits(rpm=60))

    assert found == [60, 0, 0, 1, 14, 15, 29, 1]


def test_the_turn_of_a_minute_does_not_give_twice_as_much(tmp_path):
    """As the clock's own minute does."""
    steps, limits = ((59, 100), (60.5, 100)), Limits(rpm=100)
    tally = host_tally(tmp_path, "fixed")
    start = NOON // MINUTE * MINUTE
    fixed = [
        sum(isinstance(tally.take("a", CALL, limits, start + at), Taken) for _ in range(calls))
        for at, calls in steps
    ]

    assert fixed == [100, 100] and sliding(tmp_path, *steps, limits=limits) == [100, 0]


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(1, 8)), max_size=40), st.integers(1, 20))
def test_a_refusal_tells_when_there_is_room_and_not_too_early(tmp_path_factory, steps, most):
    tally = host_tally(tmp_path_factory.mktemp("counters"), window=SLIDING)
    limits, now = Limits(tpm=most), NOON
    for wait, tokens in steps:
        now += wait
        draw = Draw(0, tokens, 0)
        found = tally.take("a", draw, limits, now)
        if isinstance(found, Hindrance):
            assert now <= found.until <= now + 2 * MINUTE
            if found.until - now > 0.01:
                early = tally.take("a", draw, limits, found.until - 0.01)
                assert isinstance(early, Hindrance)
            now = found.until + 1e-6
            assert isinstance(tally.take("a", draw, limits, now), Taken)
        assert tally.used("a", now).minute_tokens <= max(most, tokens)


def test_what_was_held_and_not_used_is_free_although_the_minute_has_turned(tmp_path):
    tally, limits = host_tally(tmp_path, window=SLIDING), Limits(tpm=100)
    turn = NOON // MINUTE * MINUTE + MINUTE
    first = tally.take("a", Draw(1, 90, 1), limits, turn - 1)
    assert tally.used("a", turn + 30).minute_tokens == 45
    tally.give(first, 10, turn + 30)

    assert tally.used("a", turn + 30).minute_tokens == 5


@pytest.mark.parametrize("kind", ["rpm", "tpm"])
def test_redis_slides_as_a_host_does(server, tmp_path, kind):
    """By its own clock: the minute before is put there, so that nobody waits for one."""
    settled_minute()
    there, here = RedisTally(server.url, SLIDING), host_tally(tmp_path, window=SLIDING)
    limits, name = Limits(**{kind: 100}), f"slides-{kind}"
    draw, before = Draw(1, 1, 0), time.time() - MINUTE
    for _ in range(80):
        here.take(name, draw, limits, before)
    server.client.hset(
        f"tokens:used:{{{name}}}", mapping={"minute": int(before // MINUTE), "mr": 80, "mt": 80}
    )
    for _ in range(120):
        now = time.time()
        found, wanted = there.take(name, draw, limits, now), here.take(name, draw, limits, now)
        if type(found) is not type(wanted):  # a call slid out in between
            found = there.take(name, draw, limits, time.time())
        if isinstance(found, Hindrance):
            assert isinstance(wanted, Hindrance) and found.until == pytest.approx(
                wanted.until, 1e-9
            )
            break
    else:
        pytest.fail("nobody was refused")


def test_what_redis_was_told_too_much_of_is_free_although_the_minute_has_turned(server):
    settled_minute()
    tally, limits = RedisTally(server.url, SLIDING), Limits(tpm=100)
    taken = tally.take("late", Draw(1, 90, 1), limits, time.time())
    key = "tokens:used:{late}"
    server.client.hset(key, mapping={"minute": taken.minute - 1})
    tally.give(replace(taken, minute=taken.minute - 1), 10)

    assert server.client.hmget(key, "mt", "bt") == [b"0", b"10"]


def test_counters_of_another_layout_are_not_believed(tmp_path):
    """Those of a version before, which has ended."""
    tally, file = host_tally(tmp_path), tmp_path / "counters"
    assert isinstance(tally.take("a", CALL, Limits(concurrency=1), NOON), Taken)
    data = bytearray(file.read_bytes())
    data[:1024] = bytes(1024)
    file.write_bytes(data)

    assert host_tally(tmp_path).used("a", NOON).calls == 0


def test_a_slot_nobody_needs_is_anothers(tmp_path, monkeypatch):
    """There are more names in a year than there are slots; none of them is ever without a limit."""
    monkeypatch.setattr("app.pool.slate.NEAR", 4)
    monkeypatch.setattr("app.pool.slate.SLOTS", 4)
    tally, limits = host_tally(tmp_path), Limits(rpm=1, concurrency=5)
    for name in "abcdefgh":
        found = [tally.take(name, CALL, limits, NOON) for _ in range(2)]
        assert [isinstance(one, Taken) for one in found] == [True, False]
        tally.give(found[0], 0, NOON)
    assert isinstance(tally.take("a", CALL, limits, NOON), Taken)
    assert NEAR < SLOTS


@dataclass
class Model:
    """Counting as one would explain it."""

    minute: int = 0
    requests: int = 0
    tokens: int = 0
    going: list[tuple[int, int]] = field(default_factory=list)  # minute, tokens held

    def turn(self, now: float) -> None:
        if int(now // MINUTE) != self.minute:
            self.minute, self.requests, self.tokens = int(now // MINUTE), 0, 0

    def take(self, tokens: int, limits: Limits, now: float) -> bool:
        self.turn(now)
        fits = self.requests < limits.rpm and len(self.going) < limits.concurrency
        if not fits or self.tokens + min(max(tokens, 1), limits.tpm) > limits.tpm:
            return False
        self.requests, self.tokens = self.requests + 1, self.tokens + tokens
        self.going.append((self.minute, tokens))
        return True

    def give(self, place: int, tokens: int, now: float) -> None:
        self.turn(now)
        minute, held = self.going.pop(place)
        if tokens > held or minute == self.minute:
            self.tokens = max(self.tokens + tokens - held, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 60)),
        st.tuples(st.just("give"), st.integers(0, 80)),
        st.tuples(st.just("wait"), st.integers(1, 90)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 6), st.integers(1, 100), st.integers(1, 4))
def test_a_host_counts_as_the_model_does(tmp_path_factory, steps, rpm, tpm, concurrency):
    """R-060."""
    tally = host_tally(tmp_path_factory.mktemp("counters"))
    limits, model, going, now = Limits(rpm, None, tpm, None, concurrency), Model(), [], NOON
    for step, amount in steps:
        if step == "wait":
            now += amount
        elif step == "take":
            found = tally.take("a", Draw(1, amount, 1), limits, now)
            assert isinstance(found, Taken) == model.take(amount, limits, now)
            going += [found] if isinstance(found, Taken) else []
        elif going:
            model.give(0, amount, now)
            tally.give(going.pop(0), amount, now)
        model.turn(now)
        used = tally.used("a", now)
        assert (used.minute_requests, used.minute_tokens) == (model.requests, model.tokens)
        assert used.calls == len(model.going) <= concurrency


# ---------------------------------------------------------------- two hosts, and a Redis that fails


@pytest.fixture
def own(tmp_path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def hosts(own, tmp_path) -> list[SharedTally]:
    return [shared_tally(own, tmp_path, name) for name in ("one", "two")]


def let_in(hosts: list[SharedTally], limits: Limits, times: int = 20, name: str = "a") -> int:
    found = [host.take(name, CALL, limits, time.time()) for _ in range(times) for host in hosts]
    return sum(isinstance(one, Taken) for one in found)


def test_two_hosts_count_together(hosts):
    settled_minute()
    assert let_in(hosts, Limits(rpm=10)) == 10
    assert let_in(hosts, Limits(concurrency=7), name="b") == 7


def test_two_hundred_at_once_from_two_hosts(hosts):
    """R-059 for rates: exactly ten of two hundred, fifty times over."""
    for turn in range(50):
        settled_minute()
        found: list[object] = []
        threads = [
            threading.Thread(
                target=lambda host: found.extend(
                    host.take(f"n{turn}", CALL, Limits(rpm=10), time.time()) for _ in range(25)
                ),
                args=(host,),
            )
            for host in hosts * 4
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sum(isinstance(one, Taken) for one in found) == 10


def die(server: RedisServer) -> None:
    server.kill()


def hang(server: RedisServer) -> None:
    server.freeze()


@pytest.mark.parametrize("fail", [die, hang])
def test_without_redis_each_host_gives_its_part_and_says_so_once(own, hosts, fail, caplog):
    """R-143, M-21: never an error, never without a limit."""
    settled_minute()
    let_in(hosts, UNLIMITED, 1, "warm")
    fail(own)
    began = time.monotonic()
    assert let_in(hosts, Limits(rpm=10)) == 10  # five and five
    assert let_in(hosts, Limits(concurrency=3), name="b") == 2  # at least one each
    assert time.monotonic() - began < 0.5  # what each waited once, and not eighty times
    for host in hosts * 2:
        host.look()

    alarms = [one for one in caplog.records if one.levelname == "ERROR"]
    assert len(alarms) == 2  # one a host, however often it looks


def test_a_host_that_hangs_costs_fifty_milliseconds_once(own, hosts):
    """R-143."""
    let_in(hosts, UNLIMITED, 1, "warm")
    own.freeze()
    times = []
    for _ in range(20):
        began = time.monotonic()
        hosts[0].take("a", CALL, Limits(rpm=100), time.time())
        times.append(time.monotonic() - began)

    assert times[0] < 0.25 and sum(times[1:]) < 0.05


def test_what_a_host_counted_before_is_known_when_it_is_alone(own, hosts):
    """The minute in which Redis dies is no second minute for whoever has used it."""
    settled_minute()
    assert let_in(hosts[:1], Limits(rpm=10), 8) == 8
    own.kill()

    assert let_in(hosts[:1], Limits(rpm=10)) == 0  # five, and it has given eight


def test_redis_comes_back_with_nothing_and_calls_that_go_on_are_counted(own, hosts, caplog):
    limits = Limits(concurrency=4)
    before = [hosts[0].take("a", CALL, limits, time.time()) for _ in range(2)]
    own.kill()
    alone = hosts[1].take("a", CALL, limits, time.time())
    assert isinstance(alone, Taken)
    hosts[0].look()
    hosts[1].look()
    assert all(host.is_alone for host in hosts)

    own.start()
    for host in hosts:
        host.look()
    assert not any(host.is_alone for host in hosts)
    assert [one.levelname for one in caplog.records if "again" in one.message] == ["WARNING"] * 2
    assert let_in(hosts, limits) == 1  # three are going
    for host, taken in ((hosts[0], before[0]), (hosts[0], before[1]), (hosts[1], alone)):
        host.give(taken, 0, time.time())
    assert let_in(hosts, limits) == 3


def test_seats_of_a_host_that_is_gone_are_free_within_a_minute(own, hosts, monkeypatch):
    """Who still has calls keeps their seats."""
    monkeypatch.setattr("app.pool.redis_tally.SEAT_SECONDS", 2)
    limits = Limits(concurrency=2)
    assert all(isinstance(host.take("a", CALL, limits, time.time()), Taken) for host in hosts)

    def freed() -> bool:
        hosts[0].look()  # the other one is gone
        return let_in(hosts[:1], limits, 1) == 1

    assert not freed()
    end = time.monotonic() + 10
    while not freed():
        assert time.monotonic() < end
        threading.Event().wait(0.1)
    assert let_in(hosts[:1], limits) == 0


def test_a_redis_that_comes_back_hears_late_what_it_missed(own, hosts):
    limits = Limits(concurrency=1)
    taken = hosts[0].take("a", CALL, limits, time.time())
    own.freeze()
    hosts[0].give(taken, 0, time.time())
    own.thaw()
    assert let_in(hosts[1:], limits, 1) == 0
    hosts[0].look()
    assert let_in(hosts[1:], limits, 1) == 1


def test_what_is_given_at_leisure_waits_for_nobody(own, hosts):
    """As it must be where an answer that nobody read is cleared away."""
    limits = Limits(concurrency=1)
    taken = hosts[0].take("a", CALL, limits, time.time())
    own.freeze()
    began = time.monotonic()
    hosts[0].give(taken, 0, time.time(), at_leisure=True)
    assert time.monotonic() - began < 0.02
    own.thaw()
    hosts[0].look()
    assert let_in(hosts, limits) == 1


# ---------------------------------------------------------------- credentials


def test_a_credentials_limits_count_over_hosts(own, hosts):
    """C-245: two pools, a Redis."""
    settled_minute()
    clock = SystemClock()
    pools = [
        pool_of(clock, key("a", allowance=Allowance(Limits(rpm=4))), tally=host) for host in hosts
    ]
    found = [picked(pool) for _ in range(4) for pool in pools]
    assert found == ["a"] * 4 + [None] * 4
    hindered = pools[1].next_look("p", Wanted("m"))
    assert hindered.kind == "rpm" and hindered.until > clock.now()


def test_calls_at_the_same_time_do_not_go_over_a_credentials_tokens(clock, tmp_path):
    """Each is thought to come to 400 of 1,000; what the first did not use serves the third."""
    limited = key("a", allowance=Allowance(Limits(tpm=1000)))
    pool = pool_of(clock, limited, tally=host_tally(tmp_path))
    assert pool.counts_tokens("p") and not pool.counts_tokens("q")
    wanted = Wanted("m", tokens=400)
    first, second = pool.pick("p", wanted), pool.pick("p", wanted)
    assert first and second and pool.pick("p", wanted) is None
    first.give_back(50)
    clock.at += 1  # a refusal for tokens that are held is looked at again soon
    assert pool.pick("p", wanted) is not None


def test_a_limit_that_is_taken_away_leaves_nothing_behind(clock, tmp_path):
    """What was going when it went is not held against the credential when it comes back."""
    tally = host_tally(tmp_path)
    keys = [key("a", allowance=Allowance(Limits(concurrency=1))), key("a")]
    pool = pool_of(clock, keys[0], tally=tally)
    lease = pool.pick("p", Wanted("m"))
    pool._take_in({"p": [keys[1]]})
    lease.give_back(0)
    pool._take_in({"p": [keys[0]]})

    assert picked(pool) == "a"
