"""Files handed out in ranges, and for a while."""

from __future__ import annotations

import pytest

from app.simulators.downloads import KEPT, Shelf, origin, served
from app.simulators.exchange import Call

DATA = bytes(range(100))


def call(**headers: str) -> Call:
    return Call("GET", "/a", "", headers, b"")


@pytest.mark.parametrize(
    "range_, status, start, end",
    [
        ("", 200, 0, 100),
        ("bytes=0-", 206, 0, 100),
        ("bytes=10-19", 206, 10, 20),
        ("bytes=90-500", 206, 90, 100),
        ("bytes=-7", 206, 93, 100),
        ("bytes=-500", 206, 0, 100),
        ("bytes=1-2,4-5", 200, 0, 100),
        ("bytes=-", 200, 0, 100),
        ("lines=1-2", 200, 0, 100),
    ],
)
def test_a_range_is_served_where_it_is_understood(
    range_: str, status: int, start: int, end: int
) -> None:
    reply = served(call(range=range_), DATA, "video/mp4")

    assert (reply.status, reply.body) == (status, DATA[start:end])
    if status == 206:
        assert reply.headers["content-range"] == f"bytes {start}-{end - 1}/100"


@pytest.mark.parametrize("range_", ["bytes=100-", "bytes=20-10", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(range_: str) -> None:
    reply = served(call(range=range_), DATA, "video/mp4")

    assert (reply.status, reply.headers["content-range"]) == (416, "bytes */100")


def test_ranges_can_be_left_out() -> None:
    reply = served(call(range="bytes=1-2"), DATA, "video/mp4", ranges=False)

    assert (reply.status, reply.headers["accept-ranges"]) == (200, "none")


def test_a_file_lies_there_until_its_time_is_over() -> None:
    now = [0.0]
    shelf = Shelf(lambda: now[0])
    shelf.put("/a", DATA, "image/jpeg", 60)
    before = shelf.find("/a")
    now[0] = 60

    assert before and before.data == DATA
    assert shelf.find("/a") is None and shelf.find("/b") is None


def test_only_the_last_files_are_kept() -> None:
    shelf = Shelf(lambda: 0.0)
    for number in range(KEPT + 1):
        shelf.put(f"/{number}", b"", "image/jpeg", 60)

    assert shelf.find("/0") is None and shelf.find("/1")


def test_addresses_begin_with_the_host_the_caller_used() -> None:
    assert origin(call(host="localhost:81")) == "http://localhost:81"
