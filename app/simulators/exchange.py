"""One request as a simulator sees it, and the answer it gives: values only.

A stream is a list of frames, one per event, because mishaps need to know what they interrupt:
`content` frames are the ones `Mishap.after` counts, and `last` frames are the ending (finish
reason, usage, terminal event) that `truncate` leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

Environ = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been read completely. Header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    raw: bytes

    def parameter(self, name: str) -> str | None:
        values = parse_qs(self.query, keep_blank_values=True).get(name)
        return values[-1] if values else None

    def parsed(self) -> Any:
        """The body as JSON; ValueError when it is not, which NaN and Infinity are not either."""
        return json.loads(self.raw.decode("utf-8"), parse_constant=_no_constant)

    def body(self) -> Any:
        """The body as JSON, or as text when it is not JSON, or None when there is none."""
        if not self.raw:
            return None
        try:
            return self.parsed()
        except (ValueError, RecursionError):
            return self.raw.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Frame:
    """One event exactly as it goes over the wire."""

    data: bytes
    content: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed answer; `garbage` and `error` are what those two mishaps put into it.

    Where errors are numbered like all events, `error` is told how many events went before it.
    """

    frames: Iterable[Frame]
    garbage: bytes = b"data: {not json\n\n"
    error: tuple[bytes, ...] | Callable[[int], tuple[bytes, ...]] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, its headers and either all of the body or a stream."""

    status: int
    body: bytes | Stream
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


def as_json(value: Any) -> bytes:
    """Compact JSON; text stays readable, save for half a surrogate pair, which stays escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def read_call(environ: Environ) -> Call:
    """Reads the whole request off a WSGI environ, chunked bodies included."""
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    if kind := environ.get("CONTENT_TYPE"):
        headers["content-type"] = str(kind)
    length = str(environ.get("CONTENT_LENGTH") or "")
    if length:
        headers["content-length"] = length
    chunked = bool(environ.get("wsgi.input_terminated")) or "transfer-encoding" in headers
    stream = environ["wsgi.input"]
    raw = stream.read(int(length)) if length else stream.read() if chunked else b""
    return Call(
        method=str(environ["REQUEST_METHOD"]),
        path=str(environ.get("PATH_INFO", "/")).encode("latin-1").decode("utf-8", "replace"),
        query=str(environ.get("QUERY_STRING", "")),
        headers=headers,
        raw=raw,
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
