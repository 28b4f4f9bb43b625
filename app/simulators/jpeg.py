"""A picture as baseline JPEG, drawn in units of 16 by 16 pixels that are of one colour each.

A unit of one colour is nothing but its mean, so there is no transform to make. Each row of units
starts anew behind a restart marker, which makes rows that look alike the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.simulators.sketch import Colour, Stripe

UNIT = 16
COEFFICIENT = 8  # by which all is divided; it makes the mean of a block its colour minus 128
CATEGORIES = 9  # how many bits a difference of two means may take: none to eight
MARKERS = 8  # restart markers are counted so far, then anew
END_OF_BLOCK = "0"
BLOCKS = (0, 0, 0, 0, 1, 2)  # of which component: four of light, one of each colour difference


def jpeg(width: int, height: int, stripes: Sequence[Stripe]) -> bytes:
    """The file, of stripes measured in units and not in pixels."""
    across = -(-width // UNIT)
    rows: list[bytes] = []
    for stripe in stripes:
        rows += [_row(stripe)] * stripe.rows
    scan = rows[0] + b"".join(
        bytes([0xFF, 0xD0 + (place % MARKERS)]) + row for place, row in enumerate(rows[1:])
    )
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xDB, b"\x00" + bytes([COEFFICIENT]) * 64),
            _segment(0xC0, _frame(width, height)),
            _segment(0xC4, b"\x00" + _lengths({4: CATEGORIES}) + bytes(range(CATEGORIES))),
            _segment(0xC4, b"\x10" + _lengths({1: 1}) + b"\x00"),
            _segment(0xDD, across.to_bytes(2, "big")),
            _segment(0xDA, b"\x03\x01\x00\x02\x00\x03\x00\x00\x3f\x00"),
            scan,
            b"\xff\xd9",
        ]
    )


def _frame(width: int, height: int) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return b"\x08" + size + b"\x03\x01\x22\x00\x02\x11\x00\x03\x11\x00"


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def _lengths(codes: dict[int, int]) -> bytes:
    """How many codes there are of each length from 1 to 16."""
    return bytes(codes.get(length, 0) for length in range(1, 17))


def _row(stripe: Stripe) -> bytes:
    before = [0, 0, 0]
    bits: list[str] = []
    for size, colour in stripe.runs:
        means = _means(colour)
        for component in BLOCKS:
            bits.append(_difference(means[component] - before[component]) + END_OF_BLOCK)
            before[component] = means[component]
        bits.append((_difference(0) + END_OF_BLOCK) * (len(BLOCKS) * (size - 1)))
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\x00")


def _difference(value: int) -> str:
    """The category in four bits, and so many bits of the value itself."""
    category = abs(value).bit_length()
    if not category:
        return "0000"
    told = value if value > 0 else value + (1 << category) - 1
    return f"{category:04b}{told:0{category}b}"


def _means(colour: Colour) -> tuple[int, int, int]:
    red, green, blue, _ = colour
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    means = (light - 128, (blue - light) / 1.772, (red - light) / 1.402)
    first, second, third = (max(-128, min(127, round(mean))) for mean in means)
    return (first, second, third)
