"""R-139, R-140: others who write, and who will not let go, hold up no stream and break no call."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
import requests

from app.storage.database import Database
from app.storage.schema import prepare
from tests.soak.crowd import crowd
from tests.stack import PATIENCE, ROOT, Stack, until

pytestmark = pytest.mark.slow
LOCKED_SECONDS = 2.0
CHAT = "/chatgpt/v1/chat/completions"
WRITERS = """
import json, sys, time
from gevent import monkey; monkey.patch_all()
import gevent
from app.access.caller import Caller
from app.canonical.events import Usage
from app.clock import SystemClock
from app.ledger.journal import Journal
from app.ledger.ledger import Ledger, Purchase
from app.ledger.price_book import PriceBook
from app.storage.database import Database
from app.storage.ledger import LedgerTable
from pathlib import Path

url, folder, name, each = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
database = Database(url, off_hub=True)
ledger = Ledger(LedgerTable(database), PriceBook({}, None), Journal(folder / name), SystemClock())
took = []

def write(number):
    for turn in range(each):
        began = time.monotonic()
        wanted = Purchase(id=f"req_{name}_{number}_{turn}", caller=Caller(None), platform="p", kind="chat",
                          model="m", asked="m", spoken="openai_chat")
        ledger.open(wanted).charge({}, Usage(1, 1))
        took.append(time.monotonic() - began)

gevent.joinall([gevent.spawn(write, number) for number in range(50)], raise_error=True)
took.sort()
print(json.dumps({"rows": len(took), "p99": took[len(took) * 99 // 100]}))
"""


def test_four_workers_with_fifty_writers_each_are_never_told_that_it_is_locked(tmp_path) -> None:
    """R-140."""
    url = f"sqlite:///{tmp_path}/tokens.db"
    with closing(Database(url)) as database:
        prepare(database)
    command = [sys.executable, "-c", WRITERS, url, str(tmp_path)]
    started = [
        subprocess.Popen([*command, f"w{n}", "20"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for n in range(4)
    ]
    told = [json.loads(one.communicate(timeout=120)[0]) for one in started]

    assert [one.returncode for one in started] == [0] * 4
    assert sum(one["rows"] for one in told) == 4000
    with closing(sqlite3.connect(tmp_path / "tokens.db")) as connection:
        found = connection.execute("SELECT state, count(*) FROM ledger GROUP BY state").fetchall()
        assert found == [("charged", 4000)]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [one.name for one in tmp_path.glob("w*")] == []  # no journal was needed


def test_a_foreign_lock_holds_up_no_stream_and_calls_wait_for_it(simulators, tmp_path) -> None:
    """R-139."""
    stack = Stack(simulators, tmp_path / "stack", TOKENS_WORKERS="1")
    path = stack.environ["TOKENS_DATABASE_URL"].removeprefix("sqlite:///")
    words = {"role": "user", "content": "simulate: words=400 stall seconds=1"}
    headers = {"Authorization": f"Bearer {stack.licence}"}
    body = {"model": "gpt-4o", "messages": [words], "stream": True}
    try:
        with requests.post(
            stack.url() + CHAT, json=body, headers=headers, stream=True, timeout=PATIENCE
        ) as answer:
            pieces = answer.iter_content(None)
            next(pieces)
            with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
                foreign.execute("BEGIN IMMEDIATE")
                timer = threading.Timer(LOCKED_SECONDS, lambda: None)
                timer.start()
                waiting = threading.Thread(
                    target=lambda: told.append(crowd(port, stack.licence, 4, callers=2))
                )
                told: list = []
                port = int(stack.environ["TOKENS_PORT"])
                waiting.start()
                began = time.monotonic()
                gaps, last = [], began
                health = stack.url() + "/v1/models"
                while timer.is_alive():
                    assert requests.get(health, timeout=PATIENCE).status_code == 200
                    gaps.append(time.monotonic() - last)
                    last = time.monotonic()
                foreign.execute("ROLLBACK")
            rest = b"".join(pieces)
        waiting.join(PATIENCE)
    finally:
        stack.stop()

    assert rest.endswith(b"data: [DONE]\n\n")
    assert until(lambda: len(told) == 1) and len(told[0].whole) == 4, told
    assert len(gaps) > 4 and max(gaps) < LOCKED_SECONDS / 2
