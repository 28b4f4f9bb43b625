"""Going to an address that a caller chose, for a file or to tell it something, without becoming the
caller's way into our network.

The order is fixed: read the address, check scheme and port, resolve, judge every answer, connect to
a judged address, judge the peer, and only then speak. A redirect starts over at the first step and
carries nothing along. The name is never resolved twice, so an answer that changes in between
(rebinding) changes nothing.

urllib3 is used below its pools and its own connecting: those resolve names again, follow what they
are told, read the environment, and count time from the last byte. A redirect's body is never read,
and no content coding is undone: one compressed megabyte unpacks to a gigabyte, on a 302 as well as
on a 200.

The caller hears one sentence for every refusal and every failure on the way, or the answers would
map our network. Why it really failed is the cause of the exception.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

import certifi
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse
from urllib3.util.ssltransport import SSLTransport

from app.canonical.media import File
from app.canonical.media_type import HEAD_BYTES, LONGEST_HEAD, MEASURED, pixels, sniff
from app.clock import Clock, SystemClock
from app.descriptors import check_descriptors
from app.errors import BadAttachment, NotFound, OutOfFiles, StorageTrouble
from app.media.addresses import Resolver, is_own, is_public, system_resolver
from app.media.destination import PORTS, Destination, Refusal, read_destination, read_redirect
from app.media.line import Connector, Deadline, Line, system_connect, tls_context

MOST_PIXELS = 40_000_000
NEUTRAL = "the address could not be used"
TOGETHER = "the files at the addresses in the request are too large together"

_MEGABYTE = 1024 * 1024
_SLICE = 64 * 1024
_HEAD = 512 * 1024  # on the wire until the headers are in, the server's certificates among them
_OVERHEAD = _MEGABYTE  # on the wire beside a file: TLS records, chunk sizes
_SMALLEST_PIECE = (
    512  # on average, after the first thousands: a chunk of one byte costs what 64 KiB do
)
_FREE_PIECES = 4000
_CONNECT_SECONDS = 5.0  # per address, so that a dead one leaves time for the next
_MOST_TRIES = 3  # of the addresses a name has
_MOST_LOOKUPS = (
    4  # at once: gevent resolves on the ten threads that the rest of the process needs too
)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {
    "User-Agent": "tokens-gateway",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
# What lies behind a link of ours, or `NotFound`; None where the link leads elsewhere.
Own = Callable[[str], Iterator[bytes] | None]

_TROUBLE = (Refusal, OSError, UnicodeError, HTTPException, HTTPError)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file and what it is, told from its bytes."""

    data: bytes
    media_type: str


class NotDelivered(Exception):
    """Nobody took it, and why."""


