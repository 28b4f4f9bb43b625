"""R-025 to R-027, M-04, M-05: how long it takes from a caller's hanging up to the platform's being let go."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from tests.deploy.front import Front
from tests.deploy.service import opened
from tests.models import DIRECT
from tests.platforms.callers import CALLERS
from tests.platforms.conftest import Pair
from tests.platforms.line import Line
from tests.soak.trouble import Trouble, TroubledSimulators, much
from tests.stack import Simulators, Stack, until
from tests.upstream.rawserver import Peer, RawServer

pytestmark = pytest.mark.slow
# Reliability asks for 1,000: set SOAK_HANGUPS.
CALLS = int(os.environ.get("SOAK_HANGUPS", "60"))
AT_ONCE = 6
SOON = 2.0 if CALLS >= 1000 else 5.0  # seconds, for 99 of a hundred; a busy machine is slow
SMALL = 4096  # bytes that the kernel keeps for who reads slowly
SILENCE = 30  # seconds; nobody waits for their end
MOMENTS = {  # what the platform does, whether it is to stream, and what the caller waits for before
    "words flow": ("words=4000 pace=0.05", True, b"word3"),
    "silent before the first word": (f"slow seconds={SILENCE}", True, b""),
    "silent in between": (f"stall after=3 seconds={SILENCE}\nsimulate: words=9", True, b"word1"),
    "not streamed": (f"slow seconds={SILENCE}", False, b""),
    "read too slowly": ("words=600", True, b"word1"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call, and how its caller leaves."""

    number: int
    pair: Pair
    moment: str
    reset: bool
    fronted: bool
    pause: float  # so that it is any moment of that kind

    @property
    def kind(self) -> str:
        return f"{self.moment}, {'through nginx' if self.fronted else 'direct'}"

    def leave(self, front: Front) -> float:
        """How many seconds later the platform was let go."""
        text, stream, words = MOMENTS[self.moment]
        trouble = Trouble(self.number)
        if self.moment == "read too slowly":
            trouble = much(self.number)
        line = Line(
            self.pair,
            f"simulate: {text}\n{trouble}",
            stream=stream,
            sock=opened(front) if self.fronted else None,
            host="localhost" if self.fronted else "",
            room=SMALL,
        )
        if words:
            line.wait_for(words)
        assert until(lambda: self._noted("asked")), self
        until(lambda: False, self.pause)
        hung_up = time.monotonic()
        line.hang_up(reset=self.reset)
        assert until(lambda: self._noted("closed"), SILENCE / 2), self
        return self._noted("closed") - hung_up

    def _noted(self, what: str) -> float:
        """When that was, 0 if it was not yet."""
        simulators = self.pair.simulators
        assert isinstance(simulators, TroubledSimulators)
        return next(
            (one[what] for one in simulators.notes().get(self.number, ()) if what in one), 0.0
        )


def calls(stack: Stack, count: int) -> list[Call]:
    dice, kinds = random.Random(3), list(product(MOMENTS, (False, True), (False, True)))
    made = []
    for number in range(1, count + 1):
        moment, reset, fronted = kinds[number % len(kinds)]
        pair = Pair(dice.choice(DIRECT), dice.choice(CALLERS), stack)
        made.append(Call(number, pair, moment, reset, fronted, dice.random() / 5))
    return made


def test_who_hangs_up_lets_the_platform_go(troubled: Stack, front: Front) -> None:
    """With every dialect at every platform, politely and with a reset, past nginx and through it."""
    asked = calls(troubled, CALLS)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        took = list(pool.map(lambda call: call.leave(front), asked))

    by_kind = defaultdict(list)
    for call, seconds in zip(asked, took, strict=True):
        by_kind[call.kind].append(seconds)
        by_kind["all"].append(seconds)
    print()  # `pytest -s` shows it
    for kind, times in sorted(by_kind.items()):
        p50, p99, most = (1000 * nth(times, part) for part in (0.5, 0.99, 1.0))
        print(f"{kind}: {len(times)} calls, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms")
    assert all(nth(times, 0.99) <= SOON for times in by_kind.values())
    outcomes = {line["outcome"] for line in troubled.log if line["method"] == "POST"}
    assert outcomes == {"caller_gone"}


class Painting(Pair):
    """Asks for a picture."""

    model = "gpt-image-1"


def test_a_picture_in_a_chat_that_nobody_waits_for_is_let_go(
    simulators: Simulators, tmp_path: Path
) -> None:
    """R-026: long before the next sign of life is due."""
    over = threading.Event()

    def never_answers(peer: Peer) -> None:
        peer.request()
        peer.sock.settimeout(SILENCE)
        peer.sock.recv(1)
        over.set()

    server = RawServer(never_answers)
    base = server.url.removesuffix("/chat")
    stack = Stack(simulators, tmp_path, TOKENS_CHATGPT_BASE_URL=base, TOKENS_HEARTBEAT_SECONDS="20")
    try:
        for asked, caller in enumerate(CALLERS, 1):
            line = Line(Painting("chatgpt", caller, stack), "a hat")
            assert until(lambda: len(server.requests) == asked)
            line.hang_up()
            assert over.wait(SOON), caller.name
            over.clear()
    finally:
        stack.stop()
        server.stop()


def nth(times: list[float], part: float) -> float:
    """What so large a part of them took at most."""
    return sorted(times)[int(part * (len(times) - 1))]
