"""Every platform, as the official SDKs meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import openai
import pytest

from tests.matrix import SAID
from tests.models import DIRECT, EVERY, MODELS, Models
from tests.stack import Stack


@dataclass(frozen=True)
class Door:
    """A platform behind the gateway: what to tell an SDK, and what to ask for."""

    name: str
    stack: Stack

    @property
    def url(self) -> str:
        return self.stack.url(self.name)

    @property
    def licence(self) -> str:
        return self.stack.licence

    @property
    def models(self) -> Models:
        return MODELS[self.name]

    def mishap(self, kind: str, times: int = 1, **more: float) -> None:
        self.stack.simulators.mishap(self.name, kind, times, **more)


direct = pytest.mark.parametrize(  # for what an agent has no room for, or does otherwise
    "door", DIRECT, indirect=True
)


@pytest.fixture(params=EVERY)
def door(request: pytest.FixtureRequest, stack: Stack) -> Door:
    return Door(str(request.param), stack)


@pytest.fixture(params=[False, True], ids=["plain", "thinking"])
def thinks(request: pytest.FixtureRequest) -> bool:
    """Whether the model is made to think."""
    return bool(request.param)


Refused = Callable[[openai.APIStatusError], None]


@pytest.fixture
def refused(request: pytest.FixtureRequest) -> Refused:
    """Tells the matrix with which code the platform's lack of something was told."""

    def tell(error: openai.APIStatusError) -> None:
        missing = error.code == "endpoint_not_supported"
        words = "not offered" if missing else f"refused: {error.code}"
        request.node.user_properties.append((SAID, words))

    return tell
