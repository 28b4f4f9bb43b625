"""What a file is, told from its first bytes; what it was declared as never counts.

Only types that some platform takes are known. SVG and HTML are text a browser would run, so they
are not among them and never will be: whatever has no magic number is nothing. A Matroska file that
does not call itself WebM is nothing either, nor is an Ogg file with pictures in it.

No image is decoded. Sizes are read from headers, because a 50,000 x 50,000 PNG of a few kilobytes
costs whoever decodes it ten gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable

HEAD_BYTES = 4096  # `sniff` never needs more
LONGEST_HEAD = 1 << 20  # bytes; a JPEG may keep its size behind as much metadata

_PREFIXES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"%PDF-": "application/pdf",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
    b"FLV\x01": "video/x-flv",
    b"\x00\x00\x01\xba": "video/mpeg",
    b"\x00\x00\x01\xb3": "video/mpeg",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c": "video/x-ms-wmv",
}

_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}

# The brand in an `ftyp` box. Files that only say they are a still image of some kind (mif1, msf1)
# name the coding among the compatible brands.
_BRANDS = {
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"M4V ": "video/mp4",
    b"avc1": "video/mp4",
    b"dash": "video/mp4",
    b"isom": "video/mp4",
    b"mmp4": "video/mp4",
    b"mp41": "video/mp4",
    b"mp42": "video/mp4",
}

_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # every length its second header ever had

ALLOWED: frozenset[str] = frozenset(
    {
        *_PREFIXES.values(),
        *_RIFF.values(),
        *_BRANDS.values(),
        "audio/aac",
        "audio/aiff",
        "audio/ogg",
        "image/bmp",
        "video/3gpp",
        "video/webm",
    }
)


def sniff(head: bytes) -> str | None:
    """The media type of a file that begins like this, from `ALLOWED`; none when it is not taken."""
    for prefix, media_type in _PREFIXES.items():
        if head.startswith(prefix):
            return media_type
    for read in (_riff, _iso_media, _matroska, _ogg, _aiff, _bmp, _mpeg_audio):
        if found := read(head):
            return found
    return None


def pixels(head: bytes, media_type: str) -> int | None:
    """Width times height as the header of a PNG, JPEG, GIF, WebP or BMP states it.

    None when the header is not complete or makes no sense, and for every other type. A JPEG may
    keep its size behind megabytes of metadata, so give it the whole file where there is one.
    """
    size = sides(head, media_type)
    return None if size is None else size[0] * size[1]


def sides(head: bytes, media_type: str) -> tuple[int, int] | None:
    """Width and height, where `pixels` finds them."""
    read = _SIZES.get(media_type)
    size = read(head) if read else None
    return None if size is None or 0 in size else size


def _riff(head: bytes) -> str | None:
    return _RIFF.get(head[8:12]) if head.startswith(b"RIFF") else None


def _iso_media(head: bytes) -> str | None:
    if head[4:8] != b"ftyp":
        return None
    major, end = head[8:12], min(int.from_bytes(head[:4], "big"), len(head), HEAD_BYTES)
    if major[:2] == b"3g":
        return "video/3gpp"
    if major[:3] == b"iso":  # isom, iso2 ... isoc
        return "video/mp4"
    if major in (b"mif1", b"msf1"):
        compatible = {head[at : at + 4] for at in range(16, end - 3, 4)}
        return _still_image(compatible)
    return _BRANDS.get(major)


def _still_image(compatible: set[bytes]) -> str:
    for media_type in ("image/avif", "image/heic"):
        if any(_BRANDS.get(brand) == media_type for brand in compatible):
            return media_type
    return "image/heif"


def _matroska(head: bytes) -> str | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    return "video/webm" if b"\x42\x82\x84webm" in head[:64] else None


def _ogg(head: bytes) -> str | None:
    if not head.startswith(b"OggS") or b"theora" in head[:HEAD_BYTES]:
        return None
    return "audio/ogg"


def _aiff(head: bytes) -> str | None:
    return "audio/aiff" if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC") else None


def _bmp(head: bytes) -> str | None:
    if head[:2] != b"BM" or head[6:10] != bytes(4):
        return None
    return "image/bmp" if int.from_bytes(head[14:18], "little") in _BMP_HEADERS else None


def _mpeg_audio(head: bytes) -> str | None:
    """A bare frame header: eleven set bits, then fields that have impossible values to look out
    for.
    """
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bitrate, rate = head[2] >> 4, head[2] >> 2 & 3
    if layer == 0:  # ADTS, whose next four bits are profile and sampling index
        return "audio/aac" if version >= 2 and head[2] >> 2 & 15 < 13 else None
    if (
        version == 1 or layer == 3 or bitrate in (0, 15) or rate == 3
    ):  # FF FE also opens UTF-16 text
        return None
    return "audio/mpeg"


def _png_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < 24 or head[12:16] != b"IHDR":
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def _gif_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < 10:
        return None
    return int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")


def _bmp_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < 26:
        return None
    if int.from_bytes(head[14:18], "little") == 12:
        return int.from_bytes(head[18:20], "little"), int.from_bytes(head[20:22], "little")
    width = int.from_bytes(head[18:22], "little", signed=True)
    height = int.from_bytes(head[22:26], "little", signed=True)  # negative: rows run from the top
    return abs(width), abs(height)


def _webp_size(head: bytes) -> tuple[int, int] | None:
    if len(head) < 30:
        return None
    kind = head[12:16]
    if kind == b"VP8X":
        return (
            int.from_bytes(head[24:27], "little") + 1,
            int.from_bytes(head[27:30], "little") + 1,
        )
    if kind == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return (
            int.from_bytes(head[26:28], "little") & 0x3FFF,
            int.from_bytes(head[28:30], "little") & 0x3FFF,
        )
    return None


_MOST_SEGMENTS = 1000  # 64 MB of metadata; without it a file of empty segments costs seconds of CPU
_NO_SIZE = frozenset({0xC4, 0xC8, 0xCC})  # inside the range of frame headers, but are none


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    for _ in range(_MOST_SEGMENTS):
        if len(head) < at + 9 or head[at] != 0xFF:
            return None
        marker = head[at + 1]
        if marker == 0xFF:  # padding before a marker
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height = int.from_bytes(head[at + 5 : at + 7], "big")
            return int.from_bytes(head[at + 7 : at + 9], "big"), height
        elif marker == 0xDA:  # the picture itself begins, and nobody said how large it is
            return None
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None


_SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "image/bmp": _bmp_size,
    "image/gif": _gif_size,
    "image/jpeg": _jpeg_size,
    "image/png": _png_size,
    "image/webp": _webp_size,
}

MEASURED = frozenset(_SIZES)  # the types `pixels` can say something about
