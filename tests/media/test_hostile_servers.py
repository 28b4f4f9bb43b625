"""No server holds us longer, feeds us more or shows us anything else than agreed (R-116 to R-118,
S-036).
"""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.errors import BadAttachment
from app.media.inbound import Fetched, Fetcher

if TYPE_CHECKING:
    from tests.media.conftest import Certificates, FileServer, Internet

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x02\x00\x00\x00\x03\x08\x02\x00\x00\x00"
OK = b"HTTP/1.1 200 OK\r\n"
NEUTRAL = "^the address could not be used$"
UNUSABLE = "^the file at the address is not of a type that can be used here$"
SECONDS = 0.3

Make = Callable[..., Fetcher]


def sized(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


def png(width: int, height: int) -> bytes:
    return PNG[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + PNG[24:]


# Slow ones (R-116, M-06)


def stall(opening: bytes) -> Callable[[FileServer, socket.socket], None]:
    def serve(server: FileServer, connection: socket.socket) -> None:
        connection.sendall(opening)
        server.over.wait(5)

    return serve


def drip(opening: bytes, piece: bytes) -> Callable[[FileServer, socket.socket], None]:
    """One piece every 20 ms for as long as somebody takes it."""

    def serve(server: FileServer, connection: socket.socket) -> None:
        connection.sendall(opening)
        for _ in range(250):
            if server.over.wait(0.02) or not server.send(connection, "/a", piece):
                return

    return serve


SLOW = {
    "stall before the answer": stall(b""),
    "stall in the status line": stall(b"HTTP/1.1 2"),
    "stall in the headers": stall(OK + b"X-A: "),
    "stall in the body": stall(OK + b"Content-Length: 1000\r\n\r\n" + PNG),
    "stall in a chunk size": stall(OK + b"Transfer-Encoding: chunked\r\n\r\n1"),
    "drip a status line": drip(b"HTTP/1.1 200 ", b"O"),
    "drip headers": drip(OK, b"X-A: 1\r\n"),
    "drip one long header": drip(OK + b"X-A: ", b"1"),
    "drip interim answers": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "drip a body": drip(OK + b"Content-Length: 1000000\r\n\r\n" + PNG, b"\x00"),
    "drip an endless body": drip(OK + b"\r\n" + PNG, b"\x00"),
    "drip chunks": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "drip a chunk size": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("case", SLOW)
def test_a_slow_server_is_left_when_the_time_is_up(
    make_fetcher: Make,
    server: FileServer,
    tls_server: FileServer,
    internet: Internet,
    case: str,
    tls: bool,
) -> None:
    internet.server = tls_server if tls else server
    internet.server.routes["/a"] = SLOW[case]
    basket = make_fetcher(seconds=SECONDS).basket()
    began = time.monotonic()

    with pytest.raises(BadAttachment, match=NEUTRAL):
        basket.fetch("https://good.test/a" if tls else "http://good.test/a")

    assert SECONDS <= time.monotonic() - began < SECONDS + 2


def test_time_is_counted_across_redirects(make_fetcher: Make, server: FileServer) -> None:
    def late(server: FileServer, connection: socket.socket) -> None:
        server.over.wait(0.4)
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n")

    server.routes["/a"] = late

    with pytest.raises(BadAttachment, match=NEUTRAL):
        make_fetcher(seconds=0.6).basket().fetch("http://good.test/a")

    assert len(server.heads) == 2


def test_a_stall_in_the_handshake_is_bounded(make_fetcher: Make, server: FileServer) -> None:
    began = time.monotonic()

    with pytest.raises(BadAttachment, match=NEUTRAL):  # it waits for the end of a request's head
        make_fetcher(seconds=SECONDS).basket().fetch("https://good.test/a")

    assert (server.arrivals, time.monotonic() - began < SECONDS + 2) == (1, True)


def test_a_stalled_lookup_is_bounded_and_holds_up_at_most_four(make_fetcher: Make) -> None:
    release, waiting = threading.Event(), []

    def never(host: str) -> list[str]:
        waiting.append(host)
        release.wait(5)
        return []

    fetcher = make_fetcher(resolve=never, seconds=0.05)
    for attempt in range(6):
        with pytest.raises(BadAttachment, match=NEUTRAL):
            fetcher.basket().fetch(f"http://h{attempt}.test/a")
    release.set()

    assert waiting == ["h0.test", "h1.test", "h2.test", "h3.test"]


def test_a_connect_gets_no_more_than_what_is_left(make_fetcher: Make) -> None:
    given: list[float] = []

    def refuse(address: str, port: int, seconds: float) -> socket.socket:
        given.append(seconds)
        raise TimeoutError

    for seconds in (0.5, 60.0):
        with pytest.raises(BadAttachment, match=NEUTRAL):
            make_fetcher(seconds=seconds, connect=refuse).basket().fetch("http://good.test/a")

    assert (0 < given[0] <= 0.5, given[1]) == (True, 5.0)


# Large ones (R-117, M-11, M-12)


def flood(opening: bytes, piece: bytes) -> Callable[[FileServer, socket.socket], None]:
    """Up to 64 MB, counted as far as they went."""

    def serve(server: FileServer, connection: socket.socket) -> None:
        if not server.send(connection, "/a", opening):
            return
        for _ in range(64 * 2**20 // len(piece)):
            if not server.send(connection, "/a", piece):
                return

    return serve


MB = bytes(2**20)
CHUNK = b"1000\r\n" + bytes(4096) + b"\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nLocation: /b\r\n"

FLOODS = {
    "a body without end": flood(OK + b"\r\n" + PNG, MB),
    "chunks without end": flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK * 64),
    "a body of another type": flood(OK + b"\r\n<html>", MB),
    "a longer body than any": flood(OK + b"Content-Length: 9999999999\r\n\r\n" + PNG, MB),
    "headers without end": flood(OK, b"X: y\r\n" * 10000),
    "a header without end": flood(OK + b"X: ", MB),
    "interim answers without end": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4000),
    "chunk extensions": flood(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 60000 + b"\r\nx\r\n"
    ),
    "a chunk size without end": flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 65536),
    "an error page": flood(b"HTTP/1.1 404 Not Found\r\n\r\n", MB),
    "crumbs": flood(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1d\r\n" + PNG + b"\r\n", b"1\r\nx\r\n" * 9000
    ),
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_flood_is_cut_off_near_the_limit(
    make_fetcher: Make, server: FileServer, case: str
) -> None:
    server.routes["/a"] = FLOODS[case]
    tracemalloc.start()

    try:
        with pytest.raises(BadAttachment):
            make_fetcher(file_megabytes=1).basket().fetch("http://good.test/a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    server.stop()

    # what a kernel buffers on loopback, both ways, went out although nobody read it
    assert server.sent.get("/a", 0) < 16 * 2**20
    assert 0 < peak < 12 * 2**20


HOPELESS = {
    "a length over the limit": (OK + b"Content-Length: 99999999\r\n\r\n", "is larger than 20 MB$"),
    "a length over what is left": (OK + b"Content-Length: 1100000\r\n\r\n", "too large together$"),
    "a page": (OK + b"\r\n<html>" + bytes(5000), UNUSABLE),
    "another kind": (OK + b"\r\nGIF89a" + bytes(5000), UNUSABLE),
    "crumbs": (
        OK + b"Transfer-Encoding: chunked\r\n\r\n1d\r\n" + PNG + b"\r\n" + b"1\r\nx\r\n" * 5000,
        NEUTRAL,
    ),
}


@pytest.mark.parametrize("case", HOPELESS)
def test_what_cannot_become_a_file_is_not_waited_for(
    make_fetcher: Make, server: FileServer, case: str
) -> None:
    opening, refusal = HOPELESS[case]
    server.routes["/a"] = stall(opening)
    basket = make_fetcher(seconds=30, request_megabytes=1).basket()
    began = time.monotonic()

    with pytest.raises(BadAttachment, match=refusal):
        basket.fetch("http://good.test/a", kinds=["image/png"])

    assert time.monotonic() - began < 3  # the server would go on for five seconds


def test_the_body_of_a_redirect_is_never_read(make_fetcher: Make, server: FileServer) -> None:
    server.routes.update({"/a": flood(FOUND + b"\r\n", MB), "/b": sized(PNG)})

    fetched = make_fetcher(file_megabytes=1).basket().fetch("http://good.test/a")
    server.stop()

    assert fetched == Fetched(PNG, "image/png")
    assert server.sent["/a"] < 16 * 2**20


BOMB = gzip.compress(PNG + bytes(64 * 2**20), 9)

CODINGS = {
    "gzip": b"gzip",
    "x-gzip": b"x-gzip",
    "deflate": b"deflate",
    "br": b"br",
    "zstd": b"zstd",
    "compress": b"compress",
    "capitals": b"GZIP",
    "a chain": b"gzip, gzip",
    "a chain in two headers": b"gzip\r\nContent-Encoding: gzip",
    "hidden behind identity": b"identity, gzip",
    "nonsense": b"sesame",
}


@pytest.mark.parametrize("head", [OK, FOUND], ids=["200", "302"])
@pytest.mark.parametrize("case", CODINGS)
def test_nothing_is_ever_unpacked(
    make_fetcher: Make, server: FileServer, case: str, head: bytes
) -> None:
    coding = b"Content-Encoding: " + CODINGS[case] + b"\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(BOMB)
    server.routes.update({"/a": head + coding + length + BOMB, "/b": sized(PNG)})
    basket = make_fetcher().basket()
    tracemalloc.start()

    try:
        fetched = None if head == OK else basket.fetch("http://good.test/a")
        if head == OK:
            with pytest.raises(BadAttachment, match=NEUTRAL):
                basket.fetch("http://good.test/a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert fetched == (None if head == OK else Fetched(PNG, "image/png"))
    assert peak < 2 * 2**20


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"chunked, gzip", b"identity"])
def test_transfer_codings_other_than_chunks_are_refused(
    fetcher: Fetcher, server: FileServer, coding: bytes
) -> None:
    body = zlib.compress(PNG)
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    server.routes["/a"] = OK + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + framed

    with pytest.raises(BadAttachment, match=NEUTRAL):
        fetcher.basket().fetch("http://good.test/a")


@pytest.mark.parametrize("stated", [True, False], ids=["stated", "found out"])
@pytest.mark.parametrize(("size", "fits"), [(2**20, True), (2**20 + 1, False)])
def test_a_file_may_be_as_large_as_the_setting_says(
    make_fetcher: Make, server: FileServer, size: int, fits: bool, stated: bool
) -> None:
    body = PNG + bytes(size - len(PNG))
    server.routes["/a"] = sized(body) if stated else OK + b"\r\n" + body
    basket = make_fetcher(file_megabytes=1).basket()

    if fits:
        assert len(basket.fetch("http://good.test/a").data) == size
    else:
        with pytest.raises(BadAttachment, match="^the file at the address is larger than 1 MB$"):
            basket.fetch("http://good.test/a")


@pytest.mark.parametrize("stated", [True, False], ids=["stated", "found out"])
def test_the_files_of_a_request_share_one_limit(
    make_fetcher: Make, server: FileServer, stated: bool
) -> None:
    body = PNG + bytes(400_000)
    server.routes["/a"] = sized(body) if stated else OK + b"\r\n" + body
    fetcher = make_fetcher(request_megabytes=1)
    basket = fetcher.basket()

    for _ in range(2):
        basket.fetch("http://good.test/a")
    with pytest.raises(BadAttachment, match="too large together$"):
        basket.fetch("http://good.test/a")

    assert fetcher.basket().fetch("http://good.test/a").data == body


# Liars

LIES = {
    "HTML": b"<!doctype html><script>alert(1)</script>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
    "SVG with a prolog": b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
    "text": b"BM, she said. 0123456789 0123456789",
    "JSON": b'{"Code": "Success", "SecretAccessKey": "x"}',
    "one byte": b"\x89",
    "nothing": b"",
    "a program": b"\x7fELF\x02\x01\x01" + bytes(60),
    "an archive": b"PK\x03\x04" + bytes(60),
    "a PNG behind a blank": b" " + PNG,
}


@pytest.mark.parametrize("case", LIES)
def test_what_is_no_media_is_refused_whatever_it_calls_itself(
    fetcher: Fetcher, server: FileServer, case: str
) -> None:
    body = LIES[case]
    server.routes["/a.png"] = OK + b"Content-Type: image/png\r\n" + sized(body)[len(OK) :]

    with pytest.raises(BadAttachment, match=UNUSABLE):
        fetcher.basket().fetch("http://good.test/a.png")


DAMAGED = {
    "a PNG cut in its header": PNG[:20],
    "a PNG signature alone": PNG[:8],
    "a PNG without width": png(0, 5),
    "a JPEG of four bytes": b"\xff\xd8\xff\xe0",
    "a GIF cut in its size": b"GIF89a\x01",
    "an empty WebP": b"RIFF\x04\x00\x00\x00WEBP",
}


@pytest.mark.parametrize("case", DAMAGED)
def test_an_image_without_a_size_is_refused(
    fetcher: Fetcher, server: FileServer, case: str
) -> None:
    server.routes["/a"] = sized(DAMAGED[case])

    with pytest.raises(BadAttachment, match="^the image at the address is damaged$"):
        fetcher.basket().fetch("http://good.test/a")


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [
        *((8000, 5000, True), (5000, 8000, True), (40_000_000, 1, True)),
        *((8000, 5001, False), (50_000, 50_000, False), (2**32 - 1, 2**32 - 1, False)),
    ],
)
def test_an_image_has_at_most_forty_million_pixels(
    fetcher: Fetcher, server: FileServer, width: int, height: int, fits: bool
) -> None:
    server.routes["/a"] = sized(png(width, height))

    if fits:
        assert fetcher.basket().fetch("http://good.test/a").media_type == "image/png"
    else:
        with pytest.raises(BadAttachment, match="more than 40 million pixels$"):
            fetcher.basket().fetch("http://good.test/a")


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        *((None, True), (["image/*"], True), (["image/png"], True), (["a/b", "image/png"], True)),
        *(([], False), (["image/jpeg"], False), (["video/*"], False), (["image"], False)),
        *((["*"], False), (["IMAGE/*"], False)),
    ],
)
def test_only_the_wanted_kinds_are_handed_over(
    fetcher: Fetcher, server: FileServer, kinds: list[str] | None, wanted: bool
) -> None:
    server.routes["/a"] = sized(PNG)

    if wanted:
        assert fetcher.basket().fetch("http://good.test/a", kinds=kinds).media_type == "image/png"
    else:
        with pytest.raises(BadAttachment, match=UNUSABLE):
            fetcher.basket().fetch("http://good.test/a", kinds=kinds)


