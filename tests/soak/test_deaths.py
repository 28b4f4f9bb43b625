"""R-046: a worker is killed at every point of a call, and each time the ledger comes out right.

Right is: what nobody was told the end of costs nothing unless it had been written down, what was written
down stays and counts once, nothing is held back for the dead, and whoever was told the end is in it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.storage.database import Database
from app.storage.tasks import tasks
from tests.soak.books import address, check_sums, states
from tests.soak.crowd import PATH
from tests.soak.mortal import FIRST, FOLDER, LAST, MIDST
from tests.stack import PATIENCE, ROOT, Stack, compact, until
from tests.storage.databases import KINDS, made

pytestmark = pytest.mark.slow
# Reliability asks for a hundred deaths at each point: set SOAK_DEATHS.
DEATHS = int(os.environ.get("SOAK_DEATHS", "1"))
WORDS = "simulate: words=30 pace=0.005"
FILMS = "/grok/v1/videos"


@dataclass(frozen=True, slots=True)
class End:
    """What is right after a death: the row's state, "" for no row; and whether the caller was told all."""

    state: str
    told: bool = False


ENDS = {
    "before the row is opened": End(""),
    "the row is open": End("interrupted"),
    "before the platform is asked": End("interrupted"),
    "the platform has accepted": End("interrupted"),
    "the platform has counted": End("interrupted"),
    "the end is written but not committed": End("interrupted"),
    "the end is committed but nobody knows": End("charged"),
    "the end is known but not told": End("charged"),
    LAST: End("charged", told=True),
}
STREAM_ENDS = {FIRST: End("interrupted"), MIDST: End("interrupted")}
CASES = [(name, stream) for stream in (True, False) for name in ENDS]
CASES += [(name, True) for name in STREAM_ENDS]


class House:
    """A gateway of one worker, and what its database says."""

    def __init__(self, stack: Stack, database: Database, notes: Path) -> None:
        self.stack, self.database, self._notes = stack, database, notes
        self.licence = stack.new_licence("--tpd", "100000000", "--credit", "1000000")

    def arm(self, point: str) -> Path:
        note = self._notes / point
        note.touch()
        return note

    def new(self, before: dict[str, str]) -> list[str]:
        """The states of the rows that have come since, once none is open."""
        assert until(lambda: "open" not in states(self.database).values())
        return [state for name, state in states(self.database).items() if name not in before]

    def state_of(self, task: str) -> str | None:
        query = sa.select(tasks.c.state).where(tasks.c.id == task)
        return self.database.read(lambda found: found.execute(query).scalar())

    def ask(self, *, stream: bool) -> bytes:
        message = {"role": "user", "content": WORDS}
        wish = {"model": "gpt-4o", "messages": [message], "stream": stream}
        return self.post(PATH + "?retry_attempt=0", wish)

    def post(self, path: str, wish: dict[str, Any]) -> bytes:
        """As much of the answer as there was."""
        headers = {"Authorization": f"Bearer {self.licence}", "Content-Type": "application/json"}
        port = int(self.stack.environ["TOKENS_PORT"])
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            line.request("POST", path, compact(wish), headers)
            return line.getresponse().read()
        except http.client.IncompleteRead as cut:
            return cut.partial
        except (OSError, http.client.HTTPException):
            return b""
        finally:
            line.close()


@pytest.fixture(params=KINDS, scope="module")
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, simulators: Any
) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("deaths")
    notes = folder / "notes"
    notes.mkdir()
    with made(request.param, folder, f"deaths {request.param}", anew=True) as database:
        stack = Stack(
            simulators,
            folder / "stack",
            TOKENS_WORKERS="1",
            TOKENS_LOOK_SECONDS="0.01",
            TOKENS_DATABASE_URL=address(database),
            GUNICORN_CMD_ARGS="--worker-class tests.soak.mortal.MortalWorker",
            **{FOLDER: str(notes)},
        )
        yield House(stack, database, notes)
        stack.stop()


@pytest.mark.parametrize(("point", "stream"), CASES)
def test_a_call_whose_worker_is_killed_is_in_the_ledger_as_it_should(
    house: House, point: str, stream: bool
) -> None:
    right = (ENDS | STREAM_ENDS)[point]
    for _ in range(DEATHS):
        before = states(house.database)
        note = house.arm(point)
        told = house.ask(stream=stream)
        assert until(lambda: not note.exists()), "nobody got there"

        assert house.new(before) == ([right.state] if right.state else [])
        end = told.endswith(b"data: [DONE]\n\n") if stream else b'"usage"' in told
        assert end == right.told
        assert (point in STREAM_ENDS) <= (b"data: " in told)
    assert b'"usage"' in house.ask(stream=False)  # the next worker serves
    check_sums(house.database)


@pytest.mark.parametrize(
    "point",
    ["a film's end is written but not committed", "a film's end is committed but nobody knows"],
)
def test_a_film_whose_worker_is_killed_at_its_end_is_charged_once(house: House, point: str) -> None:
    worker = working(house)
    try:
        for _ in range(DEATHS):
            before = states(house.database)
            note = house.arm(point)
            name = begun(house)
            assert worker.wait(PATIENCE * 2) == -signal.SIGKILL and not note.exists()
            worker = working(house)
            assert until(lambda: house.state_of(name) == "completed", PATIENCE * 2)
            assert house.new(before) == ["charged"]
    finally:
        worker.kill()
        worker.wait()
    check_sums(house.database)


def begun(house: House) -> str:
    """A film that the platform has taken."""
    wish = {"model": "grok-imagine-video", "prompt": "A cat"}
    told: dict[str, str] = json.loads(house.post(FILMS, wish))
    return told["id"]


def working(house: House) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.soak.mortal"], env=house.stack.environ, cwd=ROOT
    )
