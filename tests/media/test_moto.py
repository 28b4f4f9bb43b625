"""Files in a bucket, judged a second time: by moto's server, a process of its own with another hand's idea of
S3. It does not look at signatures, which `bucket.py` does; it knows S3's answers, parts and lists.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest

from app.canonical.media import File
from app.errors import NotFound, StorageTrouble
from app.media.links import Links
from app.media.s3 import PART, S3
from app.media.store import ON_ITS_WAY_SECONDS, Store
from app.secret import Secret
from app.storage.database import Database
from app.storage.media import Media
from app.storage.schema import prepare
from tests.media.samples import MP4, Clock
from tests.stack import ROOT, clean_environ

pytestmark = pytest.mark.slow

BUCKET, REGION, PREFIX = "pictures", "us-east-1", "made/by/"
NAME = "cd" * 16 + ".mp4"
SERVE = """
import logging, sys
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%s" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environ(),
        cwd=ROOT,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    address = process.stdout.readline().strip()
    boto3.client(
        "s3",
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
    ).create_bucket(Bucket=BUCKET)
    yield address
    process.stdin.close()
    process.wait(20)


@pytest.fixture
def s3(endpoint: str) -> S3:
    return place(endpoint)


def place(endpoint: str, bucket: str = BUCKET) -> S3:
    facts = {"key": "AKID", "region": REGION, "prefix": PREFIX, "addressing": "path"}
    return S3(bucket, secret=Secret("secret"), endpoint=endpoint, **facts)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], str]:
    def made(data: bytes) -> str:
        (path := tmp_path / "given").write_bytes(data)
        return str(path)

    return made


LARGE = MP4 + bytes(range(256)) * ((2 * PART) // 256 + 7)


@pytest.mark.parametrize("data", [MP4, LARGE], ids=["at once", "in parts"])
def test_what_is_put_is_read_whole_and_in_part_until_it_is_removed(s3, file, data):
    """C-263."""
    assert s3.put(NAME, file(data)) == hashlib.sha256(data).hexdigest()

    size = len(data)
    assert b"".join(s3.open(NAME, size, 0, size)) == data
    for start, end in ((0, 1), (3, 10), (size - 5, size), (size // 2, min(size, size // 2 + 4097))):
        assert b"".join(s3.open(NAME, size, start, end)) == data[start:end]
    with pytest.raises(NotFound):
        s3.open(NAME, size + 1, 0, 1)  # it is not what it was

    s3.remove(NAME, whole=True)
    s3.remove(NAME, whole=True)
    with pytest.raises(NotFound):
        s3.open(NAME, size, 0, 1)
    assert s3._client().list_objects_v2(Bucket=BUCKET).get("KeyCount") == 0


def test_parts_that_never_became_a_file_are_called_off_and_no_others(s3):
    client = s3._client()
    mine, others = f"{PREFIX}{NAME}", f"{PREFIX}{'ef' * 16}.mp4"
    for key in (mine, others, mine):
        client.create_multipart_upload(Bucket=BUCKET, Key=key)

    s3.remove(NAME, whole=False)

    left = client.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert [one["Key"] for one in left] == [others]
    for one in left:
        client.abort_multipart_upload(Bucket=BUCKET, Key=others, UploadId=one["UploadId"])


def test_a_bucket_that_is_not_there_is_trouble_and_not_a_file_that_is_gone(endpoint, file):
    elsewhere = place(endpoint, "nowhere")

    assert elsewhere.trouble() == "NoSuchBucket"
    for act in (
        lambda: elsewhere.put(NAME, file(MP4)),
        lambda: elsewhere.open(NAME, len(MP4), 0, 1),
    ):
        with pytest.raises(StorageTrouble):
            act()


def test_the_doctor_is_content_with_it(s3):
    assert s3.trouble() == ""


def test_the_store_keeps_finds_reads_and_sweeps_there(s3, file, tmp_path):
    database, clock = Database(f"sqlite:///{tmp_path}/tokens.db"), Clock(1.8e9)
    prepare(database)
    links = Links(tmp_path / "link.key", clock, seconds=60)
    store = Store(Media(database), {"s3": s3}, links, clock, into="s3", seconds=1000, most=1 << 30)
    kept = store.keep(File(file(LARGE), "video/mp4", 0), owner="me", platform="here")

    assert b"".join(store.read(store.find(kept.id, "me"), 1, 9)) == LARGE[1:9]
    assert store.sweep(clock.now() + ON_ITS_WAY_SECONDS) == 1
    assert s3._client().list_objects_v2(Bucket=BUCKET).get("KeyCount") == 0
    database.close()