# Broken ones

BROKEN = {
    "nothing at all": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/0.9": PNG,
    "an HTTP of the future": b"HTTP/9.9 200 OK\r\n\r\n" + PNG,
    "no status": b"HTTP/1.1\r\n\r\n" + PNG,
    "a status in words": b"HTTP/1.1 OK 200\r\n\r\n" + PNG,
    "a short body": OK + b"Content-Length: 1000\r\n\r\n" + PNG,
    "a cut chunk": OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\n" + PNG,
    "no last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(PNG), PNG),
    "a chunk size in words": OK + b"Transfer-Encoding: chunked\r\n\r\nfour\r\nabcd\r\n",
    "a negative chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 29\r\n\r\n" + PNG,
    "a range nobody asked for": b"HTTP/1.1 206 Partial Content\r\n\r\n" + PNG,
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + PNG,
    "an error with an image": b"HTTP/1.1 500 Oops\r\nContent-Length: 29\r\n\r\n" + PNG,
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_is_told_like_any_refusal(
    fetcher: Fetcher, server: FileServer, case: str
) -> None:
    server.routes["/a"] = BROKEN[case]

    with pytest.raises(BadAttachment, match=NEUTRAL) as caught:
        fetcher.basket().fetch("http://good.test/a")

    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_file_in_small_chunks_is_taken_as_long_as_they_are_no_crumbs(
    fetcher: Fetcher, server: FileServer, tls_server: FileServer, internet: Internet, tls: bool
) -> None:
    body = PNG + bytes(1_000_000)
    chunks = [body[at : at + 700] for at in range(0, len(body), 700)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    internet.server = tls_server if tls else server
    internet.server.routes["/a"] = (
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"
    )

    fetched = fetcher.basket().fetch("https://good.test/a" if tls else "http://good.test/a")

    assert fetched.data == body


def test_no_connection_is_left_open(make_fetcher: Make, server: FileServer) -> None:
    server.routes.update({"/good": sized(PNG), "/to": FOUND + b"\r\n", "/b": sized(PNG)})
    server.routes.update({f"/{index}": wire for index, wire in enumerate(BROKEN.values())})
    fetcher = make_fetcher(request_urls=1000)
    basket = fetcher.basket()
    basket.fetch("http://good.test/good")
    before = len(os.listdir("/proc/self/fd"))

    for path in [*server.routes] * 5:
        try:
            basket.fetch(f"http://good.test{path}")
        except BadAttachment:
            continue
    server.stop()

    assert len(os.listdir("/proc/self/fd")) <= before


# Inside gunicorn's workers

UNDER_GEVENT = textwrap.dedent("""
    from gevent import monkey
    monkey.patch_all()
    import socket, ssl, sys, gevent
    from gevent.pywsgi import WSGIServer
    from app.errors import BadAttachment
    from app.media.inbound import Fetcher

    body = bytes.fromhex("%s") + bytes(300_000)

    def serve(environ, start):
        start("200 OK", [("Content-Type", "image/png")])
        if environ["PATH_INFO"] == "/slow":
            for _ in range(100):
                gevent.sleep(0.02)
                yield body[:50]
        else:
            yield body

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    plain = WSGIServer(("127.0.0.1", 0), serve, log=None, error_log=None)
    secure = WSGIServer(("127.0.0.1", 0), serve, log=None, error_log=None, ssl_context=context)
    plain.start(), secure.start()
    ports = plain.server_port, secure.server_port
    fetcher = Fetcher(
        allowed_hosts=[f"good.test:{port}" for port in ports],
        resolve=lambda host: socket.gethostbyname_ex("localhost")[2],
        ca_file=sys.argv[1],
        seconds=0.4,
    )
    ticks = []
    ticker = gevent.spawn(lambda: [ticks.append(gevent.sleep(0.02)) for _ in range(1000)])
    urls = [f"http://good.test:{ports[0]}", f"https://good.test:{ports[1]}"]
    jobs = [gevent.spawn(fetcher.basket().fetch, url + "/a") for url in urls * 3]
    gevent.joinall(jobs, timeout=5)
    assert [job.value.data for job in jobs] == [body] * 6, [job.exception for job in jobs]
    before = len(ticks)
    for url in urls:
        try:
            fetcher.basket().fetch(url + "/slow")
        except BadAttachment as error:
            print(error, type(error.__cause__).__name__)
    print(len(ticks) - before > 20)
    ticker.kill()
""")


@pytest.mark.slow
def test_under_gevent_a_slow_server_stops_nobody_else(certificates: Certificates) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNDER_GEVENT % PNG.hex()]
        + [certificates.ca_file, certificates.chain_file],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.splitlines()[0].startswith("the address could not be used")
    assert done.stdout.splitlines()[1].startswith("the address could not be used")
    assert done.stdout.splitlines()[2:] == ["True"]
