"""The sides of a picture, read from its head."""

from __future__ import annotations

import struct

import pytest

from app.simulators.image_sides import nearest, sides

PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 360)
EXIF = b"\xff\xe1" + struct.pack(">H", 10) + bytes(8)
JPEG = b"\xff\xd8" + EXIF + b"\xff\xc2" + struct.pack(">HBHH", 17, 8, 360, 640)
LOSSLESS = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", 639 | 359 << 14)
EXTENDED = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\x7f\x02\0" + b"\x67\x01\0"
LOSSY = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 360)


@pytest.mark.parametrize("data", [PNG, JPEG, LOSSLESS, EXTENDED, LOSSY])
def test_the_sides_are_in_the_head(data: bytes) -> None:
    assert sides(data) == (640, 360)


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", PNG[:10], JPEG[:12], LOSSLESS[:12], b"\xff\xd8\xff\xd9", b"RIFFxxxx"]
)
def test_bytes_that_do_not_tell_have_no_sides(data: bytes) -> None:
    assert sides(data) is None


@pytest.mark.parametrize(
    "width, height, ratio", [(1792, 1024, "16:9"), (1024, 1536, "2:3"), (1, 1, "1:1")]
)
def test_the_nearest_ratio_is_nearest_by_proportion(width: int, height: int, ratio: str) -> None:
    assert nearest(width, height, ("1:1", "16:9", "9:16", "2:3", "3:2")) == ratio
