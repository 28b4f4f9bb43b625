"""What the gateway keeps things in, as `tokens doctor` finds it: folders, a bucket, files with keys.
Nothing is made or changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from app.cli.finding import Finding
from app.clock import SystemClock
from app.config import Settings
from app.extras import to_install
from app.factory import make_bucket
from app.key_file import BadKeyFile
from app.media.links import Links
from app.media.s3 import is_installed
from app.seal import CannotOpen, Seal
from app.services.webhooks import opened
from app.storage.webhooks import Hook

LEAST_MEGABYTES = 200
RIGHTS = "give the key of TOKENS_MEDIA_S3_KEY the rights that docs/media.md lists"
REMEDIES = {
    "NoSuchBucket": "make the bucket, or correct TOKENS_MEDIA_S3_BUCKET",
    "InvalidAccessKeyId": "correct TOKENS_MEDIA_S3_KEY",
    "SignatureDoesNotMatch": "correct TOKENS_MEDIA_S3_SECRET",
    "AccessDenied": RIGHTS,
    "AuthorizationHeaderMalformed": "correct TOKENS_MEDIA_S3_REGION",
    "PermanentRedirect": "correct TOKENS_MEDIA_S3_REGION",
    "RequestTimeTooSkewed": "switch NTP on",
    "EndpointConnectionError": "check TOKENS_MEDIA_S3_ENDPOINT and the network",
    "ConnectTimeoutError": "check TOKENS_MEDIA_S3_ENDPOINT and the network",
}


def folder(check: str, path: Path, setting: str, files: Sequence[Path] = ()) -> Finding:
    """Whether there is room in a folder, or whether it could be made; and `files` in it written."""
    path = path.resolve()
    there = next(one for one in (path, *path.parents) if os.path.exists(one))
    if not there.is_dir():
        return Finding(check, "wrong", f"{there} is not a folder", f"correct {setting}")
    for place in (there, *files):
        if os.path.exists(place) and not os.access(place, os.W_OK):
            return Finding(check, "wrong", f"{place} cannot be written", f"chown it to {_user()}")
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize >> 20
    if free < LEAST_MEGABYTES:
        return Finding(check, "wrong", f"{free} MB free in {there}", "make room")
    can = "" if there == path else f"{path} can be made, "
    return Finding(check, "ok", f"{can}{free} MB free in {there}")


def _user() -> str:
    return os.environ.get("USER", str(os.getuid()))


def bucket(chosen: Settings, *, offline: bool) -> Iterator[Finding]:
    """Whether the bucket of the settings, if any, can be used. It is only asked what is on its way
    there.
    """
    name = chosen.media_s3_bucket
    if not name:
        return
    if not is_installed():
        do = f"{to_install('s3')}, or take TOKENS_MEDIA_S3_BUCKET out"
        yield Finding("bucket", "wrong", "boto3 is not installed", do)
    elif offline:
        yield Finding("bucket", "note", f"{name} was not asked", "leave --offline out to ask it")
    elif trouble := make_bucket(chosen).trouble():
        do = REMEDIES.get(trouble, "check the TOKENS_MEDIA_S3_ settings against docs/media.md")
        yield Finding("bucket", "wrong", f"{name} cannot be used: {trouble}", do)
    else:
        what = f"{name} takes the key; that it may be written shows when the first file is kept"
        yield Finding("bucket", "ok", what)


def links(chosen: Settings) -> Finding:
    """The file whose keys sign links."""
    file = Path(chosen.link_file)
    clock = SystemClock()
    do = f"put the file of another host in its place, or take {file} away: links given out so far end"
    return _keys(
        "link file", file, lambda: Links(file, clock, seconds=chosen.link_seconds).check(), do
    )


def seals(chosen: Settings) -> Finding:
    """The file whose keys open credentials, where there are none yet."""
    file = Path(chosen.seal_file)
    return _keys("key file", file, lambda: Seal.load(file), f"correct it, or take {file} away")


def webhooks(chosen: Settings, hooks: Sequence[Hook]) -> Finding:
    """The file whose keys open what webhooks are signed with, and whether it does."""
    file = Path(chosen.webhook_file)
    do = "put the right file in its place, or `tokens licence webhook NAME --renew` each"
    if not hooks:
        return _keys(
            "webhook file", file, lambda: Seal.load(file), f"correct it, or take {file} away"
        )
    if not file.exists():
        return Finding("webhook file", "wrong", f"there is no file {file}", do)
    lost: list[str] = []

    def load() -> None:
        seal = Seal.load(file)
        lost.extend(one.owner for one in hooks if not _opens(seal, one))

    found = _keys("webhook file", file, load, do)
    if found.state == "ok" and lost:
        return Finding("webhook file", "wrong", f"{file} does not open {', '.join(lost)}", do)
    return found


def _opens(seal: Seal, hook: Hook) -> bool:
    try:
        opened(seal, hook)
    except CannotOpen:
        return False
    return True


def _keys(check: str, file: Path, load: Callable[[], object], do: str) -> Finding:
    if not file.exists():
        when = "nothing: it is made when it is first needed; every host needs the same"
        return Finding(check, "note", f"{file} is not there yet", when)
    try:
        load()
    except BadKeyFile as error:
        return Finding(check, "wrong", str(error), do)
    if file.stat().st_mode & 0o077:
        return Finding(check, "wrong", f"others may read {file}", f"chmod 400 {file}")
    return Finding(check, "ok", f"{file} can be used")
