"""Uploads in two steps: an announcement that gives an address, then the bytes in pieces."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from app.simulators.downloads import origin
from app.simulators.exchange import Call, Reply, as_json
from app.simulators.flow_files import Files
from app.simulators.gemini_checks import Refused

UPLOADS = re.compile(r"/upload/(?:v1beta|v1alpha|v1)/files")
MOST_GOING = 20
MEDIA_TYPE = "application/octet-stream"


@dataclass(slots=True)
class _Upload:
    key: str
    media: str
    size: int
    data: bytearray = field(default_factory=bytearray)


class Uploads:
    """The uploads that are going on."""

    def __init__(self, files: Files, mint: Callable[[str], str]) -> None:
        self._files = files
        self._mint = mint
        self._going: dict[str, _Upload] = {}

    def answer(self, call: Call, key: str) -> Reply:
        commands = {one.strip() for one in call.headers.get("x-goog-upload-command", "").split(",")}
        if "start" in commands:
            return self._start(call, key)
        name = call.parameter("upload_id") or ""
        going = self._going.get(name)
        if going is None or not commands & {"upload", "finalize"}:
            raise Refused("Upload has already been terminated or was never begun.")
        if call.headers.get("x-goog-upload-offset") != str(len(going.data)):
            raise Refused("The upload offset is not where the upload stands.")
        going.data += call.raw
        if "finalize" not in commands:
            return Reply(200, b"", {"x-goog-upload-status": "active"})
        if going.size not in (-1, len(going.data)):
            raise Refused("The upload is not as long as was announced.")
        del self._going[name]
        file = self._files.upload(going.key, bytes(going.data), going.media)
        told = {"file": self._files.described(call, file)}
        return Reply(200, as_json(told), {"x-goog-upload-status": "final"})

    def _start(self, call: Call, key: str) -> Reply:
        length = call.headers.get("x-goog-upload-header-content-length", "")
        media = call.headers.get("x-goog-upload-header-content-type", MEDIA_TYPE)
        name = self._mint("upload")
        while len(self._going) >= MOST_GOING:
            self._going.pop(next(iter(self._going)))
        self._going[name] = _Upload(key, media, int(length) if length.isdecimal() else -1)
        address = f"{origin(call)}{call.path}?upload_id={name}&upload_protocol=resumable"
        return Reply(200, b"", {"x-goog-upload-url": address, "x-goog-upload-status": "active"})
