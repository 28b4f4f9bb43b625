"""Every platform with every inbound dialect: the pairs that all conformance tests run over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests

from app.platforms import PLATFORMS
from tests.models import EVERY, MODELS
from tests.platforms.callers import CALLERS, NATIVE, Asked, Caller, Heard, hear
from tests.platforms.told import Errands, Told, errands
from tests.stack import KEY, PATIENCE, Json, Simulators, Stack

ONCE = "retry_attempt=0"

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """A caller of one dialect in front of one platform, through one gateway."""

    platform: str
    caller: Caller
    stack: Stack

    @property
    def name(self) -> str:
        return f"{self.caller.name} on {self.platform}"

    @property
    def native(self) -> Caller:
        """Who speaks the platform's own dialect."""
        return NATIVE[PLATFORMS[self.platform].chat.dialect.NAME]

    @property
    def is_raw(self) -> bool:
        """Whether the platform's bytes come through untouched."""
        if MODELS[self.platform].agents:
            return False
        return self.native is self.caller and self.caller.name != "openai_chat"

    @property
    def model(self) -> str:
        return MODELS[self.platform].plain

    @property
    def base(self) -> str:
        return self.stack.url(self.platform)

    def ask(self, text: str, *, stream: bool = False, **more: Any) -> Asked:
        return self.caller.ask(self.model, text, stream=stream, **more)

    def call(self, text: str, *, stream: bool = False, **more: Any) -> Heard:
        """What comes of asking the platform's plain model."""
        licence = more.pop("licence", self.stack.licence)
        return self.caller.call(self.base, self.ask(text, stream=stream), licence, **more)

    def on(self, stack: Stack) -> Pair:
        return Pair(self.platform, self.caller, stack)

    # What the platform saw.

    @property
    def simulators(self) -> Simulators:
        return self.stack.simulators

    @property
    def asked(self) -> list[Json]:
        """The chats that the platform was asked for in this test. Where a chat takes more calls than
        one, those that begin it.
        """
        found = self.simulators.posts(self.platform)
        return [one for one in found if one["body"] or not MODELS[self.platform].agents]

    def mishap(self, kind: str, times: int = 1, **more: float) -> None:
        self.simulators.mishap(self.platform, kind, times, **more)

    def real_usage(self, *, stream: bool) -> tuple[int, int]:
        """What the platform itself counted for the call it was asked last."""
        if MODELS[self.platform].agents:
            return self._run_usage()
        heard = hear(self.simulators.replay(self.platform, self.asked[-1]))
        assert heard.status == 200
        native = self.native
        if ":generateContent" in (path := self.asked[-1]["path"]) or ":stream" in path:
            native = NATIVE["gemini_generate"]  # also where it is not what the platform is first
        return native.stream_usage(heard) if stream else native.usage(heard.json)

    def _run_usage(self) -> tuple[int, int]:
        """What the run of an agent cost, which the gateway asked last of all."""
        entry = self.simulators.journal(self.platform)[-1]
        assert entry["path"].endswith("/usage")
        url = f"{self.simulators.bases[self.platform]}{entry['path']}?{entry['query']}"
        told = requests.get(url, headers={"authorization": f"Bearer {KEY}"}, timeout=PATIENCE)
        usage = told.json()["runs"][0]["usage"]
        return usage["inputTokens"] + usage["cacheReadTokens"], usage["outputTokens"]


@pytest.fixture(params=EVERY)
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=CALLERS, ids=lambda caller: caller.name)
def pair(platform: str, request: pytest.FixtureRequest, stack: Stack) -> Pair:
    """Each platform with each dialect; the platform has forgotten what it was asked before."""
    stack.simulators.clear(platform)
    return Pair(platform, request.param, stack)


@pytest.fixture
def pairs(stack: Stack) -> list[Pair]:
    """Every platform with every dialect, for what takes time: all of them wait side by side."""
    stack.simulators.clear()
    return [Pair(platform, caller, stack) for platform in EVERY for caller in CALLERS]


def side_by_side(pairs: list[Pair], work: Callable[[Pair], T]) -> dict[str, T]:
    """What came of the work, by pair."""
    with ThreadPoolExecutor(len(pairs)) as pool:
        done = list(pool.map(work, pairs))
    return {pair.name: one for pair, one in zip(pairs, done)}


def all_of(pairs: list[Pair], wanted: T) -> dict[str, T]:
    """The same for each pair."""
    return {pair.name: wanted for pair in pairs}


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Callable[..., Errands]]:
    """Sends an engine to a vendor that says what it is told to."""
    with ExitStack() as stack:

        def start(*sayings: Any, **more: Any) -> Errands:
            return stack.enter_context(errands(Told(*sayings), tmp_path, **more))

        yield start
