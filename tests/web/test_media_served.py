"""Files of a size that matters, from a gateway in a process of its own."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from app.canonical.media import File
from app.clock import SystemClock
from app.config import Settings
from app.factory import make_store
from app.media.store import Store
from app.storage.database import Database
from app.storage.media import Kept
from tests.media.bucket import BUCKET, KEY, REGION, SECRET, Bucket
from tests.media.samples import MP4
from tests.stack import ROOT, Stack

LARGE = 200 << 20
FEW = 6 << 20  # bytes that a worker may grow by while it sends that


@pytest.fixture(scope="module")
def one(gateway: Callable[..., Stack]) -> Stack:
    """A gateway with one worker, so that it is known which one serves."""
    return gateway(TOKENS_WORKERS="1", TOKENS_MEDIA_MEGABYTES="4096")


@pytest.fixture(scope="module")
def store(one: Stack) -> Iterator[Store]:
    """What the gateway keeps, as another process sees it."""
    settings = Settings.from_env(
        {name: value for name, value in one.environ.items() if _is_ours(name)}
    )
    database = Database(settings.database_url)
    yield make_store(settings, database, SystemClock())
    database.close()


def _is_ours(name: str) -> bool:
    return name.startswith("TOKENS_") and not re.search(r"_(KEYS|BASE_URL)$", name)


@pytest.fixture(scope="module")
def film(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kept, str]:
    """A film of 200 MB, and its digest."""
    path = tmp_path_factory.mktemp("film") / "film"
    path.write_bytes(MP4)
    with path.open("r+b") as file:
        file.truncate(LARGE)
    kept = store.keep(File(str(path), "video/mp4", LARGE), owner="0a1b2c3d", platform="here")
    return kept, kept.digest


def worker(one: Stack) -> Path:
    """The one worker's folder in /proc."""
    arbiter = one._process.pid
    (child,) = Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()
    return Path(f"/proc/{child}")


def kilobytes(process: Path, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", (process / "status").read_text())
    assert found is not None
    return int(found[1])


def test_two_hundred_megabytes_take_a_few_of_memory(one, store, film):
    """C-202: read to the end by a fast client, from the first byte and from the middle."""
    kept, digest = film
    url = store.link(kept, one.url())
    requests.get(url, headers={"Range": "bytes=0-99"}, timeout=20).raise_for_status()  # warm
    process = worker(one)
    (process / "clear_refs").write_text("5")  # forget the highest so far
    before = kilobytes(process, "VmRSS")

    hasher = hashlib.sha256()
    with requests.get(url, stream=True, timeout=60) as answer:
        assert answer.headers["Content-Length"] == str(LARGE)
        for piece in answer.iter_content(1 << 20):
            hasher.update(piece)
    half = requests.get(url, headers={"Range": f"bytes={LARGE - 1000}-"}, timeout=20)

    assert hasher.hexdigest() == digest
    assert (half.status_code, len(half.content)) == (206, 1000)
    assert (kilobytes(process, "VmHWM") - before) * 1024 < FEW


def test_a_film_on_its_way_leaves_the_worker_free(one, store, film):
    """A client that does not read holds a connection, and nothing else."""
    kept, _ = film
    url = store.link(kept, one.url())
    with requests.get(url, stream=True, timeout=20) as stalled:
        assert stalled.raw.read(10) == MP4[:10]

        assert requests.get(one.url() + "/health", timeout=5).status_code == 200
        again = requests.get(url, headers={"Range": "bytes=0-9"}, timeout=5)
        assert again.content == MP4[:10]

    line = one.line(stalled.headers["x-request-id"])
    assert line["media"] == kept.id and 0 < line["bytes"] < LARGE


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.stop()


UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import os, sys
from app.canonical.media import File
from app.clock import SystemClock
from app.config import Settings
from app.factory import make_store
from app.storage.database import Database

settings = Settings.from_env({k: v for k, v in os.environ.items() if k in sys.argv[2:]})
store = make_store(settings, Database(settings.database_url, off_hub=True), SystemClock())
kept = store.keep(File(sys.argv[1], "video/mp4", 0), owner="0a1b2c3d", platform="here")
print(store.link(kept, "http://gateway.example"))
"""


def test_a_bucket_serves_and_takes_under_gevent_as_well(gateway, bucket, tmp_path):
    """C-263: boto3 in a worker, as gunicorn patches it: up in parts, and down in pieces."""
    data = MP4 + bytes(9 << 20)
    (tmp_path / "film").write_bytes(data)
    one = gateway(
        TOKENS_MEDIA_S3_BUCKET=BUCKET,
        TOKENS_MEDIA_S3_ENDPOINT=bucket.endpoint,
        TOKENS_MEDIA_S3_REGION=REGION,
        TOKENS_MEDIA_S3_KEY=KEY,
        TOKENS_MEDIA_S3_SECRET=SECRET,
    )
    names = [name for name in one.environ if _is_ours(name)]
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT, str(tmp_path / "film"), *names],
        env=one.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    url = one.url() + urlsplit(done.stdout.strip()).path

    assert list(bucket.objects.values()) == [data] and bucket.largest < len(data)
    assert requests.get(url, timeout=20).content == data
    part = requests.get(url, headers={"Range": "bytes=4-11"}, timeout=20)
    assert (part.status_code, part.content) == (206, MP4[4:12])
    bucket.objects.clear()
    gone = requests.get(url, timeout=20)
    assert gone.status_code == 404 and gone.json()["error"]["code"] == "not_found"
    assert bucket.refusals == ["NoSuchKey"]
