"""A call to the database or to Redis that is given up in the middle: a caller hung up (R-079)."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.stack import ROOT, clean_environ
from tests.storage.databases import made

pytestmark = pytest.mark.slow

SCRIPT = """
from gevent import monkey; monkey.patch_all()
import json, random, sys, time
import gevent
from sqlalchemy import text
from app.pool.redis_board import RedisBoard
from app.storage.database import Database

kind, address, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "redis":
    client = RedisBoard(address)._redis
    ask = lambda n: int(client.echo(str(n)))
else:
    database = Database(address, off_hub=True)
    ask = lambda n: database.read(lambda c: int(c.execute(text("SELECT :n"), {"n": str(n)}).scalar()))
chance, found, number = random.Random(79), {"given up": 0, "answered": 0, "mixed": 0}, 0

def one(n):
    answer = ask(n)
    found["answered"] += 1
    found["mixed"] += answer != n

ends = time.monotonic() + 100
while found["given up"] < wanted and time.monotonic() < ends:
    started = [gevent.spawn(one, number + i) for i in range(20)]
    number += 20
    gevent.sleep(chance.random() * 0.004)
    found["given up"] += sum(not one.ready() for one in started)
    gevent.killall(started)
    found["mixed"] += ask(-number) != -number
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    "kind, wanted", [("sqlite", 10_000), ("postgresql", 2_000), ("redis", 10_000)]
)
def test_a_reply_never_reaches_somebody_else(kind, wanted, tmp_path, request):
    """R-079."""
    if kind == "redis":
        found = _run(kind, request.getfixturevalue("redis_address"), wanted)
    else:
        with made(kind, tmp_path, request.node.name) as database:
            found = _run(kind, database.url.render_as_string(hide_password=False), wanted)

    assert found["given up"] >= wanted, found
    assert found["mixed"] == 0


def _run(kind: str, address: str, wanted: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, address, str(wanted)],
        cwd=ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, int] = json.loads(done.stdout)
    return told
