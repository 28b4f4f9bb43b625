"""`tokens doctor` on what things are kept in: folders, a bucket, files with keys. It only looks."""

from __future__ import annotations

import datetime
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import places
from app.cli.doctor import examine
from app.config import Settings
from app.extras import to_install
from app.media.links import Links
from app.platforms import PLATFORMS
from app.seal import Seal
from tests.media.bucket import BUCKET, KEY, REGION, SECRET, Bucket
from tests.media.samples import Clock

Found = dict[str, tuple[str, str, str]]


@pytest.fixture
def look(called: Callable[..., Any]) -> Callable[..., Found]:
    """What the doctor finds, by what it looked at."""

    def look(**settings: str) -> Found:
        done = called("doctor", "--json", **settings)
        assert SECRET not in done.stdout + done.stderr and "Traceback" not in done.stderr
        told = json.loads(done.stdout)
        is_wrong = any(one["state"] == "wrong" for one in told)
        assert done.returncode == int(is_wrong)
        return {one["check"]: (one["state"], one["what"], one["do"]) for one in told}

    return look


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.stop()


@pytest.fixture
def keeping(bucket: Bucket) -> dict[str, str]:
    """Settings that keep what is made in the bucket."""
    return {
        "TOKENS_MEDIA_S3_BUCKET": BUCKET,
        "TOKENS_MEDIA_S3_ENDPOINT": bucket.endpoint,
        "TOKENS_MEDIA_S3_REGION": REGION,
        "TOKENS_MEDIA_S3_KEY": KEY,
        "TOKENS_MEDIA_S3_SECRET": SECRET,
        "TOKENS_MEDIA_S3_ADDRESSING": "path",
        "TOKENS_MEDIA_S3_PREFIX": "made/",
    }


# ---------------------------------------------------------------- the bucket


def test_a_bucket_that_can_be_used_is_asked_and_not_changed(look, bucket, keeping):
    bucket.objects["there"] = b"before"

    state, what, do = look(**keeping)["bucket"]

    assert (state, do) == ("ok", "")
    assert (
        what == f"{BUCKET} takes the key; that it may be written shows when the first file is kept"
    )
    assert {method for method, _ in bucket.asked} == {"GET"} and bucket.refusals == []
    assert bucket.objects == {"there": b"before"} and bucket.uploads == {}


def test_without_a_bucket_nothing_is_said_of_one(look):
    assert "bucket" not in look()


@pytest.mark.parametrize(
    "change, code, named",
    [
        ({"SECRET": "another"}, "SignatureDoesNotMatch", "TOKENS_MEDIA_S3_SECRET"),
        ({"KEY": "AKIDSOMEBODY"}, "InvalidAccessKeyId", "TOKENS_MEDIA_S3_KEY"),
        ({"REGION": "elsewhere-1"}, "AuthorizationHeaderMalformed", "TOKENS_MEDIA_S3_REGION"),
        ({"BUCKET": "another"}, "NoSuchBucket", "TOKENS_MEDIA_S3_BUCKET"),
    ],
)
def test_what_the_bucket_refuses_is_told_with_the_setting_to_correct(
    look, keeping, change, code, named
):
    wrong = {f"TOKENS_MEDIA_S3_{name}": value for name, value in change.items()}

    state, what, do = look(**keeping | wrong)["bucket"]

    assert (state, what.endswith(f"cannot be used: {code}")) == ("wrong", True) and named in do


def test_a_key_without_rights_and_a_clock_that_is_wrong_are_told(look, bucket, keeping):
    bucket.mishaps = ["AccessDenied"]
    assert look(**keeping)["bucket"][::2] == ("wrong", places.RIGHTS)

    bucket.shift = datetime.timedelta(hours=1)
    assert look(**keeping)["bucket"][::2] == ("wrong", "switch NTP on")


def test_nobody_there_is_told(look, keeping):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    keeping["TOKENS_MEDIA_S3_ENDPOINT"] = f"http://127.0.0.1:{port}"
    state, what, do = look(**keeping)["bucket"]

    assert state == "wrong" and what == f"{BUCKET} cannot be used: EndpointConnectionError"
    assert "TOKENS_MEDIA_S3_ENDPOINT" in do


def test_offline_the_bucket_is_not_asked(called, bucket, keeping):
    told = json.loads(called("doctor", "--json", "--offline", **keeping).stdout)

    assert [one["state"] for one in told if one["check"] == "bucket"] == ["note"]
    assert bucket.asked == []


