"""A gateway on a unix socket behind the nginx file that we ship, shared by all tests that end neither."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.front import Certificate, Front
from tests.deploy.pair import Pair
from tests.deploy.service import Service, fronted
from tests.stack import Simulators

Place = Callable[..., Front]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session", autouse=True)
def _trusted(certificate: Certificate) -> Iterator[None]:
    """For `requests`, whoever calls it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate.file))
        yield


@pytest.fixture(scope="session")
def service(
    simulators: Simulators, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with fronted(simulators, tmp_path_factory, certificate) as running:
        yield running


@pytest.fixture(scope="session")
def pair(
    simulators: Simulators, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Pair]:
    """Each test leaves both as it found them, running."""
    running = Pair(simulators, tmp_path_factory.mktemp("pair"), certificate, patience=3)
    yield running
    running.stop()


@pytest.fixture
def place(service: Service, certificate: Certificate, tmp_path: Path) -> Iterator[Place]:
    """Puts other nginx before the same gateway, with lines of the site spoilt."""
    with ExitStack() as stack:
        count = iter(range(100))

        def put(spoilt: dict[str, str] | None = None, shown: Certificate | None = None) -> Front:
            folder = tmp_path / f"nginx{next(count)}"
            folder.mkdir()
            front = Front(folder, [service.socket_file], shown or certificate, spoilt)
            stack.callback(front.stop)
            return front

        yield put


@pytest.fixture(scope="session")
def crowd() -> Iterator[ThreadPoolExecutor]:
    """Many callers at the same time."""
    with ThreadPoolExecutor(64) as pool:
        yield pool
