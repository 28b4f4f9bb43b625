"""A gateway whose platforms have troubles, with and without nginx before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.front import Certificate, Front
from tests.soak.trouble import TroubledSimulators
from tests.stack import Stack


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("troubled")
    simulators = TroubledSimulators(folder)
    stack = Stack(simulators, folder / "stack", TOKENS_WORKERS="2")
    yield stack
    stack.stop()
    simulators.stop()


@pytest.fixture(scope="module")
def front(troubled: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx before it, with the file that we ship."""
    folder = tmp_path_factory.mktemp("front")
    front = Front(folder, [f"127.0.0.1:{troubled.environ['TOKENS_PORT']}"], Certificate(folder))
    yield front
    front.stop()
