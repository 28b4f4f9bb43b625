"""Heads, the three framings and codings, as pure functions of bytes."""

from __future__ import annotations

import gzip
import zlib
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadReply
from app.upstream.coding import Inflated
from app.upstream.http1 import Chunked, Counted, Empty, UntilClose, framing, read_head

TEN_MEGABYTES = 10 << 20


def test_names_are_lower_case_and_the_last_of_equal_names_wins():
    head = read_head(b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nX-A: \tb \r\nRETRY-AFTER: 2")

    assert (head.status, head.headers) == (429, {"retry-after": "2", "x-a": "b"})


def test_a_value_with_control_bytes_is_dropped():
    head = read_head(b"HTTP/1.1 200 OK\r\nX-Bad: a\x00b\r\nX-Good: a\tb")

    assert head.headers == {"x-good": "a\tb"}


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding: \x0bchunked",
        b"Content-Length: 1\x00",
        b"Content-Length : 5",
        b" folded: line",
        b"no colon",
        b": no name",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"\r\n".join([b"X-A: b"] * 201),
    ],
)
def test_headers_that_could_be_read_in_two_ways_are_refused(line):
    with pytest.raises(BadReply):
        read_head(b"HTTP/1.1 200 OK\r\n" + line)


@pytest.mark.parametrize("line", [b"", b"SSH-2.0-OpenSSH_9.2", b"HTTP/2 200", b"HTTP/1.1 20"])
def test_what_does_not_begin_like_http_is_refused(line):
    with pytest.raises(BadReply):
        read_head(line)


