"""Frames out of bytes, whatever the line ends and wherever the cuts (R-005 to R-007, R-009)."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadReply
from app.wire.sse import KEEP_ALIVE, Frames, WholeEvents, comment, frame

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
WORDS = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)


@st.composite
def streams(draw):
    """A stream as an upstream might frame it, and the frames that are in it."""
    wire, frames = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])), []
    for _ in range(draw(st.integers(0, 6))):
        event = draw(st.sampled_from(["", "delta", "message_stop"]))
        data = draw(st.lists(WORDS, max_size=3))
        lines = [f"event: {event}"] if event else []
        lines += [draw(st.sampled_from(["data: {}", "data:{}"])).format(one) for one in data]
        lines += draw(
            st.lists(st.sampled_from([": a comment", "id: 7", "retry: 10", ":"]), max_size=2)
        )
        end = draw(LINE_ENDS)
        if not lines:
            continue
        wire += end.join(line.encode() for line in lines) + end + end
        if data:
            found = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
            frames.append((event.encode(), "\n".join(found).encode()))
    return wire, frames


def read(wire: bytes, places: list[int]) -> list[tuple[bytes, bytes]]:
    frames, found, at = Frames(), [], 0
    for place in [*sorted(places), len(wire)]:
        found += frames.feed(wire[at:place])
        at = max(at, place)
    return found + frames.finish()


@settings(max_examples=400, deadline=None)
@given(streams(), st.lists(st.integers(0, 400), max_size=12))
def test_the_frames_are_the_same_wherever_the_stream_is_cut(stream, places):
    wire, frames = stream

    assert read(wire, [min(place, len(wire)) for place in places]) == frames


@settings(max_examples=100, deadline=None)
@given(streams())
def test_one_byte_at_a_time_gives_the_same_frames(stream):
    wire, frames = stream

    assert read(wire, list(range(len(wire)))) == frames


# ---------------------------------------------------------------- beside the standard's own words


def by_the_book(wire: bytes) -> list[tuple[bytes, bytes]]:
    """The standard's way to interpret a stream, a line at a time; the last event needs no blank line."""
    frames, event, data = [], b"", []
    for line in [*re.split(rb"\r\n|\n|\r", wire.removeprefix(b"\xef\xbb\xbf")), b""]:
        if not line:
            if data:
                frames.append((event, b"\n".join(data)))
            event, data = b"", []
            continue
        name, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value
    return frames


SCRAPS = st.sampled_from(
    [b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"data:", b"data", b"event: ", b":", b" "]
    + [b"x", b'{"a":1}', b"[DONE]", b"id: 1", b"\xe4\xbd\xa0", b"\xef\xbb\xbf", b"\xe2\x80\xa8"]
)


@settings(max_examples=1500, deadline=None)
@given(st.lists(SCRAPS, max_size=30), st.lists(st.integers(0, 90), max_size=12))
def test_any_bytes_cut_anywhere_mean_what_the_standard_says(scraps, places):
    """R-005, R-007: mixed line ends, a pair cut in two, fields without data, fields without colons."""
    wire = b"".join(scraps)

    assert read(wire, [min(place, len(wire)) for place in places]) == by_the_book(wire)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_line_end_cut_in_two_is_one_line_end(end, size):
    """R-005: every piece of the CR-only stream may end in a CR."""
    wire = end.join(
        [b"event: a", b"data: 1", b"", b"data: 2", b"data: 3", b"", b"data: 4", b"", b""]
    )

    frames = read(wire, list(range(0, len(wire), size)))

    assert frames == [(b"a", b"1"), (b"", b"2\n3"), (b"", b"4")]


def test_half_a_byte_order_mark_is_waited_for_and_a_whole_one_taken_off_once():
    wire = b"\xef\xbb\xbfdata: \xef\xbb\xbf1\n\n"

    assert read(wire, [1, 2]) == read(wire, []) == [(b"", b"\xef\xbb\xbf1")]


