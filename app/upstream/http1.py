"""Just enough HTTP/1.1 to read an answer: its head, and the three ways in which a body can end.

A body of known length and a chunked one say when they are complete. One that ends with the
connection never can, so whoever reads it has to see the protocol's own last word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, Protocol

from app.errors import BadReply

MOST_HEAD_BYTES = 65536
MOST_HEAD_LINES = 200
MOST_TRAILER_BYTES = 65536
MANY_BYTES = 2048  # of one read: likely to be several chunks
MOST_DIGITS = 18  # of a length; more of them would be a number nobody can send
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |$)")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


_FRAMING = ("content-length", "transfer-encoding")


class Head(NamedTuple):
    """`keeps` says whether the server means to keep the connection."""

    status: int
    headers: dict[str, str]
    keeps: bool


def read_head(head: bytes) -> Head:
    """An answer's head; names in lower case, the last of equal names wins, values with control
    bytes are dropped.
    """
    first, *lines = head.split(b"\r\n")
    found = _STATUS.match(first)
    if found is None:
        raise BadReply("the platform's answer is not HTTP")
    if len(lines) > MOST_HEAD_LINES:
        raise BadReply("the platform's answer has too many headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        value = value.strip(" \t")
        if not colon or not _NAME.fullmatch(name):
            raise BadReply("the platform's answer has a header that cannot be read")
        name = name.lower()
        unprintable = _UNPRINTABLE.search(value)
        if name in _FRAMING and (unprintable or headers.get(name, value) != value):
            raise BadReply("the platform's answer has two lengths")
        if not unprintable:
            headers[name] = value
    wish = headers.get("connection", "").lower()
    keeps = "close" not in wish if found[1] == b"1" else "keep-alive" in wish
    return Head(int(found[2]), headers, keeps)


class Framing(Protocol):
    """Takes bytes off the connection, gives the bytes of the body."""

    complete: bool
    name: str

    def feed(self, data: bytes) -> bytes: ...

    @property
    def spare(self) -> bytes:
        """What came after the end of the body, where nothing should."""


class Empty:
    """No body at all."""

    complete = True
    name = "length"
    spare = b""

    def feed(self, data: bytes) -> bytes:
        self.spare += data
        return b""


class Counted:
    """A body of known length."""

    name = "length"

    def __init__(self, length: int) -> None:
        self._left = length
        self.complete = length == 0
        self.spare = b""

    def feed(self, data: bytes) -> bytes:
        if len(data) > self._left:
            data, self.spare = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.complete = self._left == 0
        return data


class UntilClose:
    """A body that ends when the connection does."""

    complete = False
    name = "close"
    spare = b""

    def feed(self, data: bytes) -> bytes:
        return data


class Chunked:
    """A chunked body. Everything that one read brought comes out in one piece; trailers are
    skipped.
    """

    name = "chunked"
    __slots__ = ("complete", "spare", "_rest", "_left", "_in_trailers", "_trailer_bytes")

    def __init__(self) -> None:
        self.complete = False
        self.spare = b""
        self._rest = b""
        self._left = 0  # of the chunk we are in, with its line end
        self._in_trailers = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        if self._rest:
            data, self._rest = self._rest + data, b""
        out: list[bytes] = []
        at, end = 0, len(data)
        if end > MANY_BYTES and not (self._left or self._in_trailers):
            at = _take_whole(data, out)
        while at < end and not self.complete:
            if self._left:
                at = self._take(data, at, out)
            elif (line_end := data.find(b"\r\n", at)) < 0:
                if end - at > MOST_HEAD_BYTES:
                    raise BadReply("the platform's answer has a chunk that cannot be read")
                self._rest = data[at:]
                at = end
            else:
                self._line(data[at:line_end])
                at = line_end + 2
                stop = at + self._left - 2
                if 0 < self._left <= end - at and data.startswith(b"\r\n", stop):
                    out.append(data[at:stop])  # the whole chunk is here, as nearly always
                    at, self._left = stop + 2, 0
        if self.complete:
            self.spare = data[at:]
        return out[0] if len(out) == 1 else b"".join(out)

    def _take(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Body bytes from `at` on, up to the end of the chunk or of what is there."""
        body = self._left - 2
        have = len(data) - at
        if body > 0:
            out.append(data[at : at + min(body, have)])
        if have < self._left:
            tail = max(have - max(body, 0), 0)
            if tail:  # half a line end
                self._rest = data[-tail:]
            self._left -= have - tail
            return len(data)
        if data[at + max(body, 0) : at + self._left][-2:] != b"\r\n":
            raise BadReply("the platform's answer has a chunk that cannot be read")
        at += self._left
        self._left = 0
        return at

    def _line(self, line: bytes) -> None:
        if self._in_trailers:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MOST_TRAILER_BYTES:
                raise BadReply("the platform's answer has trailers that do not end")
            self.complete = not line
            return
        if line.isalnum() and len(line) < 8:
            self._left = _sizes(line)
            self._in_trailers = not self._left
            return
        self._left = _size(line)
        self._in_trailers = not self._left


def _take_whole(data: bytes, out: list[bytes]) -> int:
    """The chunks at the beginning that are here from end to end, all at once, and how many bytes they
    take. Those with a line end in them are left to the thorough way, and whatever follows them.
    """
    pieces = data.split(b"\r\n")
    lines, bodies = pieces[0:-2:2], pieces[1:-1:2]
    lengths = list(map(len, bodies))
    whole = lengths.index(0) if 0 in lengths else len(lengths)
    told = list(map(b"%x".__mod__, lengths))
    if lines[:whole] != told[:whole]:
        whole = next(at for at in range(whole) if lines[at] != told[at])
    out += bodies[:whole]
    return sum(map(len, lines[:whole])) + sum(lengths[:whole]) + 4 * whole


def _size(line: bytes) -> int:
    """What a size line announces, with the line end after the chunk; 0 for the last chunk."""
    found = _SIZE.fullmatch(line)
    if found is None:
        raise BadReply("the platform's answer has a chunk that cannot be read")
    size = int(found[1], 16)
    return size + 2 if size else 0


_sizes = lru_cache(maxsize=1024)(_size)  # the same few plain ones come again and again


def framing(method: str, status: int, headers: Mapping[str, str]) -> Framing:
    """How the body of this answer ends."""
    if method == "HEAD" or status in (204, 304):
        return Empty()
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise BadReply("the platform's answer has two lengths")
        return Chunked()
    if length is None:
        return UntilClose()
    if not (length.isascii() and length.isdigit() and len(length) <= MOST_DIGITS):
        raise BadReply("the platform's answer has a length that cannot be read")
    return Counted(int(length))
