"""What gunicorn makes of an answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.web.response import MOST_TOGETHER, LeanResponse


class Line:
    """Remembers what was sent, a piece for each time."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(bytes(data))


def answered(
    *pieces: bytes, method="GET", version=(1, 1), closes=False, status="200 OK", **headers
):
    """The head without its date, and the pieces as they were sent."""
    line = Line()
    asked = SimpleNamespace(method=method, version=version, should_close=lambda: closes)
    response = LeanResponse(asked, line, SimpleNamespace())
    response.start_response(
        status, [(name.replace("_", "-"), f"{headers[name]}") for name in headers]
    )
    for piece in pieces:
        response.write(piece)
    response.close()
    head, _, rest = line.sent[0].partition(b"\r\n\r\n")
    lines = [one for one in head.decode().split("\r\n") if not one.startswith("Date: ")]
    return lines, [rest, *line.sent[1:]]


def test_a_whole_answer_is_sent_at_once():
    lines, body = answered(b"hello", content_length=5)

    assert lines == ["HTTP/1.1 200 OK", "Connection: keep-alive", "content-length: 5"]
    assert body == [b"hello"]


def test_a_stream_is_sent_a_piece_at_a_time_and_the_head_with_the_first():
    lines, body = answered(b"one", b"", b"seventeen letters")

    assert "Transfer-Encoding: chunked" in lines
    assert body == [b"3\r\none\r\n", b"11\r\nseventeen letters\r\n", b"0\r\n\r\n"]


def test_an_empty_first_piece_sends_the_head():
    assert answered(b"", b"one")[1] == [b"", b"3\r\none\r\n", b"0\r\n\r\n"]


def test_what_is_large_is_not_copied_behind_the_head():
    large = bytes(MOST_TOGETHER + 1)

    assert answered(large, content_length=len(large))[1] == [b"", large]


def test_no_more_than_its_length_is_sent():
    assert answered(b"hel", b"lo there", b"!", content_length=5)[1] == [b"hel", b"lo"]


@pytest.mark.parametrize("change", [{"method": "HEAD"}, {"status": "204 No Content"}])
def test_an_answer_that_has_no_body_has_none(change):
    assert answered(b"hello", **change)[1] == [b""]
    assert answered(**change)[1] == [b""]


def test_an_old_client_gets_what_it_understands():
    lines, body = answered(b"one", b"two", version=(1, 0), closes=True)

    assert lines == ["HTTP/1.0 200 OK", "Connection: close"]
    assert body == [b"one", b"two"]
