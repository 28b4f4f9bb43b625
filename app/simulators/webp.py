"""A picture as lossless WebP: each colour once, the rest copied from the left or from above.

The five codes are as plain as the format allows: every symbol takes the same number of bits, or
one bit more where there are too many symbols for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.simulators.sketch import Colour, Stripe

GREENS = 256 + 24  # the values, then how long a copy is
VALUES = 256
DISTANCES = 40
SYMBOLS = (GREENS, VALUES, VALUES, VALUES, DISTANCES)  # green, red, blue, alpha, distance
ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
FROM_ABOVE, FROM_THE_LEFT = 1, 2
LONGEST_COPY = 4096


def webp(width: int, height: int, stripes: Sequence[Stripe]) -> bytes:
    """The file; see-through colours are in it as such."""
    alpha = any(colour[3] < 255 for stripe in stripes for _, colour in stripe.runs)
    bits = [
        _number(width - 1, 14),
        _number(height - 1, 14),
        _number(alpha, 1),
        "000",  # the version
        "000",  # nothing transformed, no cache of colours, one set of codes for all of the picture
        *(_described(symbols) for symbols in SYMBOLS),
    ]
    for stripe in stripes:
        bits += _painted(stripe, width)
    text = "".join(bits)
    packed = int(text[::-1], 2).to_bytes(-(-len(text) // 8), "little")
    data = b"\x2f" + packed
    chunk = b"VP8L" + len(data).to_bytes(4, "little") + data + b"\x00" * (len(data) % 2)
    return b"RIFF" + (len(chunk) + 4).to_bytes(4, "little") + b"WEBP" + chunk


def _painted(stripe: Stripe, width: int) -> Iterator[str]:
    for size, colour in stripe.runs:
        yield _pixel(colour)
        yield from _copies(size - 1, FROM_THE_LEFT)
    yield from _copies(width * (stripe.rows - 1), FROM_ABOVE)


def _pixel(colour: Colour) -> str:
    red, green, blue, alpha = colour
    return _code(green, GREENS) + _code(red, VALUES) + _code(blue, VALUES) + _code(alpha, VALUES)


def _copies(pixels: int, where: int) -> Iterator[str]:
    for done in range(0, pixels, LONGEST_COPY):
        length, rest = _prefixed(min(LONGEST_COPY, pixels - done))
        distance, _ = _prefixed(where)
        yield _code(VALUES + length, GREENS) + rest + _code(distance, DISTANCES)


def _prefixed(value: int) -> tuple[int, str]:
    """A number as a symbol and the bits that the symbol leaves open."""
    if value <= 4:
        return value - 1, ""
    value -= 1
    highest = value.bit_length() - 1
    second = value >> (highest - 1) & 1
    return 2 * highest + second, _number(value & ((1 << (highest - 1)) - 1), highest - 1)


def _short(symbols: int) -> tuple[int, int]:
    """The shorter length of a code for so many symbols, and how many symbols have it."""
    length = symbols.bit_length() - 1
    return length, 2 ** (length + 1) - symbols


def _code(symbol: int, symbols: int) -> str:
    length, shorter = _short(symbols)
    if symbol < shorter:
        return f"{symbol:0{length}b}"
    return f"{shorter + symbol:0{length + 1}b}"


def _described(symbols: int) -> str:
    """The code itself: how long each symbol's is, in a code of one bit or none."""
    length, shorter = _short(symbols)
    used = (length,) if shorter == symbols else (length, length + 1)
    told = max(ORDER.index(each) for each in used) + 1
    lengths = "".join(_number(each in used, 3) for each in ORDER[:told])
    each = "" if len(used) == 1 else "0" * shorter + "1" * (symbols - shorter)
    return "0" + _number(told - 4, 4) + lengths + "0" + each


def _number(value: int, bits: int) -> str:
    """A number, its lowest bit first."""
    return f"{value:0{bits}b}"[::-1] if bits else ""
