"""The prices that come with the program: whole, and honest about what they do not know."""

from __future__ import annotations

import re
from datetime import datetime
from itertools import pairwise

import pytest

from app.ledger.price_file import load
from app.money import MILLION
from app.platforms import PLATFORMS, PRICES
from tests.architecture.source import APP, ROOT

DOCS = (ROOT / "docs" / "prices.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (`.*`) \|$", DOCS, re.MULTILINE))


def test_every_platform_has_a_file_and_there_are_no_others():
    there = {path.stem for path in (APP / "platforms" / "prices").glob("*")}

    assert set(PRICES) == set(PLATFORMS) == there


@pytest.mark.parametrize("name", sorted(PRICES))
def test_a_file_is_good_and_says_where_it_is_from(name):
    file = load(PRICES[name], name)

    assert file.editions
    assert all(len(edition.source) > 20 for edition in file.editions)


@pytest.mark.parametrize("name", sorted(PRICES))
def test_every_listed_model_has_a_price_or_is_named_as_unknown(name):
    """And what is named so has none: the list shrinks with every price that is found."""
    edition = load(PRICES[name], name).editions[-1]
    listed = {model.id for model in PLATFORMS[name].catalogue.models}
    unknown = {model for model in listed if edition.find(model) is None}

    assert set(re.findall(r"`([^`]+)`", ROWS.get(name, ""))) == unknown


@pytest.mark.parametrize("name", sorted(PRICES))
def test_prices_of_tokens_are_in_the_order_that_vendors_keep(name):
    """A digit that slipped shows here: cached input is the cheapest, long calls are no cheaper."""
    for edition in load(PRICES[name], name).editions:
        for model, price in edition.prices.items():
            for one in price.rates:
                assert one.cache_read <= one.input <= one.cache_write <= one.output, model
            for short, long in pairwise(price.rates):
                assert short.input < long.input and short.output < long.output, model
                assert short.cache_read <= long.cache_read, model


@pytest.mark.parametrize("name", ["gemini", "gemini_official"])
def test_a_change_that_was_announced_comes_by_itself(name):
    file = load(PRICES[name], name)

    def outputs(day):
        edition = file.at(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
        found = [edition.find(model) for model in ("gemini-4-argon", "gemini-3.8-flash")]
        return [price.rates[0].output / MILLION for price in found]

    assert outputs("2026-11-30") == [10, 3.75]
    assert outputs("2026-12-01") == [20, 3.75]
    assert outputs("2027-01-01") == [20, 7.5]


@pytest.mark.parametrize("name", sorted(PRICES))
def test_no_entry_is_for_a_name_that_is_never_sent(name):
    """Prices are looked up by the vendor's names: an entry under an alias of ours would be dead."""
    edition = load(PRICES[name], name).editions[-1]
    names = PLATFORMS[name].catalogue.names
    aliases = {alias.name for alias in names.aliases if alias.name != alias.model}

    assert aliases.isdisjoint(edition.entries)
