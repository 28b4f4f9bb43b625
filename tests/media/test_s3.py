"""Files in a bucket (C-263), against a service that checks every signature."""

from __future__ import annotations

import datetime
import hashlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.canonical.media import File
from app.errors import NotFound, StorageTrouble
from app.media.links import Links
from app.media.local import Local
from app.media.s3 import PART, S3
from app.media.store import ON_ITS_WAY_SECONDS, Store
from app.secret import Secret
from app.storage.database import Database
from app.storage.media import Media
from tests.media.bucket import BUCKET, KEY, LEAST_PART, REGION, SECRET, Bucket
from tests.media.samples import MP4, PNG, Clock
from tests.media.signature import Asked, Wrong, judge, sign
from tests.storage.databases import fill

NAME = "ab" * 16 + ".mp4"
EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.stop()


def place(bucket: Bucket, **facts: Any) -> S3:
    given: dict[str, Any] = {"key": KEY, "secret": Secret(SECRET), "region": REGION}
    given |= {"endpoint": bucket.endpoint}
    return S3(facts.pop("into", BUCKET), **(given | facts))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], str]:
    def made(data: bytes) -> str:
        path = tmp_path / "given"
        path.write_bytes(data)
        return str(path)

    return made


def large(size: int) -> bytes:
    return MP4 + b"".join(n.to_bytes(4, "big") for n in range((size - len(MP4)) // 4))


# The judge is judged first: by the signatures that Amazon prints.

EXAMPLE = {"host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"}
WELCOME = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
PUBLISHED = {
    "get": (
        Asked("GET", "/test.txt", [], {**EXAMPLE, "range": "bytes=0-9"}, EMPTY),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put": (
        Asked(
            "PUT",
            "/test%24file.text",
            [],
            {
                **EXAMPLE,
                "date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            WELCOME,
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "lifecycle": (
        Asked("GET", "/", [("lifecycle", "")], EXAMPLE, EMPTY),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list": (
        Asked("GET", "/", [("max-keys", "2"), ("prefix", "J")], EXAMPLE, EMPTY),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_the_judge_computes_what_amazon_publishes(case):
    asked, signature = PUBLISHED[case]
    headers = {**asked.headers, "x-amz-content-sha256": asked.digest}
    asked = Asked(asked.method, asked.path, asked.query, headers, asked.digest)
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    names = sorted(headers)

    assert sign(asked, names, asked.digest, "20130524T000000Z", "us-east-1", secret) == signature
    words = (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={';'.join(names)},Signature={signature}"
    )
    whole = Asked(
        asked.method, asked.path, asked.query, {**headers, "authorization": words}, asked.digest
    )
    then = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)
    judge(whole, {"AKIAIOSFODNN7EXAMPLE": secret}, "us-east-1", then)
    with pytest.raises(Wrong, match="SignatureDoesNotMatch"):
        judge(whole, {"AKIAIOSFODNN7EXAMPLE": secret + "x"}, "us-east-1", then)


def test_what_is_put_is_read_again_whole_and_in_part(bucket, file):
    s3 = place(bucket, prefix="made/by/tokens/")

    digest = s3.put(NAME, file(MP4))

    assert digest == hashlib.sha256(MP4).hexdigest()
    assert bucket.objects == {f"made/by/tokens/{NAME}": MP4} and bucket.refusals == []
    assert b"".join(s3.open(NAME, len(MP4), 0, len(MP4))) == MP4
    assert b"".join(s3.open(NAME, len(MP4), 3, 10)) == MP4[3:10]
    assert list(s3.open(NAME, len(MP4), 3, 3)) == []


@pytest.mark.parametrize(
    "facts, code",
    [
        ({"secret": Secret(SECRET + "x")}, "SignatureDoesNotMatch"),
        ({"key": "AKIDSOMEBODY"}, "InvalidAccessKeyId"),
        ({"region": "elsewhere-1"}, "AuthorizationHeaderMalformed"),
        ({"into": "another"}, "NoSuchBucket"),
    ],
    ids=["wrong secret", "wrong key", "wrong region", "wrong bucket"],
)
def test_whoever_may_not_gets_nothing_and_is_told_as_trouble_of_ours(bucket, file, facts, code):
    """Not one of these is taken for a file that is gone."""
    bucket.objects[NAME] = MP4
    s3 = place(bucket, **facts)

    for act in (lambda: s3.put(NAME, file(PNG)), lambda: s3.open(NAME, len(MP4), 0, 1)):
        with pytest.raises(StorageTrouble) as trouble:
            act()
        assert (trouble.value.status, trouble.value.code) == (503, "storage_unavailable")
    assert set(bucket.refusals) == {code} and bucket.objects == {NAME: MP4}


def test_a_clock_that_is_wrong_is_trouble(bucket, file):
    bucket.shift = datetime.timedelta(hours=1)

    with pytest.raises(StorageTrouble):
        place(bucket).put(NAME, file(PNG))
    assert set(bucket.refusals) == {"RequestTimeTooSkewed"}


def test_a_large_file_goes_up_in_parts(bucket, file):
    data = large(2 * PART + 1000)

    digest = place(bucket).put(NAME, file(data))

    assert bucket.objects == {NAME: data} and digest == hashlib.sha256(data).hexdigest()
    assert bucket.largest == PART >= LEAST_PART and not bucket.uploads
    assert [method for method, _ in bucket.asked] == ["POST", "PUT", "PUT", "PUT", "POST"]


def test_an_upload_that_fails_is_called_off(bucket, file):
    def refuse_parts(asked: Asked, body: bytes) -> Any:
        if ("partNumber", "2") in asked.query:
            raise Wrong("AccessDenied")
        return answer(asked, body)

    answer, bucket.answer = bucket.answer, refuse_parts
    with pytest.raises(StorageTrouble):
        place(bucket).put(NAME, file(large(2 * PART)))

    assert bucket.uploads == {} and bucket.objects == {}
    assert bucket.asked[-1][0] == "DELETE"


def test_a_service_that_is_busy_is_asked_again(bucket, file):
    bucket.mishaps = ["SlowDown", "SlowDown"]

    place(bucket).put(NAME, file(PNG))

    assert bucket.objects == {NAME: PNG} and bucket.refusals == ["SlowDown"] * 2


def test_nobody_there_is_trouble(file, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    s3 = S3(BUCKET, key=KEY, secret=Secret(SECRET), endpoint=f"http://127.0.0.1:{port}")

    with pytest.raises(StorageTrouble):
        s3.put(NAME, file(PNG))


@pytest.mark.parametrize("change", [None, MP4[:-1], MP4 + b"x"], ids=["gone", "cut", "grown"])
def test_an_object_that_is_not_what_it_was_is_not_given_out(bucket, file, change):
    """R-086."""
    s3 = place(bucket)
    s3.put(NAME, file(MP4))
    if change is None:
        bucket.objects.clear()
    else:
        bucket.objects[NAME] = change

    with pytest.raises(NotFound):
        s3.open(NAME, len(MP4), 0, 10)
    with pytest.raises(NotFound):
        s3.open(NAME, len(MP4), 0, len(MP4))


def test_what_is_removed_is_gone_and_removing_twice_is_no_trouble(bucket, file):
    s3 = place(bucket)
    s3.put(NAME, file(MP4))

    s3.remove(NAME, whole=True)
    s3.remove(NAME, whole=True)

    assert bucket.objects == {}


def test_a_name_that_is_not_ours_never_reaches_the_bucket(bucket):
    """R-091."""
    for name in ("../" + NAME, NAME.upper(), "", "other/" + NAME):
        with pytest.raises(NotFound):
            place(bucket).open(name, 1, 0, 1)
    assert bucket.asked == []


def test_the_bucket_may_stand_in_the_host(bucket, file, monkeypatch):
    """OSS serves nothing else, and MinIO by default not that: the setting decides."""
    real = socket.getaddrinfo

    def resolve(host: str, *words: Any, **more: Any) -> Any:
        name = "127.0.0.1" if str(host).endswith("bucket.test") else host
        return real(name, *words, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    endpoint = f"http://bucket.test:{bucket.port}"
    place(bucket, endpoint=endpoint, addressing="virtual").put(NAME, file(PNG))

    assert bucket.asked[-1][1].partition("?")[0] == f"/{NAME}" and bucket.objects == {NAME: PNG}
    place(bucket, addressing="path").put(NAME, file(MP4))
    assert bucket.asked[-1][1].partition("?")[0] == f"/{BUCKET}/{NAME}"


def test_the_environment_says_nothing(bucket, file, monkeypatch):
    """R-115: neither keys nor proxies nor addresses for somebody else's program."""
    for name in ("HTTP_PROXY", "http_proxy", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSOMEBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "elsewhere-1")

    place(bucket).put(NAME, file(PNG))

    assert bucket.objects == {NAME: PNG}


@pytest.fixture
def store(bucket: Bucket, tmp_path: Path) -> Iterator[Store]:
    database = Database(f"sqlite:///{tmp_path}/tokens.db")
    fill(database)
    clock = Clock(datetime.datetime.now(datetime.UTC).timestamp())
    yield Store(
        Media(database),
        {"local": Local(tmp_path / "media"), "s3": place(bucket)},
        Links(tmp_path / "link.key", clock, seconds=60),
        clock,
        into="s3",
        seconds=1000,
        most=1 << 30,
    )
    database.close()


def test_the_store_keeps_finds_reads_and_sweeps_there(store, bucket, file, tmp_path):
    kept = store.keep(File(file(MP4), "video/mp4", 0), owner="me", platform="here")

    assert kept.where == "s3" and bucket.objects == {f"{kept.id}.mp4": MP4}
    assert b"".join(store.read(store.find(kept.id), 1, 9)) == MP4[1:9]
    assert store.has_room(10) and not (tmp_path / "media").exists()
    assert store.sweep(kept.expires_at) == 1
    assert bucket.objects == {}


def test_what_never_became_whole_is_called_off_by_the_sweep(store, bucket, file, monkeypatch):
    """A process that died in the middle leaves parts, which are paid for."""

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "_drop", die)
        patch.setattr(S3, "_put_parts", lambda s3, place, *_: _begin(s3, place))
        store.keep(File(file(large(PART + 8)), "video/mp4", 0), owner="me", platform="here")
    assert len(bucket.uploads) == 1
    now = store._clock.now()

    assert store.sweep(now) == 0 and store.sweep(now + ON_ITS_WAY_SECONDS) == 1
    assert bucket.uploads == {}


def _begin(s3: S3, place: dict[str, str]) -> None:
    s3._client().create_multipart_upload(**place)
    raise KeyboardInterrupt