def test_boto3_that_is_missing_is_told_before_anything_is_asked(look, bucket, keeping, monkeypatch):
    monkeypatch.setattr(places, "is_installed", lambda: False)

    state, what, do = look(**keeping)["bucket"]

    assert (state, what) == ("wrong", "boto3 is not installed")
    assert to_install("s3") in do and bucket.asked == []


# ---------------------------------------------------------------- folders


@pytest.mark.parametrize("check, setting", [("media folder", "MEDIA"), ("spool folder", "SPOOL")])
def test_a_folder_is_there_or_can_be_made_or_is_wrong(look, tmp_path, check, setting):
    name = f"TOKENS_{setting}_FOLDER"
    there, absent, file = tmp_path / "there", tmp_path / "not/there", tmp_path / "file"
    there.mkdir()
    file.write_text("no folder")

    assert look(**{name: str(there)})[check][1].endswith(f"MB free in {there}")
    state, what, _ = look(**{name: str(absent)})[check]
    assert state == "ok" and what.startswith(f"{absent} can be made") and not absent.parent.exists()
    assert look(**{name: str(file / "below")})[check] == (
        "wrong",
        f"{file} is not a folder",
        f"correct {name}",
    )


def test_a_folder_that_cannot_be_written_is_wrong(tmp_path, monkeypatch):
    """Told by the system's own answer, which root never hears."""
    (media := tmp_path / "media").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != media)
    env = {"TOKENS_MEDIA_FOLDER": str(media), "TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}
    chosen = Settings.from_env(env, list(PLATFORMS.values()))

    found = {one.check: one for one in examine(chosen, offline=True)}["media folder"]

    assert (found.state, found.what) == ("wrong", f"{media} cannot be written")
    assert found.do.startswith("chown it to ")


# ---------------------------------------------------------------- files with keys

FILES = [("link file", "LINK"), ("webhook file", "WEBHOOK"), ("key file", "SEAL")]


def written(kind: str, file: Path) -> Path:
    if kind == "LINK":
        Links(file, Clock(), seconds=60).path("a.mp4", 2_000_000_000)
    else:
        Seal.make(file)
    return file


@pytest.mark.parametrize("check, kind", FILES)
def test_a_file_that_is_not_there_yet_is_no_fault_and_is_not_made(look, tmp_path, check, kind):
    file = tmp_path / "absent.key"

    state, what, do = look(**{f"TOKENS_{kind}_FILE": str(file)})[check]

    assert (state, what) == ("note", f"{file} is not there yet") and do.startswith("nothing: ")
    assert not file.exists()


@pytest.mark.parametrize("check, kind", FILES)
def test_a_good_file_is_good_until_others_may_read_it(look, tmp_path, check, kind):
    file = written(kind, tmp_path / "good.key")
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    setting = {f"TOKENS_{kind}_FILE": str(file)}

    assert look(**setting)[check][0] == "ok"
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    file.chmod(0o440)
    assert look(**setting)[check] == (
        "wrong",
        f"others may read {file}",
        f"chmod 400 {file}",
    )


@pytest.mark.parametrize("words", ["", "# nothing\n", "short\n", "\xff"])
@pytest.mark.parametrize("check, kind", FILES)
def test_a_file_that_is_none_is_wrong(look, tmp_path, check, kind, words):
    file = tmp_path / "bad.key"
    file.write_text(words, encoding="latin-1")
    file.chmod(0o400)

    state, what, do = look(**{f"TOKENS_{kind}_FILE": str(file)})[check]

    assert state == "wrong" and str(file) in what and do


def test_a_file_that_does_not_open_the_secrets_of_webhooks_is_wrong(look, called, tmp_path):
    name = json.loads(called("licence", "add", "--json").stdout)["name"]
    assert called("licence", "webhook", name, "--on-request").returncode == 0
    assert look()["webhook file"][0] == "ok"

    (file := tmp_path / "webhook.key").rename(tmp_path / "kept.key")
    state, what, do = look()["webhook file"]
    assert (state, what) == ("wrong", f"there is no file {file}") and "--renew" in do
    Seal.make(file)
    state, what, do = look()["webhook file"]
    assert (state, what) == ("wrong", f"{file} does not open {name}") and "--renew" in do
