"""R-067: the call's end cannot be written down, so nobody is told of it, and the row comes to it later."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from app.storage.database import Database
from app.storage.ledger import ledger
from tests.soak.books import address, check_sums, states
from tests.soak.crowd import PATH
from tests.stack import PATIENCE, Stack, until
from tests.storage.databases import KINDS, made

pytestmark = pytest.mark.slow
WORDS = 40
SLOWLY = {"role": "user", "content": f"simulate: words={WORDS} pace=0.02 stall after=2 seconds=3"}
HURRIED = "--worker-class tests.soak.hurried.HurriedWorker"


@contextmanager
def held(database: Database) -> Iterator[None]:
    """Somebody else writes, and does not come to an end."""
    with database.engine.connect() as connection, connection.begin():
        if not database.is_sqlite:
            connection.execute(sa.text("LOCK TABLE ledger IN EXCLUSIVE MODE"))
        yield


@pytest.mark.parametrize("kind", KINDS)
def test_an_end_that_cannot_be_written_is_not_told(
    kind: str, tmp_path: Path, simulators: Any
) -> None:
    with made(kind, tmp_path, f"close {kind}", anew=True) as database:
        more = {"TOKENS_DATABASE_URL": address(database), "GUNICORN_CMD_ARGS": HURRIED}
        stack = Stack(simulators, tmp_path / "stack", **more)
        journal = Path(stack.environ["TOKENS_JOURNAL_FILE"])

        def ask(stream: bool) -> requests.Response:
            body = {"model": "gpt-4o", "messages": [SLOWLY], "stream": stream}
            headers = {"Authorization": f"Bearer {stack.licence}"}
            url = stack.url() + PATH
            return requests.post(url, json=body, headers=headers, timeout=PATIENCE * 2)

        try:
            with ThreadPoolExecutor() as threads:
                asked = [threads.submit(ask, stream) for stream in (True, False)]
                assert until(lambda: list(states(database).values()) == ["open"] * 2)
                with held(database):
                    streamed, whole = (one.result() for one in asked)
                    assert journal.exists() and set(states(database).values()) == {"open"}
            assert b"word" in streamed.content
            assert b'"code":"database_unavailable"' in streamed.content
            assert b'"completion_tokens"' not in streamed.content
            assert whole.status_code == 503 and b'"database_unavailable"' in whole.content

            assert until(lambda: set(states(database).values()) == {"charged"})
            rows = database.read(lambda found: found.execute(sa.select(ledger)).all())
            assert {(row.outcome, row.output, row.estimated) for row in rows} == {
                ("ok", WORDS, False)
            }
            check_sums(database)
            assert until(lambda: not list(journal.parent.glob(f"{journal.name}*")))
        finally:
            stack.stop()
