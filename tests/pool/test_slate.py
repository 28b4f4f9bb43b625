"""Limits of a key's own, counted by all workers of a host together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from app.limits import Allowance, Limits
from app.pool.choice import Wanted, verdict
from app.pool.host_tally import HostTally
from app.pool.slate import Slate
from app.pool.use import Use
from tests.pool.conftest import key, picked, pool_of
from tests.stack import ROOT, until

NOON = 1_795_003_200.0  # a full minute


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "counters"


class One(Use):
    """The use of one credential, with what it has taken."""

    def __init__(self, tally, name, limits) -> None:
        super().__init__(tally, name, limits)
        self.tally, self.going = tally, []

    def start(self, now, tokens=0) -> bool:
        self._refused = None  # tests look at once
        taken = self.begin(tokens, now)
        self.going += [taken] if taken else []
        return taken is not None

    def end(self, tokens, now) -> None:
        self.tally.give(self.going.pop(), tokens, now)


def use_of(file, name="c", **limits) -> One:
    tally = HostTally(lambda: Slate(file))
    tally.start()
    return One(tally, name, Limits(**limits))


@pytest.mark.parametrize(
    "limits, calls, kind, until_",
    [
        ({"rpm": 3}, 3, "rpm", 60),
        ({"rpd": 3}, 3, "rpd", 86400 - NOON % 86400),
        ({"concurrency": 2}, 2, "concurrency", 0),
    ],
)
def test_calls_are_counted_up_to_the_limit(file, limits, calls, kind, until_):
    use = use_of(file, **limits)
    assert [use.start(NOON) for _ in range(calls + 2)] == [True] * calls + [False] * 2

    found = use.hindrance(NOON)
    assert (found.kind, found.until) == (kind, NOON + until_)


def test_tokens_count_when_they_are_known(file):
    use = use_of(file, tpm=100)
    assert use.start(NOON)
    use.end(60, NOON)
    assert use.start(NOON)
    use.end(60, NOON)

    assert use.hindrance(NOON).kind == "tpm"
    assert use.hindrance(NOON + 60) is None  # the next minute


def test_a_call_that_is_over_makes_room(file):
    use = use_of(file, concurrency=1)
    assert use.start(NOON) and not use.start(NOON)
    use.end(0, NOON)
    assert use.start(NOON)


def test_the_counts_of_a_day_survive_a_restart(file):
    use = use_of(file, rpd=2)
    use.start(NOON)
    use.end(0, NOON)
    again = use_of(file, rpd=2)

    assert again.start(NOON + 5) and not again.start(NOON + 5)


COUNTING = """
import sys, time
from pathlib import Path
from app.limits import Limits
from app.pool.host_tally import HostTally
from app.pool.slate import Slate
from app.pool.use import Use
tally = HostTally(lambda: Slate(Path(sys.argv[1]))); tally.start()
use = Use(tally, "c", Limits(rpm=1000, concurrency=int(sys.argv[2])))
sys.stdin.readline()
print(sum(use.begin(0, float(sys.argv[3])) is not None for _ in range(700)), flush=True)
sys.stdin.readline()
"""


def workers(file, concurrency: int) -> list[subprocess.Popen[str]]:
    words = [sys.executable, "-c", COUNTING, str(file), str(concurrency), str(NOON)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    return [subprocess.Popen(words, **pipes) for _ in range(4)]


@pytest.mark.slow
def test_workers_count_together_to_the_call(file):
    """2,800 tries of four processes at once against room for 1,000."""
    started = workers(file, 60_000)
    for one in started:
        one.stdin.write("\n")
        one.stdin.flush()
    counts = [int(one.stdout.readline()) for one in started]
    for one in started:
        one.communicate("\n", timeout=20)

    assert sum(counts) == 1000


MANY = """
import sys
from pathlib import Path
from app.limits import Limits
from app.pool.host_tally import HostTally
from app.pool.slate import Slate
from app.pool.tally import Draw, Taken
tally = HostTally(lambda: Slate(Path(sys.argv[1]))); tally.start()
print("ready", flush=True)
for name in sys.stdin:
    found = [tally.take(name, Draw(), Limits(rpm=10), float(sys.argv[2])) for _ in range(50)]
    print(sum(isinstance(one, Taken) for one in found), flush=True)
"""


@pytest.mark.slow
def test_ten_of_two_hundred_fifty_times_over(file):
    """R-059 for rates: four processes with fifty tries each, at once."""
    words = [sys.executable, "-c", MANY, str(file), str(NOON)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    started = [subprocess.Popen(words, **pipes) for _ in range(4)]
    assert [one.stdout.readline() for one in started] == ["ready\n"] * 4
    for turn in range(50):
        for one in started:
            one.stdin.write(f"name{turn}\n")
            one.stdin.flush()
        assert sum(int(one.stdout.readline()) for one in started) == 10
    for one in started:
        one.communicate(timeout=20)


@pytest.mark.slow
def test_what_a_killed_worker_had_going_is_free_again(file):
    """Its column is the next one's, who clears it."""
    victim, *others = workers(file, 5)
    for one in others:
        one.communicate("\n\n", timeout=20)
    victim.stdin.write("\n")
    victim.stdin.flush()
    victim.stdout.readline()
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait(20)
    use = use_of(file, concurrency=5)
    assert until(lambda: use.hindrance(NOON + 60) is None)


def test_a_pool_passes_over_a_key_that_has_used_its_limit(clock, file):
    """C-245."""
    keys = key("a", allowance=Allowance(Limits(rpm=2)), priority=1), key("b")
    pool = pool_of(clock, *keys, tally=HostTally(lambda: Slate(file)))
    assert [picked(pool) for _ in range(4)] == ["a", "a", "b", "b"]
    reasons = [
        verdict(one, Wanted("m"), clock.now()).reason for one in pool.candidates("p", Wanted("m"))
    ]
    assert reasons == ["rpm, 2 of 2 used", "ready"]

    clock.at += 60
    assert picked(pool) == "a"


def test_a_pool_holds_a_key_to_its_calls_at_a_time(clock, file):
    pool = pool_of(
        clock,
        key("a", allowance=Allowance(Limits(concurrency=2))),
        tally=HostTally(lambda: Slate(file)),
    )
    held = [pool.pick("p", Wanted("m")) for _ in range(3)]
    assert [one is None for one in held] == [False, False, True]
    held[0].give_back(10)
    assert picked(pool) == "a"
