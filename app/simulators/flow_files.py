"""Files of Google's API: what was made or uploaded, and the way it is fetched.

A file belongs to the key that had it made. One that was made needs a while before it can be used,
and is gone after two days. Its prompt may order `processing=SECONDS` (how long it is not ready),
`spoilt` (it never is), `keeps=SECONDS`, `redirect` (a download is sent elsewhere: to an address
that needs no key, on another name of this host with `redirect=elsewhere`) and `rangeless`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.simulators.directives import asked, setting, value
from app.simulators.downloads import origin, served
from app.simulators.exchange import Call, Reply
from app.simulators.gemini_checks import Refused

KEPT = 200
HOURS_48 = 48 * 3600.0
PROCESSING = 1.0  # seconds
YEAR = 365 * 24 * 3600.0
REDIRECTED = "/download/v1beta/files/"
FILES = re.compile(r"/(?:v1beta|v1alpha|v1)/files(?:/([A-Za-z0-9_-]+)(:download)?)?")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class File:
    """`seconds` is the length of a film, 0 when unknown; `engine` is what made it, "" if uploaded."""

    name: str
    key: str
    data: bytes
    media: str
    born: float
    ready: float
    until: float
    engine: str = ""
    seconds: float = 0.0
    prompt: str = ""

    def state(self, now: float) -> str:
        if now < self.ready:
            return "PROCESSING"
        return "FAILED" if asked(self.prompt, "spoilt") else "ACTIVE"


class Files:
    """The files of all keys."""

    def __init__(self, now: Callable[[], float], mint: Callable[[str], str]) -> None:
        self._now = now
        self._mint = mint
        self._files: OrderedDict[str, File] = OrderedDict()

    def make(self, key: str, data: bytes, seconds: float, engine: str, prompt: str) -> File:
        """A film that an engine has just finished."""
        now, waits = self._now(), 0.0
        if engine == "omni":
            waits = _bounded(setting(prompt, "processing", PROCESSING))
        until = now + _bounded(setting(prompt, "keeps", HOURS_48))
        name, media = self._mint("f"), "video/mp4"
        return self._keep(
            File(name, key, data, media, now, now + waits, until, engine, seconds, prompt)
        )

    def upload(self, key: str, data: bytes, media: str) -> File:
        now = self._now()
        return self._keep(File(self._mint("u"), key, data, media, now, now, now + HOURS_48))

    def find(self, name: str, key: str) -> File:
        """The file; raises the vendor's 403 for somebody else's, 404 for one that is gone."""
        found = self._files.get(name)
        if found is None or self._now() >= found.until:
            raise Refused(f"The file files/{name} was not found.", "NOT_FOUND")
        if found.key != key:
            raise Refused(
                f"You do not have permission to access the File {name} or it may not exist.",
                "PERMISSION_DENIED",
            )
        return found

    def usable(self, name: str, key: str) -> File:
        """The same for a file that goes into a request: it must be ready."""
        found = self.find(name, key)
        if found.state(self._now()) != "ACTIVE":
            raise Refused(
                f"The File {name} is not in an ACTIVE state and usage is not allowed.",
                "FAILED_PRECONDITION",
            )
        return found

    def remove(self, name: str, key: str) -> None:
        self.find(name, key)
        del self._files[name]

    def listed(self, call: Call, key: str) -> Json:
        there = [one for one in self._files.values() if one.key == key and self._now() < one.until]
        return {"files": [self.described(call, one) for one in there]} if there else {}

    def described(self, call: Call, file: File) -> Json:
        state = file.state(self._now())
        told: Json = {
            "name": f"files/{file.name}",
            "mimeType": file.media,
            "sizeBytes": str(len(file.data)),
            "createTime": moment(file.born),
            "updateTime": moment(file.ready),
            "expirationTime": moment(file.until),
            "sha256Hash": base64.b64encode(hashlib.sha256(file.data).digest()).decode(),
            "uri": self.address(call, file),
            "state": state,
            "source": "GENERATED" if file.engine else "UPLOADED",
        }
        if file.engine:
            told["downloadUri"] = f"{self.address(call, file)}:download?alt=media"
        if file.seconds:
            told["videoMetadata"] = {"videoDuration": f"{file.seconds:g}s"}
        if state == "FAILED":
            told["error"] = {"code": 13, "message": "The file could not be processed."}
        return told

    def address(self, call: Call, file: File) -> str:
        return f"{origin(call)}/v1beta/files/{file.name}"

    def download(self, call: Call, name: str, key: str) -> Reply:
        if call.parameter("alt") != "media":
            raise Refused("Downloads need alt=media.")
        found = self.usable(name, key)
        if not found.engine:
            raise Refused("Only generated files can be downloaded.")
        if (where := value(found.prompt, "redirect")) is not None:
            host = origin(call)
            if where == "elsewhere":
                host = _other_name(host)
            return Reply(302, b"", {"location": f"{host}{REDIRECTED}{name}"}, "text/html")
        return self._served(call, found)

    def redirected(self, call: Call) -> Reply:
        """The end of a redirect: a file that only those know who were sent here."""
        found = self._files.get(call.path.removeprefix(REDIRECTED))
        if found is None or self._now() >= found.until:
            raise Refused("Requested entity was not found.", "NOT_FOUND")
        return self._served(call, found)

    def directed(self, name: str) -> str:
        """The prompt by which a file was made, empty when there is none."""
        found = self._files.get(name)
        return found.prompt if found else ""

    def _served(self, call: Call, file: File) -> Reply:
        return served(call, file.data, file.media, ranges=not asked(file.prompt, "rangeless"))

    def _keep(self, file: File) -> File:
        self._files[file.name] = file
        while len(self._files) > KEPT:
            self._files.popitem(last=False)
        return file


def moment(seconds: float) -> str:
    """A moment as the vendor writes it."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _bounded(seconds: float) -> float:
    return max(0.0, min(seconds, YEAR))


def _other_name(host: str) -> str:
    if "//localhost" in host:
        return host.replace("//localhost", "//127.0.0.1")
    return host.replace("//127.0.0.1", "//localhost")
