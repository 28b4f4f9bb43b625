"""Requests that two servers could read differently (R-097): through nginx, and straight to the gateway's
socket. None of them may become two requests.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from tests.deploy.service import Service, opened
from tests.stack import until

pytestmark = pytest.mark.slow
Line = Callable[[], socket.socket]
Case = tuple[str, bytes]  # what it is, and the bytes, in which #### stands for a number

INNER = b"GET /inner-#### HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)

# Ways to write that a body comes in chunks, some of them right, beside a length that says otherwise.
CODINGS = [
    b"chunked",
    b" chunked",
    b"chunked ",
    b"\tchunked",
    b"\x0bchunked",
    b"chunked\x0b",
    b"\x0cchunked",
    b"\x00chunked",
    b"chu\x00nked",
    b"Chunked",
    b"CHUNKED",
    b"xchunked",
    b"chunkedx",
    b"'chunked'",
    b'"chunked"',
    b"chunked, identity",
    b"identity, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"chunked, chunked",
    b"chunked;q=1",
    b"chunked,",
    b", chunked",
    b"chunked chunked",
    b"identity",
    b"",
    b"\xffchunked",
    b"chunked\r\n x",
    b"\r\n chunked",
    b"x\r\nTransfer-Encoding: chunked",
]
NAMES = [
    b"Transfer-Encoding: ",
    b"Transfer-Encoding:",
    b"transfer-encoding: ",
    b"Transfer-Encoding : ",
    b"Transfer-Encoding\t: ",
    b" Transfer-Encoding: ",
    b"\tTransfer-Encoding: ",
    b"Transfer_Encoding: ",
    b"Transfer-Encoding\x00: ",
    b"X: y\nTransfer-Encoding: ",
    b"X: y\rTransfer-Encoding: ",
    b"X: y\r\n\rTransfer-Encoding: ",
    b"\xe2\x84\xaaTransfer-Encoding: ",
    b"Content-Encoding: ",
    b"X:\r\n Transfer-Encoding: ",
]
# Ways to write a length; @ stands for the true one.
LENGTHS = [
    b"+@",
    b"-@",
    b"-0",
    b"+0",
    b"0x@",
    b"0x0",
    b"0, @",
    b"@, 0",
    b"@, @",
    b"0,@",
    b"@ 0",
    b"0 @",
    b"0;@",
    b"@\x0b",
    b"\x0b0",
    b"0\x00",
    b"0_0",
    b"0.0",
    b"0e1",
    b"",
    b" ",
    b"zero",
    b"\xd9\xa0",
    b"\xc2\xb2",
    b"0\r\nContent-Length: @",
    b"@\r\nContent-Length: 0",
    b"0\r\n @",
    b"0\nContent-Length: @",
    b"0\rContent-Length: @",
    b"18446744073709551616",
    b"9" * 40,
    b"0\r\nContent-Length : @",
    b"0\r\ncontent-length: @",
]
# Ways to write how long a chunk is; the chunk is a whole request.
SIZES = [
    b"@;ext",
    b"@;ext=1",
    b'@;ext="\r\n0"',
    b"@;ext\n0",
    b"@;\n",
    b"@ ",
    b" @",
    b"\t@",
    b"@\t",
    b"+@",
    b"-@",
    b"0x@",
    b"0@",
    b"000000000000000000000@",
    b"FFFFFFFFFFFFFFFF@",
    b"@\n",
    b"@\r",
    b"\n@",
    b"\r\n@",
    b"@_",
    b"@.",
    b"",
    b"zz",
    b"\xd9\xa0",
]
TRAILERS = [
    b"Content-Length: 0",
    b"Transfer-Encoding: chunked",
    b"Host: evil",
    b"X: y\nX: z",
    b" folded",
    b"GET /inner-#### HTTP/1.1",
]
LINES = [
    b"POST /outer-#### HTTP/1.1\nHost: localhost\nContent-Length: @\n\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost\rContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nContent-Length: @\n\r\n",
    b"POST /outer-#### HTTP/1.1\rHost: localhost\rContent-Length: @\r\r",
    b"POST /outer-#### HTTP/1.1\r\n Host: localhost\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost, evil\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.0\r\nHost: localhost\r\nContent-Length: @\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /outer-#### HTTP/0.9\r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.2\r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/2.0\r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1 \r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"POST  /outer-#### HTTP/1.1\r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"POST\t/outer-####\tHTTP/1.1\r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"POST http://localhost/outer-#### HTTP/1.1\r\nHost: evil\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nConnection: Content-Length\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: @\r\n\r\n",
    b"POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: GET\r\nContent-Length: @\r\n\r\n",
    b"\r\nPOST /outer-#### HTTP/1.1\r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"\x00POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nContent-Length: @\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def cases() -> Iterator[Case]:
    for method, coding in product((b"POST", b"GET"), CODINGS):
        yield "coding", _asked(method, b"Transfer-Encoding: " + coding, b"0\r\n\r\n" + INNER)
    for name, coding in product(NAMES, (b"chunked", b"xchunked", b"chunked\t", b"identity")):
        yield "name", _asked(b"POST", name + coding, b"0\r\n\r\n" + INNER)
    for method, length in product((b"POST", b"GET", b"HEAD", b"DELETE"), LENGTHS):
        words = b"Content-Length: " + length.replace(b"@", b"%d" % len(INNER))
        yield "length", _head(method, words) + INNER
    for size in SIZES:
        body = CHUNK.replace(
            b"%x\r\n" % len(INNER), size.replace(b"@", b"%x" % len(INNER)) + b"\r\n", 1
        )
        yield "size", _head(b"POST", b"Transfer-Encoding: chunked") + body
    for trailer in TRAILERS:
        body = CHUNK.replace(b"0\r\n\r\n", b"0\r\n" + trailer + b"\r\n\r\n")
        yield "trailer", _head(b"POST", b"Transfer-Encoding: chunked") + body
    for end in (b"", b"\n", b"\r", b"x\r\n", b"\r\n\r\n"):
        body = CHUNK.replace(INNER + b"\r\n", INNER + end)
        yield "end of a chunk", _head(b"POST", b"Transfer-Encoding: chunked") + body
    for cut in (1, 2, 4, 5):
        yield "cut", _head(b"POST", b"Transfer-Encoding: chunked") + CHUNK[:-cut]
    for line in LINES:
        yield "line", line.replace(b"@", b"%d" % len(INNER)) + INNER


def _head(method: bytes, words: bytes) -> bytes:
    return method + b" /outer-#### HTTP/1.1\r\nHost: localhost\r\n" + words + b"\r\n\r\n"


def _asked(method: bytes, words: bytes, body: bytes) -> bytes:
    """With a true length as well."""
    return _head(method, b"Content-Length: %d\r\n" % len(body) + words) + body


CASES = list(dict.fromkeys(cases()))


def sent(line: Line, place: int, case: Case) -> bytes:
    """What is answered, until nothing more comes."""
    asked = case[1].replace(b"####", b"%04d" % place)
    told = b""
    with line() as sock:
        sock.settimeout(0.4)
        try:
            sock.sendall(asked)
            while data := sock.recv(65536):
                told += data
        except OSError:
            pass  # nothing more, in whatever way
    return told


@pytest.fixture(params=["through nginx", "to the socket"])
def line(request: pytest.FixtureRequest, service: Service) -> Line:
    def straight() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(service.socket_file))
        return sock

    return straight if request.param == "to the socket" else lambda: opened(service.front)


def reached(service: Service, since: int) -> list[str]:
    return [one["path"] for one in service.log[since:]]


def test_there_are_enough_cases() -> None:
    assert len({asked for _, asked in CASES}) >= 300


def test_two_honest_requests_on_one_connection_are_seen_as_two(
    line: Line, service: Service
) -> None:
    """Otherwise what follows would prove nothing."""
    since = len(service.log)
    two = b"POST /outer-#### HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n" + INNER
    told = sent(line, 0, ("honest", two))

    assert told.count(b"HTTP/1.1 404") == 2
    assert until(lambda: {"/outer-0000", "/inner-0000"} <= set(reached(service, since)))


def test_nothing_becomes_two_requests(
    line: Line, service: Service, crowd: ThreadPoolExecutor
) -> None:
    since = len(service.log)
    told = list(crowd.map(lambda place: sent(line, place, CASES[place]), range(len(CASES))))
    end = sent(line, 9999, ("the last", b"GET /outer-#### HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert b"404" in end and until(lambda: "/outer-9999" in reached(service, since))

    arrived = [one for one in reached(service, since) if one.startswith(("/outer-", "/inner-"))]
    inner = [int(one.removeprefix("/inner-")) for one in arrived if one.startswith("/inner-")]
    assert [CASES[place] for place in inner] == []
    assert len(arrived) == len(set(arrived))
    assert [case for case, one in zip(CASES, told) if one.count(b"HTTP/1.1 404") > 1] == []
    refused = sum(b" 400 " in one[:30] for one in told)
    assert refused > len(CASES) / 3
