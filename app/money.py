"""Money: millionths of a dollar, as whole numbers, and as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

MILLION = 1_000_000  # dollars are counted in millionths, and tokens are sold by so many
MOST = 10**15  # a thousand million dollars
_DOLLARS = re.compile(r"\$?([0-9]{1,18}(?:\.[0-9]{1,6})?)")


def dollars(micro: int) -> str:
    """With as many places as it needs, and at least two."""
    whole, rest = divmod(abs(micro), MILLION)
    places = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{whole}.{places}"


def micro(words: str) -> int:
    """Dollars in words as millionths; ValueError for what is no sum of money from nothing up."""
    found = _DOLLARS.fullmatch(words.strip())
    if found is None:
        raise ValueError(
            "should be an amount in dollars, in plain digits with at most six places, such as 5 or 0.25"
        )
    amount = Decimal(found[1])
    if amount * MILLION > MOST:
        raise ValueError("should be no more than 1000000000 dollars")
    return int(amount * MILLION)
