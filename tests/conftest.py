"""What end-to-end tests stand on: simulators and a gateway, started once and shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.matrix import Matrix
from tests.stack import Simulators, Stack

# A busy machine is slow, and being slow is not a fault of the code.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix", action="store_true", help="write docs/conformance.md")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "feature(name): a cell of docs/conformance.md")
    config.pluginmanager.register(Matrix(config))


@pytest.fixture(scope="session")
def simulators() -> Iterator[Simulators]:
    """All simulators, in a process of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")  # for the clients in this process
        running = Simulators()
        yield running
        running.stop()


@pytest.fixture(scope="session")
def gateway(
    simulators: Simulators, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Stack]]:
    """Starts a gateway with settings of its own, or gives the one that has the same already."""
    started: dict[frozenset[tuple[str, str]], Stack] = {}

    def start(**settings: str) -> Stack:
        wanted = frozenset(settings.items())
        if wanted not in started:
            started[wanted] = Stack(simulators, tmp_path_factory.mktemp("gateway"), **settings)
        return started[wanted]

    yield start
    for one in started.values():
        one.stop()


@pytest.fixture(autouse=True)
def losses(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the calls of a test left out, for the matrix."""
    if request.node.get_closest_marker("feature") is None:
        yield
        return
    stack: Stack = request.getfixturevalue("stack")
    before = len(stack.log)
    yield
    dropped = {name for line in stack.log[before:] for name in line.get("dropped", ())}
    request.node.user_properties.append(("dropped", sorted(dropped)))


@pytest.fixture(scope="session")
def stack(gateway: Callable[..., Stack]) -> Stack:
    """The gateway as it comes, with two workers."""
    return gateway(TOKENS_WORKERS="2")