def test_a_frame_is_given_as_soon_as_its_blank_line_is_there():
    frames = Frames()

    assert frames.feed(b"data: 1\n") == [] and frames.pending
    assert frames.feed(b"\n") == [(b"", b"1")] and not frames.pending
    assert frames.feed(b"data: 2\r\n\r\n") == [(b"", b"2")]


@pytest.mark.parametrize("char", "\u2028\u2029\x85\x0b\x0c\x1c\x1d")
def test_line_ends_of_unicode_do_not_end_a_line(char):
    """R-006, M-08."""
    data = f'{{"text":"a{char}b"}}'.encode()

    assert read(frame(data), []) == [(b"", data)]


def test_comments_are_nobodys_frames():
    assert read(KEEP_ALIVE + comment(b"x") + frame(b"1"), [3, 9]) == [(b"", b"1")]
    assert not KEEP_ALIVE.startswith(b": ping")  # K-066


def test_a_frame_without_an_end_is_refused_at_the_cap():
    """R-009."""
    frames = Frames(most_bytes=1000)
    frames.feed(b"data: " + b"x" * 900)

    with pytest.raises(BadReply):
        frames.feed(b"x" * 200)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_frame_of_fifteen_megabytes_arrives(end):
    """R-008: in reads of 16 KiB, without copying what is there at each of them."""
    frames, piece = Frames(), b"x" * (16 << 10)
    frames.feed(b"data: 1" + end + end + b"data: ")
    tracemalloc.start()
    for _ in range(960):
        assert frames.feed(piece) == []
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert frames.feed(end + end + b":") == [(b"", piece * 960)]
    assert held < 1 << 20  # the pieces are the caller's own; nothing was joined


def test_many_small_pieces_are_refused_at_the_cap_too():
    """R-009: a line that never ends."""
    frames = Frames(most_bytes=1000)
    frames.feed(b"data: ")

    with pytest.raises(BadReply):
        for _ in range(200):
            frames.feed(b"xxxxxx")


# ---------------------------------------------------------------- bytes as they are

BLANK = rb"(\n\n|\n\r\n|\r\r\n?)"


@settings(max_examples=600, deadline=None)
@given(st.lists(SCRAPS, max_size=40).map(b"".join), st.lists(st.integers(0, 80), max_size=12))
def test_bytes_pass_as_they_are_but_only_whole_events_of_them(wire, places):
    whole, passed, at = WholeEvents(), b"", 0
    for place in [*sorted(min(place, len(wire)) for place in places), len(wire)]:
        out = whole.feed(wire[at:place])
        passed, at = passed + out, place
        kept = wire[len(passed) : at]

        assert wire[:at] == passed + kept
        assert not out or re.search(BLANK + rb"\Z", passed)
        assert not re.search(BLANK, kept)
    assert (whole.take(), whole.take()) == (kept, b"")
    assert by_the_book(passed) == by_the_book(wire)[: len(by_the_book(passed))]


def test_half_a_line_end_is_not_the_end_of_an_event():
    """What is told behind it would stand in the same event for clients that know no CR alone."""
    whole = WholeEvents()
    assert whole.feed(b"data: x\r\n\r") == b""
    assert whole.feed(b"\ndata: y\r\n") == b"data: x\r\n\r\n"
    assert whole.take() == b"data: y\r\n"


def test_what_ends_with_an_event_passes_without_a_copy():
    whole = WholeEvents()
    for piece in (b"data: x\n\n", b"data: x\r\n\r\n", b"data: x\r\r", b": \n\ndata: y\n\n"):
        assert whole.feed(piece) is piece


def test_an_event_of_many_pieces_passes_once_it_is_whole():
    """R-009: as long as it comes, no piece of it is copied or looked through again."""
    whole, pieces = WholeEvents(), [bytes(65536)] * 100
    tracemalloc.start()
    try:
        assert [out for piece in pieces if (out := whole.feed(piece))] == []
        assert tracemalloc.get_traced_memory()[1] < 65536
    finally:
        tracemalloc.stop()
    assert whole.feed(b"\n") + whole.feed(b"\ndata") == bytes(6553600) + b"\n\n"
