"""Many callers at once, and callers of the old kind, on bare connections."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.models import EVERY
from tests.platforms.callers import CALLERS
from tests.platforms.conftest import Pair
from tests.stack import Stack, compact

CROWD = 500
WORDS = 50


def _ask(pair: Pair, text: str, *, version: str = "1.1", close: bool = True) -> socket.socket:
    """A connection on which a stream has been asked for and nothing read yet."""
    path, body = pair.ask(text, stream=True)
    parts = urlsplit(pair.base)
    assert parts.hostname and parts.port
    sock = socket.create_connection((parts.hostname, parts.port), timeout=30)
    raw = compact(body)
    head = (
        f"POST {parts.path}{path} HTTP/{version}\r\nhost: {parts.netloc}\r\n"
        f"authorization: Bearer {pair.stack.licence}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(raw)}\r\n" + ("connection: close\r\n" if close else "") + "\r\n"
    )
    sock.sendall(head.encode() + raw)
    return sock


def _to_the_end(sock: socket.socket) -> tuple[bytes, bytes]:
    """Head and body, up to where the gateway closes the connection."""
    with sock:
        got = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = got.partition(b"\r\n\r\n")
    return head.lower(), body


def test_streams_side_by_side_do_not_mix(stack: Stack) -> None:
    """R-022: every caller hears its own words, and nobody else's."""
    pairs = [Pair(platform, caller, stack) for platform in EVERY for caller in CALLERS]
    waiting = []
    for number in range(CROWD):
        words = " ".join([f"mark{number:04}x"] * WORDS)
        waiting.append(
            _ask(pairs[number % len(pairs)], f"simulate: pace=0.02\nsimulate: say {words}")
        )

    for number, sock in enumerate(waiting):
        head, body = _to_the_end(sock)
        assert head.startswith(b"http/1.1 200"), (head, body)
        marks = re.findall(rb"mark(\d{4})x", body)
        assert set(marks) == {b"%04d" % number}, number
        assert len(marks) >= WORDS  # some dialects say it all again at the end


@pytest.mark.parametrize("version, close", [("1.0", False), ("1.1", True)], ids=["old", "close"])
def test_a_caller_who_wants_the_connection_closed_gets_the_whole_stream(
    pair: Pair, version: str, close: bool
) -> None:
    """R-019, K-116: to an HTTP/1.0 caller in no chunks, since it does not know them."""
    words = " ".join(f"word{number}" for number in range(WORDS))
    head, body = _to_the_end(_ask(pair, f"simulate: say {words}", version=version, close=close))

    assert b" 200 ok" in head and b"connection: close" in head
    assert (b"transfer-encoding: chunked" in head) == (version == "1.1")
    assert re.findall(rb"word(\d+)", body)[:WORDS] == [b"%d" % number for number in range(WORDS)]
    if version == "1.0":
        assert body.startswith((b"data: ", b"event: ")) and body.endswith((b"\n\n", b"\r\n\r\n"))
