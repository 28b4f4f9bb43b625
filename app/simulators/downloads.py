"""Files that a simulator hands out: whole or in ranges, and for a while only."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.simulators.exchange import Call, Reply

KEPT = 100

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Download:
    """A file and the moment from which it is gone."""

    data: bytes
    media: str
    until: float


class Shelf:
    """The last files handed out, by path. `now` is the simulator's clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._files: OrderedDict[str, Download] = OrderedDict()

    def put(self, path: str, data: bytes, media: str, seconds: float) -> None:
        self._files[path] = Download(data, media, self._now() + seconds)
        while len(self._files) > KEPT:
            self._files.popitem(last=False)

    def find(self, path: str) -> Download | None:
        """What lies at this path; None when there is nothing, or nothing any more."""
        found = self._files.get(path)
        return found if found and self._now() < found.until else None


def origin(call: Call) -> str:
    """The address by which the caller reached the simulator, for addresses it hands out."""
    return f"http://{call.headers.get('host', '127.0.0.1')}"


def served(call: Call, data: bytes, media: str, ranges: bool = True) -> Reply:
    """The file, or the part of it that was asked for."""
    asked = _RANGE.fullmatch(call.headers.get("range", "")) if ranges else None
    headers = {"accept-ranges": "bytes" if ranges else "none"}
    if asked is None or asked.group(1) == asked.group(2) == "":
        return Reply(200, data, headers, media)
    start, end = _bounds(asked.group(1), asked.group(2), len(data))
    if start >= len(data) or end < start:
        return Reply(416, b"", headers | {"content-range": f"bytes */{len(data)}"}, media)
    told = headers | {"content-range": f"bytes {start}-{end}/{len(data)}"}
    return Reply(206, data[start : end + 1], told, media)


def _bounds(first: str, last: str, size: int) -> tuple[int, int]:
    """The first and the last byte; `-5` are the last five."""
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1
