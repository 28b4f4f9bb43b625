"""Magic numbers decide what a file is (R-118, S-037), and headers how large an image is."""

from __future__ import annotations

import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.media_type import ALLOWED, HEAD_BYTES, MEASURED, pixels, sniff


def box(major: bytes, *compatible: bytes) -> bytes:
    brands = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands + b"\x00\x00\x00\x08free"


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + header + struct.pack(">I", zlib.crc32(header))


def jpeg(width: int, height: int, *segments: bytes, frame: int = 0xC0) -> bytes:
    size = struct.pack(">BHBHHB", frame, 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + b"".join(segments) + b"\xff" + size + b"\xff\xda"


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + struct.pack(">BH", marker, len(body) + 2) + body


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00"


def webp(kind: bytes, body: bytes) -> bytes:
    body = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + bytes(10)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIii", 99, 0, 54, 40, width, height) + bytes(28)


def old_bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIHH", 99, 0, 26, 12, width, height) + bytes(8)


JFIF = segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
EXIF = segment(0xE1, b"Exif\x00\x00" + bytes(60_000))

FILES = {
    "png": (png(3, 2), "image/png"),
    "jpeg": (jpeg(3, 2, JFIF), "image/jpeg"),
    "jpeg without a segment": (b"\xff\xd8\xff\xdb\x00\x43", "image/jpeg"),
    "gif 87": (b"GIF87a\x01\x00\x01\x00", "image/gif"),
    "gif 89": (gif(3, 2), "image/gif"),
    "webp": (webp(b"VP8X", bytes(10)), "image/webp"),
    "bmp": (bmp(3, 2), "image/bmp"),
    "bmp of OS/2": (old_bmp(3, 2), "image/bmp"),
    "heic": (box(b"heic", b"mif1", b"heic"), "image/heic"),
    "heix": (box(b"heix", b"mif1"), "image/heic"),
    "heif": (box(b"mif1", b"mif1", b"jpeg"), "image/heif"),
    "heic that says heif": (box(b"mif1", b"mif1", b"heic"), "image/heic"),
    "avif that says heif": (box(b"mif1", b"miaf", b"avif"), "image/avif"),
    "avif": (box(b"avif", b"mif1"), "image/avif"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf"),
    "mp4 isom": (box(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    "mp4 iso6": (box(b"iso6", b"dash"), "video/mp4"),
    "mp4 mp42": (box(b"mp42", b"isom"), "video/mp4"),
    "m4v": (box(b"M4V ", b"mp42"), "video/mp4"),
    "m4a": (box(b"M4A ", b"isom"), "audio/mp4"),
    "mov": (box(b"qt  "), "video/quicktime"),
    "3gpp": (box(b"3gp4", b"isom"), "video/3gpp"),
    "3gpp2": (box(b"3g2a"), "video/3gpp"),
    "webm": (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm\x42\x87\x81\x04", "video/webm"),
    "mpeg": (b"\x00\x00\x01\xba\x44\x00", "video/mpeg"),
    "mpeg without a system": (b"\x00\x00\x01\xb3\x14\x00", "video/mpeg"),
    "avi": (b"RIFF\x00\x00\x00\x00AVI LIST", "video/x-msvideo"),
    "wav": (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"),
    "mp3 with a tag": (b"ID3\x04\x00\x00\x00\x00\x00\x00", "audio/mpeg"),
    "mp3": (b"\xff\xfb\x90\x64", "audio/mpeg"),
    "mp3 with a checksum": (b"\xff\xfa\x90\x64", "audio/mpeg"),
    "mp3 at a low rate": (b"\xff\xf3\x40\xc4", "audio/mpeg"),
    "mp2": (b"\xff\xfd\x90\x04", "audio/mpeg"),
    "aac": (b"\xff\xf1\x50\x80", "audio/aac"),
    "aac of MPEG-2": (b"\xff\xf9\x50\x80", "audio/aac"),
    "aiff": (b"FORM\x00\x00\x00\x00AIFFCOMM", "audio/aiff"),
    "aifc": (b"FORM\x00\x00\x00\x00AIFCFVER", "audio/aiff"),
    "ogg": (b"OggS\x00\x02" + bytes(22) + b"\x01\x1e\x01vorbis", "audio/ogg"),
    "opus": (b"OggS\x00\x02" + bytes(22) + b"\x01\x13OpusHead", "audio/ogg"),
    "flac": (b"fLaC\x00\x00\x00\x22", "audio/flac"),
    "flv": (b"FLV\x01\x05\x00\x00\x00\x09", "video/x-flv"),
    "wmv": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "video/x-ms-wmv"),
}

STRANGERS = {
    "nothing": b"",
    "one byte": b"\x89",
    "html": b"<!DOCTYPE html><html></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "svg with a prolog": b'<?xml version="1.0"?><svg/>',
    "svg in UTF-16": b"\xff\xfe<\x00s\x00v\x00g\x00",
    "text": b"BMW makes cars. They are fast. They are dear. Buy none.",
    "text in UTF-16, big end first": b"\xfe\xff\x00a\x00b",
    "a pdf behind text": b"\n%PDF-1.7",
    "a png behind a blank": b" " + png(1, 1),
    "a damaged png signature": b"\x89PNG\n\x1a\n",
    "a tiff": b"II*\x00\x08\x00\x00\x00",
    "an icon": b"\x00\x00\x01\x00\x01\x00",
    "a zip": b"PK\x03\x04",
    "a gzip": b"\x1f\x8b\x08\x00",
    "an unknown RIFF": b"RIFF\x00\x00\x00\x00ACON",
    "a short RIFF": b"RIFF",
    "an unknown FORM": b"FORM\x00\x00\x00\x00ILBM",
    "an unknown brand": box(b"crx "),
    "a brand cut short": b"\x00\x00\x00\x18ftyphe",
    "a matroska": b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska",
    "an ogg with pictures": b"OggS\x00\x02" + bytes(22) + b"\x01\x2a\x80theora",
    "a reserved MPEG version": b"\xff\xeb\x90\x00",
    "a free MPEG bitrate": b"\xff\xfb\x00\x00",
    "a bad MPEG bitrate": b"\xff\xfb\xf0\x00",
    "a bad MPEG rate": b"\xff\xfb\x9c\x00",
    "an MPEG layer of none": b"\xff\xe1\x50\x80",
    "an AAC rate of none": b"\xff\xf1\x7c\x80",
    "two bytes of MPEG": b"\xff\xfb",
    "a program": b"\x7fELF",
    "a class": b"\xca\xfe\xba\xbe",
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_known_by_its_first_bytes(case: str) -> None:
    data, media_type = FILES[case]

    assert (sniff(data), sniff(data + bytes(9999))) == (media_type, media_type)


@pytest.mark.parametrize("case", STRANGERS)
def test_everything_else_is_nothing(case: str) -> None:
    assert sniff(STRANGERS[case]) is None


def test_every_allowed_type_has_a_file_here() -> None:
    assert {media_type for _, media_type in FILES.values()} == ALLOWED


def test_what_a_browser_would_run_is_not_allowed() -> None:
    assert not {kind for kind in ALLOWED if "svg" in kind or "xml" in kind or "text" in kind}


@given(st.binary(max_size=200) | st.sampled_from([d for d, _ in FILES.values()]), st.binary())
def test_bytes_beyond_the_head_change_nothing(head: bytes, tail: bytes) -> None:
    padded = head + bytes(HEAD_BYTES - len(head))

    assert sniff(padded + tail) == sniff(padded)
    assert sniff(padded) in {*ALLOWED, None}


SIZES = {
    "png": (png(300, 200), "image/png", 60_000),
    "png of 2.5 gigapixels": (png(50_000, 50_000), "image/png", 2_500_000_000),
    "png without width": (png(0, 200), "image/png", None),
    "png cut": (png(300, 200)[:23], "image/png", None),
    "png with another chunk first": (
        png(300, 200).replace(b"IHDR", b"CgBI"),
        "image/png",
        None,
    ),
    "gif": (gif(300, 200), "image/gif", 60_000),
    "gif cut": (gif(300, 200)[:9], "image/gif", None),
    "gif without height": (gif(300, 0), "image/gif", None),
    "bmp": (bmp(300, 200), "image/bmp", 60_000),
    "bmp from the top": (bmp(300, -200), "image/bmp", 60_000),
    "bmp of OS/2": (old_bmp(300, 200), "image/bmp", 60_000),
    "bmp cut": (bmp(300, 200)[:25], "image/bmp", None),
    "jpeg": (jpeg(300, 200, JFIF), "image/jpeg", 60_000),
    "jpeg, progressive": (jpeg(300, 200, JFIF, frame=0xC2), "image/jpeg", 60_000),
    "jpeg behind metadata": (jpeg(300, 200, JFIF, EXIF, EXIF), "image/jpeg", 60_000),
    "jpeg with padding": (jpeg(300, 200, JFIF, b"\xff\xff\xff"), "image/jpeg", 60_000),
    "jpeg with tables first": (
        jpeg(300, 200, segment(0xC4, bytes(30)), segment(0xCC, b"x")),
        "image/jpeg",
        60_000,
    ),
    "jpeg without a frame": (b"\xff\xd8" + JFIF + b"\xff\xda" + bytes(20), "image/jpeg", None),
    "jpeg cut": (jpeg(300, 200, JFIF)[:26], "image/jpeg", None),
    "jpeg with noise": (jpeg(300, 200, JFIF, b"noise noise"), "image/jpeg", None),
    "jpeg of nothing": (b"\xff\xd8\xff", "image/jpeg", None),
    "webp, extended": (
        webp(b"VP8X", bytes(4) + b"\x2b\x01\x00" + b"\xc7\x00\x00"),
        "image/webp",
        60_000,
    ),
    "webp, lossless": (
        webp(b"VP8L", b"\x2f" + struct.pack("<I", 299 | 199 << 14)),
        "image/webp",
        60_000,
    ),
    "webp, lossy": (
        webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", 300 | 1 << 14, 200)),
        "image/webp",
        60_000,
    ),
    "webp of nobody": (webp(b"VP9 ", bytes(10)), "image/webp", None),
    "webp, lossless without its mark": (webp(b"VP8L", bytes(5)), "image/webp", None),
    "webp cut": (webp(b"VP8X", bytes(10))[:29], "image/webp", None),
    "no image": (FILES["mp3"][0], "audio/mpeg", None),
    "an image we do not measure": (FILES["heic"][0], "image/heic", None),
}


@pytest.mark.parametrize("case", SIZES)
def test_the_header_says_how_many_pixels_there_are(case: str) -> None:
    data, media_type, expected = SIZES[case]

    assert pixels(data, media_type) == expected


@given(st.sampled_from(sorted(MEASURED)), st.binary(max_size=100))
def test_no_bytes_make_measuring_fail(media_type: str, noise: bytes) -> None:
    opening = next(data for data, kind in FILES.values() if kind == media_type)[:12]

    assert (pixels(opening + noise, media_type) or 1) > 0


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\xfe\x00\x00", b"\xff\xfe\x00\x02"])
def test_a_jpeg_of_millions_of_empty_segments_costs_nothing(filler: bytes) -> None:
    data = b"\xff\xd8" + filler * (20 * 2**20 // len(filler))
    began = time.perf_counter()

    assert pixels(data, "image/jpeg") is None
    assert time.perf_counter() - began < 0.2
