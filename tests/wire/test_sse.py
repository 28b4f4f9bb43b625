"""Frames out of bytes, whatever the line ends and wherever the cuts (R-005 to R-007, R-009)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import BadReply
from app.wire.sse import KEEP_ALIVE, Frames, comment, frame

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


def test_a_frame_of_fifteen_megabytes_arrives():
    """R-008."""
    data = b"x" * (15 << 20)

    assert read(frame(data), list(range(0, 15 << 20, 1 << 20))) == [(b"", data)]
