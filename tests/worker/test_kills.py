"""Real workers and real kill -9: nothing is lost, asked for twice or settled twice (R-081 to R-083, C-208)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.canonical.media import ImageJob, VideoJob
from app.clock import SystemClock
from app.media.job import Folders, written
from app.media.links import Links
from app.media.local import Local
from app.media.store import Store
from app.storage.media import Media
from app.storage.tasks import Task, Tasks, new_id
from tests.pool.conftest import redis_address  # noqa: F401
from tests.services.film_maker import FILM, watch_settling
from tests.stack import ROOT, clean_environ, until
from tests.storage.databases import KINDS, made

pytestmark = pytest.mark.slow

WORKERS = 4
DEATHS = 20
JOBS = 28


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_added_comes_to_its_end_once_whoever_dies(
    kind, tmp_path, redis_address  # noqa: F811
):
    """With PostgreSQL the queue is in Redis, as where several hosts share the work."""
    with made(kind, tmp_path, f"kills {kind}", anew=True) as database:
        settled, tasks = watch_settling(database), Tasks(database)
        environ = environment(database, tmp_path)
        if kind == "postgresql":
            environ["TOKENS_REDIS_URL"] = redis_address
        added = [add(tasks, tmp_path, place) for place in range(JOBS)]
        said = (tmp_path / "said").open("w+")
        kennel = subprocess.Popen(
            [sys.executable, "-m", "tests.worker.kennel", str(WORKERS), str(DEATHS), "7"],
            env=environ,
            cwd=ROOT,
            stdout=said,
        )
        try:
            over = until(lambda: not (set(tasks.counts()) - {"completed", "lost"}), 120)
        finally:
            kennel.terminate()
            kennel.wait(30)
        assert over, tasks.counts()
        said.seek(0)
        deaths = Counter(said.read().splitlines())

        rows = [tasks.find(one.id) for one in added]
        asked = Counter(tuple(line.split()[:2]) for line in journal(tmp_path))
        for row in rows:
            assert row is not None
            assert asked["begin", row.id] + asked["make", row.id] <= 1
            if row.state == "completed":
                assert asked["begin", row.id] + asked["make", row.id] == 1
                kept_whole(database, tmp_path, row)
        assert settled() == {one.id: 1 for one in added}
        assert no_two_look_at_once(tmp_path)
        assert deaths["died -9"] >= WORKERS, deaths
        # TERM, at the end: one that has just been born has not learnt what that means.
        assert deaths["ended 0"] >= 1 and deaths["ended 0"] + deaths["ended -15"] == WORKERS, deaths


def environment(database: Any, folder: Path) -> dict[str, str]:
    url = database.url.render_as_string(hide_password=False)
    return clean_environ() | {
        "TOKENS_DATABASE_URL": url.replace("postgresql+psycopg:", "postgresql:"),
        "TOKENS_CHATGPT_KEYS": "k-1,k-2",
        "TOKENS_ROOT_PLATFORM": "chatgpt",
        "TOKENS_SEAL_FILE": str(folder / "seal.key"),
        "TOKENS_LINK_FILE": str(folder / "link.key"),
        "TOKENS_COUNTERS_FILE": str(folder / "counters"),
        "TOKENS_METRICS_FILE": str(folder / "metrics"),
        "TOKENS_QUEUE_FILE": str(folder / "queue.db"),
        "TOKENS_SPOOL_FOLDER": str(folder / "spool"),
        "TOKENS_MEDIA_FOLDER": str(folder / "media"),
        "TOKENS_LOG_FILE": str(folder / "access.log"),
        "TOKENS_LOOK_SECONDS": "0.2",
    }


def add(tasks: Tasks, folder: Path, place: int) -> Task:
    kind: Any = "image" if place % 4 == 0 else "video"
    name, now = new_id(kind), time.time()
    job = ImageJob if kind == "image" else VideoJob
    kept = written(job(model="m", prompt=name), Folders(folder / "spool").make(name))
    return tasks.add(
        Task(
            id=name,
            kind=kind,
            platform="chatgpt",
            engine="chatgpt",
            owner="open",
            model="m",
            job=kept,
            created_at=now,
            deadline=now + 600,
        )
    )


def journal(folder: Path) -> list[str]:
    return (folder / "journal").read_text().splitlines()


def kept_whole(database: Any, folder: Path, row: Task) -> None:
    clock = SystemClock()
    links = Links(folder / "link.key", clock, seconds=60.0)
    places: Any = {"local": Local(folder / "media")}
    store = Store(Media(database), places, links, clock, seconds=60.0, most=1 << 30)
    (one,) = row.result["media"]
    kept = store.find(one["id"], "open")
    found = b"".join(store.read(kept, 0, kept.size))
    assert found == FILM if row.kind == "video" else found.startswith(b"\x89PNG")


def no_two_look_at_once(folder: Path) -> bool:
    """R-083: one look an interval, whoever makes it."""
    last: dict[str, float] = {}
    for line in journal(folder):
        what, task, at, _ = line.split()
        if what == "look":
            if float(at) - last.get(task, 0.0) < 0.15:
                return False
            last[task] = float(at)
    return True
