"""A picture as PNG: a palette, one byte a pixel, and rows that only say "as above"."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from app.simulators.sketch import Colour, Stripe

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE, DEPTH = 3, 8
AS_IT_IS, ABOVE = b"\x00", b"\x02"  # how a row was filtered


def png(width: int, height: int, stripes: Sequence[Stripe]) -> bytes:
    """The file; see-through colours are in it as such."""
    colours: dict[Colour, int] = {}
    for stripe in stripes:
        for _, colour in stripe.runs:
            colours.setdefault(colour, len(colours))
    packed = zlib.compressobj(6)
    rows = bytearray()
    for stripe in stripes:
        first = b"".join(bytes([colours[colour]]) * size for size, colour in stripe.runs)
        rows += packed.compress(AS_IT_IS + first)
        rows += packed.compress((ABOVE + bytes(width)) * (stripe.rows - 1))
    rows += packed.flush()
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([DEPTH, PALETTE, 0, 0, 0])
    chunks = [
        _chunk(b"IHDR", head),
        _chunk(b"PLTE", b"".join(bytes(colour[:3]) for colour in colours)),
    ]
    if any(colour[3] < 255 for colour in colours):
        chunks.append(_chunk(b"tRNS", bytes(colour[3] for colour in colours)))
    return b"".join([SIGNATURE, *chunks, _chunk(b"IDAT", bytes(rows)), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + kind + data + check
