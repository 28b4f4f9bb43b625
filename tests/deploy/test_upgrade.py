"""One version up and one down under traffic, as deploy/install.md tells it (R-041, R-053)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.storage.database import HEAD, Database
from tests.deploy.front import LETS_GO_SOONER, Certificate
from tests.deploy.load import held_open, is_good, load
from tests.deploy.pair import Pair
from tests.deploy.service import Service
from tests.releases import NEXT, next_release
from tests.soak.books import address, states
from tests.stack import ROOT, TOKENS, Simulators, Stack, until
from tests.storage.databases import KINDS, made

pytestmark = pytest.mark.slow
# What reliability asks for is 5,000 requests each way, on both databases: set SOAK_REQUESTS.
REQUESTS = int(os.environ.get("SOAK_REQUESTS", "300"))
IS_WHOLE = REQUESTS >= 5000
SHORT = "simulate: words=3 pace=0.03"  # who never pauses leaves no processor for those who start
LONG = f"simulate: words={40 if IS_WHOLE else 20} pace=0.1"


@pytest.fixture(params=KINDS if IS_WHOLE else KINDS[:1])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    with made(request.param, tmp_path, request.node.name, anew=True) as database:
        yield database


@pytest.fixture
def pair(
    simulators: Simulators, certificate: Certificate, tmp_path: Path, database: Database
) -> Iterator[Pair]:
    """A pair of its own, for its versions change."""
    more = {"TOKENS_DATABASE_URL": address(database)}
    spoilt = {} if IS_WHOLE else LETS_GO_SOONER
    running = Pair(simulators, tmp_path, certificate, spoilt=spoilt, **more)
    yield running
    running.stop()


def upgrade(stack: Stack, home: Path) -> str:
    """What `tokens upgrade` of that version says."""
    done = subprocess.run(
        [TOKENS, "upgrade"],
        env=stack.environ | {"PYTHONPATH": str(home)},
        cwd=stack.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def restart(service: Service, home: Path) -> None:
    """As `systemctl restart` does once /opt/tokens leads there."""
    assert service.terminate().wait(30) == 0
    service.home = home
    service.begin()
    assert str(home) in Path(f"/proc/{service.pid}/cmdline").read_text()


def test_a_version_comes_and_goes_and_nobody_notices(
    pair: Pair, database: Database, crowd: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Calls and streams, through nginx with connections that are kept, and each of them in the ledger."""
    coming = next_release(tmp_path / "next")
    long = held_open(pair.a, crowd, 12, LONG)
    with load(pair.a, crowd, text=SHORT) as up:
        assert f"at migration {HEAD}, " in upgrade(pair.a, coming)
        for one in (pair.a, pair.b):
            restart(one, coming)
        assert until(lambda: len(up.good) >= REQUESTS, REQUESTS / 10)

    long += held_open(pair.a, crowd, 12, LONG)
    with load(pair.a, crowd, text=SHORT) as down:
        for one in (pair.a, pair.b) if IS_WHOLE else (pair.a,):
            restart(one, ROOT)
        assert until(lambda: len(down.good) >= REQUESTS, REQUESTS / 10)

    assert (up.bad, down.bad) == ([], [])
    assert all(is_good(call.result()) for call in long)
    rows = states(database)
    assert {rows[one] for one in (*up.good, *down.good)} == {"charged"}
    assert database.version() == NEXT
    print(f"{database.url.drivername}: {len(up.good)} up, {len(down.good)} down, none failed")
