"""Prices by quality, size and resolution."""

from __future__ import annotations

import pytest

from app.ledger.menu import Menu, read
from app.ledger.units import Units

MENU = Menu(
    tuple(
        (read(line), price)
        for line, price in {
            "low": 1,
            "high": 5,
            "high 1536x1024": 8,
            "1536x1024": 3,
            "4k": 20,
        }.items()
    )
)


@pytest.mark.parametrize(
    "units, price, most",
    [
        (Units(quality="low"), 1, 20),  # it may yet turn out to be 4k
        (Units(quality="low", resolution="1k"), 1, 3),
        (Units(quality="High", size="1024x1024", resolution="1k"), 5, 5),
        (Units(quality="high", size="1536x1024", resolution="1k"), 8, 8),
        (Units(quality="high", size="1536x1024", resolution="4K"), 8, 20),
        (Units(size="1536x1024", quality="auto"), 3, 20),
        (Units(quality="other", size="64x64", resolution="1k"), 20, 20),
        (Units(), 20, 20),
    ],
)
def test_the_line_that_says_most_of_a_thing_counts(units, price, most):
    assert (MENU.price(units), MENU.most(units)) == (price, most)


def test_a_line_for_anything_holds_where_no_other_does():
    menu = Menu(((read("*"), 4), (read("hd"), 9)))

    assert menu.price(Units(quality="standard")) == 4
    assert menu.price(Units(quality="hd")) == 9
    assert menu.most(Units()) == 9


def test_of_two_lines_that_say_as_much_the_dearer_counts():
    assert MENU.price(Units(quality="low", size="1536x1024")) == 3


@pytest.mark.parametrize("line", ["", "high low", "1x1 2x2", "1k 2k", "high  1k", "high *", "é"])
def test_a_line_that_makes_no_sense_is_refused(line):
    with pytest.raises(ValueError):
        read(line)
