"""Bodies: every way in which they end, arrive and fail to."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
import pytest

from app.errors import BadReply, BrokenTransfer, TimedOut
from app.upstream.answer import LeanBody
from app.upstream.http1 import UntilClose
from app.upstream.lean import Rest
from app.upstream.line import Line
from tests.upstream.conftest import pieces
from tests.upstream.rawserver import (
    CHUNKED,
    LAST,
    Peer,
    answers_once,
    chunk,
    head,
    is_silent_after,
    ok,
    resets_after,
    until,
)


@contextmanager
def memory_within(limit: int) -> Iterator[None]:
    """Fails if more than `limit` bytes are in use at any one time."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak <= limit


@pytest.mark.parametrize(
    "sent, complete_by",
    [
        (CHUNKED + chunk(b"ab") + chunk(b"cd") + LAST, "chunked"),
        (CHUNKED + chunk(b"abcd") + b"0\r\nX-Trailer: t\r\n\r\n", "chunked"),
        (ok(b"abcd"), "length"),
        (head("Content-Type: text/plain") + b"abcd", "close"),
    ],
)
def test_a_body_that_ends_as_it_should_ends_cleanly(call, sent, complete_by):
    answer = call(answers_once(sent)).open()

    assert (answer.complete_by, b"".join(pieces(answer))) == (complete_by, b"abcd")
    assert answer.next(1) == b""


@pytest.mark.parametrize(
    "sent",
    [
        CHUNKED + chunk(b"abcd") + b"9\r\nef",
        CHUNKED + chunk(b"abcd"),
        CHUNKED + chunk(b"abcd") + b"0\r\n",
        head("Content-Length: 9") + b"abcd",
    ],
    ids=["mid-chunk", "between chunks", "before the last line end", "short of its length"],
)
def test_a_body_that_ends_too_early_is_broken(call, sent):
    """R-001: what came before the break is handed out first."""
    answer = call(answers_once(sent)).open()

    assert answer.next(1)[:4] == b"abcd"
    with pytest.raises(BrokenTransfer):
        while answer.next(1):
            pass


@pytest.mark.parametrize(
    "sent", [CHUNKED + chunk(b"abcd"), head("Content-Length: 9") + b"abcd", head()]
)
def test_a_reset_breaks_any_body(call, sent):
    client = call(resets_after(sent))
    answer = client.open()
    if not sent.endswith(b"\r\n\r\n"):
        answer.next(1)
    client.server.go.set()

    with pytest.raises(BrokenTransfer):
        while answer.next(1) != b"":
            pass


@pytest.mark.parametrize("sent", [CHUNKED + b"zz\r\n", CHUNKED + b"2\r\nabcd\r\n"])
def test_chunks_that_make_no_sense_end_the_answer(call, sent):
    answer = call(is_silent_after(sent)).open()
    with pytest.raises(BadReply):
        answer.next(1)


@pytest.mark.parametrize(
    "method, status", [("HEAD", "200 OK"), ("GET", "204 None"), ("GET", "304 Same")]
)
def test_an_answer_that_has_no_body_is_over_at_once(call, method, status):
    client = call(is_silent_after(head("Content-Length: 9", status=status)))

    assert client.open(method, None).next(1) == b""


def test_everything_that_has_arrived_comes_in_one_piece(call):
    chunks = [b"data: %d\n\n" % number for number in range(100)]
    client = call(is_silent_after(CHUNKED + b"".join(map(chunk, chunks))))
    answer = client.open()

    assert answer.next(1) == b"".join(chunks)
    assert answer.next(0.02) is None


def test_an_answer_that_drips_byte_by_byte_is_the_same_answer(call):
    """R-024: head, chunk sizes and line ends may all be cut."""
    body = "größer 你好 👩‍🚀".encode()
    sent = CHUNKED + chunk(body) + chunk(b"x" * 300) + b"0\r\nX-Trailer: t\r\n\r\n"
    client = call(answers_once(*(sent[at : at + 1] for at in range(len(sent)))))

    assert client.fetch() == body + b"x" * 300


def test_silence_ticks_and_does_not_end_the_answer(call):
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED)
        peer.server.go.wait(5)
        peer.send(chunk(b"late"), LAST)
        peer.wait_for_close()

    client = call(script)
    answer = client.open()
    started = time.monotonic()
    ticks = [answer.next(0.05) for _ in range(3)]

    assert ticks == [None, None, None]
    assert 0.1 < time.monotonic() - started < 1
    client.server.go.set()
    assert b"".join(pieces(answer)) == b"late"


def test_other_greenlets_run_while_an_answer_is_awaited(call):
    answer = call(is_silent_after(CHUNKED)).open()
    turns = []

    def count() -> None:
        while True:
            turns.append(1)
            gevent.sleep(0.001)

    counter = gevent.spawn(count)
    answer.next(0.1)
    counter.kill()

    assert len(turns) > 10