class Fetcher:
    """Goes to callers' addresses. One per process: it counts who is connected where.

    `allowed_hosts` holds `host` or `host:port` entries. Such a host may have any address; with a
    port that port may be used as well, without one only 80 and 443.
    """

    def __init__(
        self,
        *,
        allowed_hosts: Collection[str] = (),
        allow_http: bool = True,
        file_megabytes: int = 20,
        request_megabytes: int = 100,
        request_urls: int = 10,
        seconds: float = 20.0,
        redirects: int = 3,
        per_host: int = 4,
        ca_file: str = "",
        resolve: Resolver = system_resolver,
        connect: Connector = system_connect,
        own: Callable[[str], bool] = is_own,
        clock: Clock = SystemClock(),
    ) -> None:
        self._allowed = frozenset(entry.lower() for entry in allowed_hosts)
        self._schemes = frozenset(PORTS) if allow_http else frozenset({"https"})
        self.file_bytes = file_megabytes * _MEGABYTE
        self._request_bytes = request_megabytes * _MEGABYTE
        self._request_urls = request_urls
        self._seconds = seconds
        self._redirects = redirects
        self._seats = _Seats(per_host)
        self._tls = tls_context(ca_file or certifi.where())
        self._resolve, self._connect, self._own, self._clock = resolve, connect, own, clock
        self._lookups = ThreadPoolExecutor(_MOST_LOOKUPS, thread_name_prefix="lookup")

    def basket(self, own: Own = lambda url: None) -> Basket:
        """An empty basket, for one request of a caller. Nobody is called for what is `own`."""
        return Basket(self, own, urls=self._request_urls, size=self._request_bytes)

    def follow(self, url: str, reader: _Reader) -> None:
        """Fetch `url` through its redirects. Call the basket: it counts, and tells no tales."""
        deadline = Deadline(self._clock, self._seconds)
        place = read_destination(url)
        for _ in range(self._redirects + 1):
            self._check_way(place)
            with self._seats.taken(place.name, deadline):
                elsewhere = self._visit(place, reader, deadline)
            if not elsewhere:
                return
            place = read_redirect(place, elsewhere)
        raise Refusal("too many redirects")

    def check(self, url: str) -> None:
        """Raises `Refusal` for what could not lead anywhere, without looking where it leads."""
        self._check_way(read_destination(url))

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Sends `body` and gives the status of the answer, of which nothing else is read. A redirect is
        an answer like any other. Raises `NotDelivered`, which is for the log.
        """
        deadline = Deadline(self._clock, self._seconds)
        try:
            place = read_destination(url)
            self._check_way(place)
            with (
                self._seats.taken(place.name, deadline),
                self._asked("POST", place, deadline, {**_HEADERS, **headers}, body) as (_, answer),
            ):
                return answer.status
        except (*_TROUBLE, OutOfFiles) as error:
            raise NotDelivered(str(error) or type(error).__name__) from error

    def _check_way(self, place: Destination) -> None:
        if place.scheme not in self._schemes:
            raise Refusal("scheme not allowed")
        if place.port not in PORTS.values() and not self._names_port(place):
            raise Refusal("port not allowed")

    def _names_port(self, place: Destination) -> bool:
        return f"{_bracketed(place.name)}:{place.port}" in self._allowed

    def _is_trusted(self, place: Destination) -> bool:
        return self._names_port(place) or _bracketed(place.name) in self._allowed

    def _visit(self, place: Destination, reader: _Reader, deadline: Deadline) -> str:
        """Reads the file; if it is not there, where the server says it is instead."""
        with self._asked("GET", place, deadline, _HEADERS) as (line, response):
            line.allow(self.file_bytes + _OVERHEAD)
            elsewhere = _redirect(response)
            if not elsewhere:
                _read_body(response, reader)
            return elsewhere

    @contextmanager
    def _asked(
        self,
        method: str,
        place: Destination,
        deadline: Deadline,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Iterator[tuple[Line, HTTPResponse]]:
        """The server's answer up to its headers, and the line that it comes over."""
        addresses = self._judged(place, deadline)
        with self._dialled(place, addresses, deadline) as line:
            connection = HTTPConnection(place.name, place.port)
            # Given a connected socket it looks nothing up and dials nobody.
            connection.sock = self._secured(line, place)
            connection.request(
                method,
                place.target,
                body,
                headers={"Host": place.authority, **headers},
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            try:
                yield line, response
            finally:
                response.close()

    def _judged(self, place: Destination, deadline: Deadline) -> list[str]:
        lookup = self._lookups.submit(self._resolve, place.host)
        try:
            addresses = list(lookup.result(deadline.left()))
        finally:
            lookup.cancel()  # one that has not begun; nothing happens to any other
        if not addresses:
            raise Refusal("no address")
        if not self._is_trusted(place):
            for address in addresses:  # one bad answer is enough: the next lookup may put it first
                self._judge(address)
        return addresses

    def _judge(self, address: str) -> None:
        if not is_public(address) or self._own(address):
            raise Refusal("an address that is not on the open internet")

    @contextmanager
    def _dialled(
        self, place: Destination, addresses: list[str], deadline: Deadline
    ) -> Iterator[Line]:
        failure: OSError = OSError("nothing was tried")
        for address in addresses[:_MOST_TRIES]:
            try:
                seconds = min(_CONNECT_SECONDS, deadline.left())
                connected = self._connect(address, place.port, seconds)
                break
            except OSError as error:
                failure = error
        else:
            raise failure
        with connected:
            peer = str(connected.getpeername()[0])
            if not self._is_trusted(place):
                self._judge(peer)
            with Line(connected, deadline, _HEAD) as line:
                yield line

    def _secured(self, line: Line, place: Destination) -> Line | SSLTransport:
        if place.scheme == "http":
            return line
        return SSLTransport(line, self._tls, server_hostname=place.name)


class Basket:
    """What one request of a caller has fetched so far. Files count whether or not they turned out
    usable.
    """

    def __init__(self, fetcher: Fetcher, own: Own, *, urls: int, size: int) -> None:
        self._fetcher = fetcher
        self._own = own
        self._lock = threading.Lock()
        self._most_urls = self._urls = urls
        self._size = size

    def fetch(self, url: str, *, kinds: Collection[str] | None = None) -> Fetched:
        """The file at `url`, of one of `kinds` ("image/*", "video/mp4"), or `BadAttachment`."""
        into = io.BytesIO()
        media_type = self._read(url, _Reader(self, self._fetcher.file_bytes, kinds, into))
        return Fetched(into.getvalue(), media_type)

    def save(self, url: str, path: Path, *, kinds: Collection[str] | None = None) -> File:
        """The same, in a file and never in memory."""
        with open(path, "w+b") as into:
            reader = _Reader(self, self._fetcher.file_bytes, kinds, into, LONGEST_HEAD)
            return File(str(path), self._read(url, reader), reader.size)

    def _read(self, url: str, reader: _Reader) -> str:
        with self._lock:
            self._urls -= 1
            if self._urls < 0:
                raise BadAttachment(
                    "a request may name at most {most} addresses", most=self._most_urls
                )
        try:
            pieces = self._own(url)
            if pieces is None:
                self._fetcher.follow(url, reader)
            else:
                _take_all(pieces, reader)
            return reader.media_type
        except (*_TROUBLE, NotFound) as error:
            if isinstance(error, OSError):
                check_descriptors(error)
            raise BadAttachment(NEUTRAL) from error

    def count(self, size: int) -> None:
        """Note that `size` more bytes came in, or raise `BadAttachment` when that is too many."""
        with self._lock:
            self._size -= size
            if self._size < 0:
                raise BadAttachment(
                    "the files at the addresses in the request are too large together"
                )

    def check_room(self, size: int) -> None:
        """Refuse now what would not fit later."""
        if size > self._size:
            raise BadAttachment(TOGETHER)


class _Reader:
    """Takes a body slice by slice and gives up as soon as it can know better. `head` is how much is
    looked at to know how many pixels there are; -1 is all.
    """

    def __init__(
        self,
        basket: Basket,
        most: int,
        kinds: Collection[str] | None,
        into: BinaryIO,
        head: int = -1,
    ) -> None:
        self.media_type = ""  # not known yet
        self.size = 0
        self._basket = basket
        self._most = most
        self._kinds = kinds
        self._into = into
        self._head = head
        self._pieces = 0

    def expect(self, size: int) -> None:
        self._check_size(size)
        self._basket.check_room(size)

    def take(self, piece: bytes) -> None:
        self._basket.count(len(piece))
        try:
            self._into.write(piece)
        except OSError as error:
            raise StorageTrouble("files cannot be kept just now") from error
        self.size += len(piece)
        self._pieces += 1
        if self._pieces > _FREE_PIECES + self.size // _SMALLEST_PIECE:
            raise Refusal("a file in crumbs")
        self._check_size(self.size)
        if not self.media_type and self.size >= HEAD_BYTES:
            self.media_type = self._recognised()

    def finish(self) -> None:
        self.media_type = self.media_type or self._recognised()
        _check_pixels(self._start(self._head), self.media_type)

    def _start(self, size: int) -> bytes:
        self._into.seek(0)
        start = self._into.read(size)
        self._into.seek(0, io.SEEK_END)
        return start

    def _recognised(self) -> str:
        media_type = sniff(self._start(HEAD_BYTES))
        if media_type is None or not _is_wanted(media_type, self._kinds):
            raise BadAttachment("the file at the address is not of a type that can be used here")
        return media_type

    def _check_size(self, size: int) -> None:
        if size > self._most:
            raise BadAttachment(
                "the file at the address is larger than {megabytes} MB",
                megabytes=self._most // _MEGABYTE,
            )


class _Seats:
    """So many connections per host name at a time; whoever comes later waits until its own time is
    up.
    """

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._lock = threading.Lock()
        self._seats: dict[str, threading.Semaphore] = {}
        self._guests: dict[str, int] = (
            {}
        )  # sitting or waiting; the last one out takes the entry away

    @contextmanager
    def taken(self, host: str, deadline: Deadline) -> Iterator[None]:
        with self._lock:
            seat = self._seats.setdefault(host, threading.Semaphore(self._per_host))
            self._guests[host] = self._guests.get(host, 0) + 1
        try:
            if not seat.acquire(timeout=deadline.left()):
                raise TimeoutError("too many others are fetching from the same host")
            try:
                yield
            finally:
                seat.release()
        finally:
            with self._lock:
                self._guests[host] -= 1
                if not self._guests[host]:
                    del self._guests[host], self._seats[host]


def _redirect(response: HTTPResponse) -> str:
    return response.headers.get("location", "") if response.status in _REDIRECTS else ""


def _read_body(response: HTTPResponse, reader: _Reader) -> None:
    if response.status != 200:
        raise Refusal("no file there")
    if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise Refusal("a content coding nobody asked for")
    if response.headers.get("transfer-encoding", "").strip().lower() not in ("", "chunked"):
        raise Refusal("a transfer coding nobody asked for")
    if response.length_remaining is not None:
        reader.expect(response.length_remaining)
    while piece := response.read1(_SLICE):
        reader.take(piece)
    reader.finish()


def _take_all(pieces: Iterator[bytes], reader: _Reader) -> None:
    for piece in pieces:
        reader.take(piece)
    reader.finish()


def _check_pixels(data: bytes, media_type: str) -> None:
    size = pixels(data, media_type)
    if size is not None and size > MOST_PIXELS:
        raise BadAttachment("the image at the address has more than 40 million pixels")
    if size is None and media_type in MEASURED:
        raise BadAttachment("the image at the address is damaged")


def _is_wanted(media_type: str, kinds: Collection[str] | None) -> bool:
    family = media_type.partition("/")[0] + "/*"
    return kinds is None or media_type in kinds or family in kinds


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name