@pytest.mark.parametrize(
    "text, keeps",
    [
        (b"HTTP/1.1 200 OK", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive, close", False),
        (b"HTTP/1.0 200 OK", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive", True),
    ],
)
def test_a_connection_serves_again_only_if_the_server_says_so(text, keeps):
    assert read_head(text).keeps is keeps


@pytest.mark.parametrize(
    "method, status, headers, kind",
    [
        ("HEAD", 200, {"content-length": "5"}, Empty),
        ("GET", 204, {}, Empty),
        ("GET", 304, {"transfer-encoding": "chunked"}, Empty),
        ("GET", 200, {"content-length": "5"}, Counted),
        ("GET", 200, {"transfer-encoding": "Chunked"}, Chunked),
        ("GET", 200, {}, UntilClose),
    ],
)
def test_the_head_says_how_the_body_ends(method, status, headers, kind):
    assert type(framing(method, status, headers)) is kind


@pytest.mark.parametrize(
    "headers",
    [
        {"content-length": "5", "transfer-encoding": "chunked"},
        {"transfer-encoding": "gzip, chunked"},
        {"transfer-encoding": "identity"},
        {"content-length": "-5"},
        {"content-length": "+5"},
        {"content-length": "5, 5"},
        {"content-length": "0x5"},
        {"content-length": ""},
        {"content-length": "٥"},
        {"content-length": "9" * 5000},
    ],
)
def test_a_length_that_is_none_is_refused(headers):
    with pytest.raises(BadReply):
        framing("GET", 200, headers)


@pytest.mark.parametrize(
    "data",
    [
        b"zz\r\n",
        b"\r\n",
        b"-1\r\n",
        b"+1\r\na\r\n",
        b"0x1\r\na\r\n",
        b"1_0\r\n",
        b" 1\r\na\r\n",
        b"1\n\r\na\r\n",
        b"1\r\nab\r\n",
        b"1\r\na\rb",
        b"fffffffffffffffff\r\n",
        b"1;" + b"e" * 70000,
        b"0\r\n" + b"X-T: t\r\n" * 20000,
    ],
)
def test_chunks_that_make_no_sense_are_refused(data):
    with pytest.raises(BadReply):
        Chunked().feed(data)


def test_chunk_extensions_and_trailers_are_skipped():
    chunked = Chunked()

    assert chunked.feed(b"3;a=b\r\nabc\r\n1 ; c\r\nd\r\n0;x\r\nX-T: t\r\n\r\nspare") == b"abcd"
    assert (chunked.complete, chunked.spare) == (True, b"spare")


SIZES = [b"%x"] * 9 + [b"%X", b"%04x", b"%010x"]
EXTENSIONS = [b""] * 9 + [b";a=b", b" ;c"]


@st.composite
def chunked_bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body, and the same in chunks of any size, with extensions and trailers here and there."""
    parts = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
    parts *= draw(st.sampled_from([1, 40]))  # so that one read brings many
    sizes = cycle(draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=20)))
    extensions = cycle(draw(st.lists(st.sampled_from(EXTENSIONS), min_size=1, max_size=20)))
    out = b""
    for part in parts:
        out += next(sizes) % len(part) + next(extensions) + b"\r\n" + part + b"\r\n"
    trailers = draw(st.sampled_from([b"", b"X-T: t\r\n", b"A: 1\r\nB: 2\r\n"]))
    return b"".join(parts), out + b"0\r\n" + trailers + b"\r\n"


@given(chunked_bodies(), st.lists(st.integers(1, 20) | st.just(4096), min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_chunking_in_any_reads_yields_the_same_bytes(body, steps):
    plain, wire = body
    chunked, out, at, turn = Chunked(), b"", 0, 0
    while at < len(wire):
        assert not chunked.complete
        out += chunked.feed(wire[at : at + steps[turn % len(steps)]])
        at, turn = at + steps[turn % len(steps)], turn + 1

    assert (out, chunked.complete, chunked.spare) == (plain, True, b"")


@given(chunked_bodies(), st.integers(1, 400))
@settings(max_examples=100, deadline=None)
def test_a_chunked_body_that_lacks_its_end_is_never_complete(body, cut):
    plain, wire = body
    short = wire[: max(len(wire) - cut, 0)]
    chunked = Chunked()

    assert plain.startswith(chunked.feed(short))
    assert not chunked.complete


TEXT = b"".join(b"line %d\n" % number for number in range(2000))
RAW_DEFLATE = zlib.compressobj(wbits=-15)


@pytest.mark.parametrize(
    "coding, packed",
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("x-gzip", gzip.compress(TEXT[:99], mtime=0) + gzip.compress(TEXT[99:], mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", RAW_DEFLATE.compress(TEXT) + RAW_DEFLATE.flush()),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_coding_is_undone_however_it_is_cut(coding, packed, step):
    inflated = Inflated(coding, TEN_MEGABYTES)
    out = b""
    for at in range(0, len(packed), step):
        out += inflated.feed(packed[at : at + step])
        while inflated.pending:
            out += inflated.feed(b"")

    assert (out, inflated.complete) == (TEXT, True)


def test_a_coded_body_without_its_end_is_not_complete():
    inflated = Inflated("gzip", TEN_MEGABYTES)
    inflated.feed(gzip.compress(TEXT)[:-4])

    assert not inflated.complete


def test_a_bomb_comes_out_in_slices_and_ends_at_the_cap():
    """R-117: what is inflated at a time is bounded, whatever is fed."""
    inflated = Inflated("gzip", TEN_MEGABYTES)
    sizes = [len(inflated.feed(gzip.compress(bytes(64 << 20))))]
    with pytest.raises(BadReply):
        while inflated.pending:
            sizes.append(len(inflated.feed(b"")))

    assert max(sizes) <= 1 << 20
    assert TEN_MEGABYTES - (1 << 20) <= sum(sizes) <= TEN_MEGABYTES


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "gzip,deflate", "chunked"])
def test_codings_that_are_not_read_here_are_refused(coding):
    with pytest.raises(BadReply):
        Inflated(coding, TEN_MEGABYTES)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_coding_that_is_garbage_is_refused(coding):
    with pytest.raises(BadReply):
        Inflated(coding, TEN_MEGABYTES).feed(b"\x07garbage, and enough of it")
