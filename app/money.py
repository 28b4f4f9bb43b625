"""Money: millionths of a dollar, as whole numbers, and as people write them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

MILLION = 1_000_000  # dollars are counted in millionths, and tokens are sold by so many
MICRO = Decimal("0.000001")
MOST = 10**15  # a thousand million dollars


def dollars(micro: int) -> str:
    """With as many places as it needs, and at least two."""
    whole, rest = divmod(abs(micro), MILLION)
    places = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro < 0 else ''}{whole}.{places}"


def micro(words: str) -> int:
    """Dollars in words as millionths; ValueError for what is no sum of money from nothing up."""
    try:
        amount = Decimal(words.strip().removeprefix("$"))
    except InvalidOperation as error:
        raise ValueError("should be an amount in dollars, such as 5 or 0.25") from error
    if not amount.is_finite() or amount < 0 or amount != amount.quantize(MICRO):
        raise ValueError("should be an amount in dollars with at most six places, such as 0.25")
    if amount * MILLION > MOST:
        raise ValueError("should be no more than 1000000000 dollars")
    return int(amount * MILLION)
