"""Whole numbers in words: decimal digits and nothing else, so no `1_000`, no `1e3` and no other script's."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable

_DIGITS = re.compile(r"-?[0-9]{1,18}")


def whole(word: str, least: int, most: int) -> int:
    """The number; ValueError, in words for whoever wrote it, where there is none of that size."""
    if not _DIGITS.fullmatch(word) or not least <= int(word) <= most:
        raise ValueError(f"should be a whole number from {least} to {most}")
    return int(word)


def number(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument that is such a number."""

    def read(word: str) -> int:
        try:
            return whole(word, least, most)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read
