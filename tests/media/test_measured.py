"""How large a film is, told from its own boxes."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from app.media.fetched import measured
from app.simulators.films import film


def box(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I4s", len(data) + 8, name) + data


def track(wide: int, high: int) -> bytes:
    head = bytes(76) + struct.pack(">HHHH", wide, 0, high, 0)
    return box(b"trak", box(b"edts") + box(b"tkhd", head))


def moov(*tracks: bytes) -> bytes:
    return box(b"moov", box(b"mvhd", bytes(100)) + b"".join(tracks))


HEAD = box(b"ftyp", b"isom")


@pytest.mark.parametrize(
    "data, size",
    [
        (HEAD + moov(track(1280, 720)) + box(b"mdat", b"m"), "1280x720"),
        (HEAD + box(b"mdat", b"m" * 99) + moov(track(0, 0), track(720, 1280)), "720x1280"),
        (HEAD + struct.pack(">I4sQ", 1, b"mdat", 20) + b"mmmm" + moov(track(854, 480)), "854x480"),
        (HEAD + struct.pack(">I4s", 0, b"moov") + track(640, 360), "640x360"),
        (HEAD + moov(track(0, 0)), ""),
        (HEAD + moov(box(b"trak", box(b"tkhd", b"x"))), ""),
        (HEAD + moov(track(1280, 720))[:-20], ""),
        (b"\0\0\0\x04moov" * 9, ""),
        (b"", ""),
        (b"webm", ""),
    ],
)
def test_the_first_track_with_a_picture_says_it(data: bytes, size: str, tmp_path: Path) -> None:
    """C-198: for platforms that do not."""
    path = tmp_path / "film"
    path.write_bytes(data)

    assert measured(path) == size


def test_a_film_that_anybody_can_open_has_a_size(tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(film(1280, 720, 4, ""))

    wide, _, high = measured(path).partition("x")
    assert int(wide) > 0 and int(high) > 0
