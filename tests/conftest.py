"""What end-to-end tests stand on: simulators and a gateway, started once and shared."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.matrix import Matrix
from tests.processes import Processes
from tests.stack import Simulators, Stack

# A busy machine is slow, and being slow is not a fault of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

STUDIO = {"TOKENS_LOOK_SECONDS": "0.01"}
Start = Callable[..., Stack]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="write docs/conformance.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "feature(name): a cell of docs/conformance.md")
    config.pluginmanager.register(Matrix(config), "matrix")
    config.pluginmanager.register(Processes(), "processes")


def pytest_collection() -> None:
    """Thousands of tests are made, and stay for good: there is no garbage to look for among them."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def simulators() -> Iterator[Simulators]:
    """All simulators, in a process of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")  # for the clients in this process
        running = Simulators()
        yield running
        running.stop()


@contextmanager
def _starting(simulators: Simulators, folders: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a gateway with settings of its own, or gives the one that has the same already."""
    started: dict[frozenset[tuple[str, str]], Stack] = {}

    def start(**settings: str) -> Stack:
        wanted = frozenset(settings.items())
        if wanted not in started:
            started[wanted] = Stack(simulators, folders.mktemp("gateway"), **settings)
        return started[wanted]

    yield start
    with ThreadPoolExecutor() as threads:  # a moment each, and there may be many
        list(threads.map(Stack.stop, started.values()))


@pytest.fixture(scope="session")
def shared(simulators: Simulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts gateways for all tests there are."""
    with _starting(simulators, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def gateway(simulators: Simulators, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts gateways for the tests of a module: even one that nobody calls takes its share of the
    processor, and its settings are wanted nowhere else.
    """
    with _starting(simulators, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def studio(shared: Start) -> Stack:
    """A gateway with a worker beside it, both quick to look how far a film is."""
    stack = shared(**STUDIO)
    stack.work()
    return stack


@pytest.fixture(autouse=True)
def _noted(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets the matrix know when its tests ran."""
    if request.node.get_closest_marker("feature") is None:
        yield
        return
    began = time.time()
    yield
    used = [getattr(one, "stack", one) for one in request.node.funcargs.values()]
    logs = {one.access_log for one in used if isinstance(one, Stack)}
    matrix: Any = request.config.pluginmanager.get_plugin("matrix")
    matrix.note(request.node, logs, began, time.time())


@pytest.fixture(scope="session")
def stack(shared: Start) -> Stack:
    """The gateway as it comes, with two workers."""
    return shared(TOKENS_WORKERS="2")