def test_a_sender_that_is_always_ahead_leaves_others_their_turn(call):
    """Other than a real one, this socket never runs dry."""

    class Endless:
        def settimeout(self, seconds: float) -> None:
            assert seconds == 0

        def recv(self, size: int) -> bytes:
            return bytes(size)

        def close(self) -> None:
            pass

    client = call(answers_once())
    line = Line(("http", "localhost", 1), Endless())
    body = LeanBody(Rest(line, UntilClose(), b"", False), client.transport._lean, None)
    turns = []
    gevent.spawn(turns.append, 1)
    for _ in range(64):
        assert len(body.next(1) or b"") == 65536

    assert turns == [1]


def test_a_reader_that_pauses_holds_up_the_sender(call):
    """R-033: what the platform may send ahead is bounded by socket buffers, not by our memory."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED)
        for _ in range(200):
            peer.send(chunk(bytes(1 << 20)))
            peer.server.sent = peer.sent
        peer.send(LAST)
        peer.wait_for_close()

    client = call(script)
    client.server.sent = 0
    answer = client.open()
    answer.next(1)
    seen: list[int] = []

    def stands_still() -> bool:
        seen.append(client.server.sent)
        gevent.sleep(0.02)
        return len(seen) > 5 and len(set(seen[-5:])) == 1

    assert until(stands_still)
    assert client.server.sent < 32 << 20
    with memory_within(8 << 20):
        assert sum(map(len, pieces(answer))) > 150 << 20


def test_an_answer_over_the_cap_is_given_up(call):
    """R-010."""
    client = call(is_silent_after(CHUNKED, *[chunk(bytes(65536))] * 40), answer_megabytes=1)
    answer = client.open()
    have = 0
    with pytest.raises(BadReply, match="too large"):
        for data in pieces(answer):
            have += len(data)

    assert 900_000 < have <= 1 << 20


def test_a_drip_that_never_ends_is_ended_by_the_clock(call):
    """R-030: every byte is in time, the whole is not."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED)
        while not peer.server.go.wait(0.005):
            peer.send(chunk(b"x"))

    client = call(script, total_seconds=0.2)
    answer = client.open()
    started = time.monotonic()
    with pytest.raises(TimedOut), gevent.Timeout(3):
        while answer.next(0.05) != b"":
            pass

    assert 0.15 < time.monotonic() - started < 1


def test_a_silence_that_never_ends_is_ended_by_the_clock(call):
    answer = call(is_silent_after(CHUNKED), total_seconds=0.15).open()
    with pytest.raises(TimedOut), gevent.Timeout(3):
        while answer.next(0.05) is None:
            pass


def test_endless_trailers_are_refused(call):
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(CHUNKED, b"0\r\n")
        while not peer.server.go.is_set():
            peer.send(b"X-Trailer: t\r\n" * 100)

    with pytest.raises(BadReply, match="trailers"):
        call(script).open().next(1)


def test_a_whole_body_may_not_be_larger_than_asked_for(call):
    client = call(answers_once(ok(b"12345")))
    with pytest.raises(BadReply, match="too large"):
        client.open().read(4, 1)


def test_a_whole_body_may_not_take_longer_than_asked_for(call):
    answer = call(is_silent_after(CHUNKED + chunk(b"beginning"))).open()
    started = time.monotonic()
    with pytest.raises(TimedOut):
        answer.read(100, 0.1)

    assert 0.09 < time.monotonic() - started < 1


def test_events_that_come_compressed_are_handed_on_as_they_come(call):
    """R-018: decoded although we asked for identity, each as soon as it is there."""
    packer = zlib.compressobj(wbits=31)
    events = [b"data: %d\n\n" % number for number in range(3)]
    packed = [packer.compress(one) + packer.flush(zlib.Z_SYNC_FLUSH) for one in events]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(head("Transfer-Encoding: chunked", "Content-Encoding: gzip"))
        for one in packed:
            peer.send(chunk(one))
            peer.server.go.wait(5)
            peer.server.go.clear()
        peer.send(chunk(packer.flush()), LAST)
        peer.wait_for_close()

    client = call(script)
    answer = client.open()
    for event in events:
        assert answer.next(2) == event
        client.server.go.set()
    assert answer.next(2) == b""
    answer.close()
    assert client.server.requests[0].headers["accept-encoding"] == "identity"


def test_a_compressed_body_without_its_end_is_broken(call):
    packed = gzip.compress(b"text" * 100)[:-8]
    answer = call(answers_once(ok(packed, "Content-Encoding: gzip"))).open()
    with pytest.raises(BrokenTransfer):
        list(pieces(answer))


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd"])
def test_an_answer_in_a_coding_that_is_not_read_here_is_refused(call, coding):
    client = call(answers_once(ok(b"\x1f\x8b", f"Content-Encoding: {coding}")))
    with pytest.raises(BadReply, match="coding"):
        client.open().next(1)


@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
def test_a_bomb_costs_little_memory(call, status):
    """R-117: 1 MB that would be 1 GiB."""
    engine = zlib.compressobj(wbits=31)
    bomb = b"".join(engine.compress(bytes(1 << 20)) for _ in range(256)) + engine.flush()
    lines = (f"Content-Length: {len(bomb)}", "Content-Encoding: gzip", "Location: /elsewhere")
    client = call(answers_once(head(*lines, status=status) + bomb), answer_megabytes=64)
    with memory_within(8 << 20), pytest.raises(BadReply, match="too large"):
        for _ in pieces(client.open()):
            pass
