"""Bodies: read within limits, from whatever carries them, as JSON that cannot mean two things."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from flask import Request
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest, TooLarge, WrongMedia
from app.web.intake import DEEPEST, MOST_VALUES, SMALL, parse, read_body, read_json


def request(body: bytes, *, length: object = "known", **environ) -> Request:
    values = {"REQUEST_METHOD": "POST", "wsgi.input": io.BytesIO(body), **environ}
    if length is not None:
        values["CONTENT_LENGTH"] = str(len(body)) if length == "known" else length
    return Request(values)


@pytest.mark.parametrize("length", ["known", None, ""])
@pytest.mark.parametrize("kind", [None, "application/json; charset=utf-8", "text/plain"])
def test_a_body_is_read_with_and_without_a_length_and_a_type(length, kind):
    """C-082, K-047, K-048."""
    asked = request(b'{"a":1}', length=length, **({"CONTENT_TYPE": kind} if kind else {}))

    assert read_json(asked, 100) == (b'{"a":1}', {"a": 1})


@pytest.mark.parametrize("length", ["known", None])
@pytest.mark.parametrize("size, good", [(100, True), (101, False), (200_000, False)])
def test_a_body_over_the_limit_is_refused(length, size, good):
    """C-081."""
    asked = request(b"x" * size, length=length)
    if good:
        assert read_body(asked, 100) == b"x" * size
        return
    with pytest.raises(TooLarge):
        read_body(asked, 100)


def test_a_declared_length_over_the_limit_is_refused_unread():
    asked = request(b"x", length="101")

    with pytest.raises(TooLarge):
        read_body(asked, 100)
    assert asked.environ["wsgi.input"].tell() == 0


def test_a_body_shorter_than_it_says_is_refused():
    with pytest.raises(BadRequest, match="shorter"):
        read_body(request(b"xx", length="3"), 100)


@pytest.mark.parametrize("length", ["²", "-1", "+1", "1e3", "0x1", "1 1", "x"])
def test_a_length_that_is_no_number_counts_as_none(length):
    assert read_body(request(b"xx", length=length), 100) == b"xx"


@pytest.mark.parametrize("coding", ["identity", "IDENTITY ", ""])
def test_a_body_without_a_coding_is_read(coding):
    assert read_body(request(b"x", HTTP_CONTENT_ENCODING=coding), 9) == b"x"


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x" * 500])
def test_a_coded_body_is_refused(coding):
    with pytest.raises(WrongMedia) as refused:
        read_body(request(b"x", HTTP_CONTENT_ENCODING=coding), 9)
    assert len(str(refused.value)) < 120


class Unreader:
    """gunicorn's, as far as we use it."""

    def __init__(self, buffered: bytes) -> None:
        self.buffered = buffered

    def take_buffered(self) -> bytes:
        taken, self.buffered = self.buffered, b""
        return taken

    def unread(self, data: bytes) -> None:
        self.buffered = data + self.buffered


class Socket:
    """A connection that brings what it was given, some bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self.data = data
        self.step = step

    def recv_into(self, view: memoryview) -> int:
        piece = self.data[: min(self.step, len(view))]
        view[: len(piece)] = piece
        self.data = self.data[len(piece) :]
        return len(piece)


@pytest.mark.parametrize("buffered", [0, 1, 5_000, 20_000, 20_500])
@pytest.mark.parametrize("step", [1_000, 1 << 20])
def test_a_large_body_comes_straight_from_the_connection(buffered, step):
    """What follows it belongs to the next request, and stays (R-021)."""
    body, next_request = bytes(range(250)) * 80, b"N" * 500
    wire = body + next_request
    unreader = Unreader(wire[:buffered])
    reader = SimpleNamespace(unreader=unreader, length=len(body))
    sock = Socket(wire[buffered:], step)
    asked = request(body, **{"gunicorn.socket": sock, "wsgi.input": SimpleNamespace(reader=reader)})

    assert read_body(asked, 1 << 20) == body
    assert reader.length == 0 and unreader.buffered + sock.data == next_request


def test_a_connection_that_ends_in_the_body_is_told():
    reader = SimpleNamespace(unreader=Unreader(b"x"), length=20_000)
    environ = {
        "gunicorn.socket": Socket(b"y" * 10, 4),
        "wsgi.input": SimpleNamespace(reader=reader),
    }

    with pytest.raises(BadRequest, match="shorter"):
        read_body(request(b"", length="20000", **environ), 1 << 20)


# ---------------------------------------------------------------- JSON


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize("padding", [b"", b" " * SMALL], ids=["small", "large"])
def test_depth_has_a_limit_whatever_the_size(padding):
    """R-098."""
    assert parse(nested(DEEPEST) + padding)["a"]
    for depth in (DEEPEST + 1, 1_000, 100_000):
        with pytest.raises(BadRequest):
            parse(nested(depth) + padding)


def test_many_brackets_side_by_side_are_not_deep():
    assert len(parse(b'{"a":[' + b",".join([b"[]"] * 1000) + b"]}")["a"]) == 1000


@pytest.mark.parametrize("value", [b"1", b"{}", b"[]"])
def test_values_have_a_limit(value):
    """R-048: what would take long to read is refused unread."""
    count = MOST_VALUES if value == b"1" else MOST_VALUES // 2
    assert len(parse(b'{"a":[' + b",".join([value] * (count - 2)) + b"]}")["a"]) == count - 2
    with pytest.raises(TooLarge):
        parse(b'{"a":[' + b",".join([value] * (count + 2)))


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b'"x"', b"[]", b"null", b"7", b'{"a":NaN}', b"\xef\xbb\xbf{}", b'{"a":"\xff"}']
    + ['{"a":1}'.encode("utf-16"), b'{"a":"\\ud800"}', b"{'a':1}", b'{"a":1,}', b'{"a":"\n"}']
    + [b'{"a":"\x00"}', b'{"a":1} {"b":2}'],
)
def test_what_is_not_one_json_object_is_refused(raw):
    """C-080, K-049, R-098."""
    with pytest.raises(BadRequest):
        parse(raw)


@pytest.mark.parametrize("raw", [b'{"model":"a","model":"b"}', b'{"model":"a","mode\\u006c":"b"}'])
def test_a_model_named_twice_is_refused(raw):
    """R-098, S-041."""
    with pytest.raises(BadRequest) as refused:
        parse(raw)
    assert refused.value.param == "model"


@given(st.binary(max_size=60) | st.text('{}[]",:0ae\\ ', max_size=30).map(str.encode))
def test_any_bytes_are_an_object_or_refused(raw):
    try:
        assert isinstance(parse(raw), dict)
    except BadRequest as refused:
        assert str(refused)
