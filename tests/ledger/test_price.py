"""What calls cost: exactly, never less than nothing, and rounded once."""

from __future__ import annotations

import json
from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.canonical.events import Usage
from app.ledger.price import Price
from app.ledger.units import MOST_TOKENS, NotCountable, Units
from tests.ledger.files import price

MICRO = Decimal("0.000001")
NO_TOKENS = Usage(0, 0)

dollars = st.integers(0, 10**9).map(lambda micro: f"{Decimal(micro) * MICRO:f}")
count = st.integers(0, 10**7)
lines = st.sampled_from(["*", "low", "high", "high 1536x1024", "1024x1024", "1k", "high 1k"])
menus = st.one_of(dollars, st.dictionaries(lines, dollars, min_size=1))
made = st.builds(
    Units,
    pictures=st.integers(0, 50),
    quality=st.sampled_from(["", "auto", "low", "HIGH", "other"]),
    size=st.sampled_from(["", "1024x1024", "1536x1024"]),
    seconds=st.integers(0, 60_000).map(lambda thousandths: thousandths / 1000),
    resolution=st.sampled_from(["", "1k", "2K"]),
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What a platform that counts right says."""
    given_, made_ = draw(count), draw(count)
    cached = draw(st.integers(0, given_))
    kept = draw(st.integers(0, given_ - cached))
    return Usage(given_, made_, cached, kept, draw(st.integers(0, made_)))


@st.composite
def token_rates(draw: st.DrawFn) -> dict[str, str]:
    rates = {"input": draw(dollars), "output": draw(dollars)}
    for name in draw(st.sets(st.sampled_from(["cache_read", "cache_write", "reasoning"]))):
        rates[name] = draw(dollars)
    return rates


@st.composite
def entries(draw: st.DrawFn) -> dict[str, object]:
    entry: dict[str, object] = dict(draw(token_rates()))
    if draw(st.booleans()):
        tiers = st.dictionaries(st.integers(1, 10**7).map(str), token_rates(), max_size=3)
        entry["above"] = draw(tiers)
    for name in draw(st.sets(st.sampled_from(["picture", "second"]))):
        entry[name] = draw(menus)
    if draw(st.booleans()):
        entry["request"] = draw(dollars)
    return entry


def expected(entry: dict[str, object], usage: Usage) -> int:
    """The same in decimals, from the file's own words: micro-dollars for the tokens and the call."""
    tiers = {int(above): tier for above, tier in entry.get("above", {}).items()}  # type: ignore
    reached = [above for above in tiers if usage.input > above]
    rates = tiers[max(reached)] if reached else entry
    plain = usage.input - usage.cached - usage.cache_write
    total = plain * Decimal(rates["input"])
    total += usage.cached * Decimal(rates.get("cache_read", rates["input"]))
    total += usage.cache_write * Decimal(rates.get("cache_write", rates["input"]))
    total += (usage.output - usage.reasoning) * Decimal(rates["output"])
    total += usage.reasoning * Decimal(rates.get("reasoning", rates["output"]))
    total = total / 10**6 + Decimal(str(entry.get("request", "0")))
    return int((total / MICRO).to_integral_value(ROUND_CEILING))


@given(entries(), usages())
def test_a_charge_is_what_decimals_say(entry, usage):
    assert price(**entry).charge(usage) == expected(entry, usage)


@given(dollars, st.integers(0, 10**6))
@example("1", 1001)  # 1.001 * 1000 is a little less than 1001
def test_a_film_costs_its_seconds_to_the_thousandth(each, thousandths):
    charge = price(second=each).charge(NO_TOKENS, Units(seconds=thousandths / 1000))

    exact = Decimal(thousandths) / 1000 * Decimal(each) / MICRO
    assert charge == int(exact.to_integral_value(ROUND_CEILING))


@given(dollars, st.integers(0, 10**6))
def test_pictures_cost_what_each_does(each, pictures):
    charge = price(picture=each).charge(NO_TOKENS, Units(pictures=pictures))

    assert charge == pictures * Decimal(each) / MICRO


@given(entries(), usages(), made)
def test_no_charge_is_below_nothing_or_above_what_databases_hold(entry, usage, units):
    assert 0 <= price(**entry).charge(usage, units) < 2**63


@given(token_rates(), usages(), st.sampled_from(["input", "output"]), count)
def test_more_tokens_never_cost_less(rates, usage, name, more):
    before = price(**rates).charge(usage)
    setattr(usage, name, getattr(usage, name) + more)

    assert price(**rates).charge(usage) >= before


@given(entries(), usages(), made)
def test_more_pictures_and_seconds_never_cost_less(entry, usage, units):
    one = price(**entry)
    more = Units(
        units.pictures + 1, units.quality, units.size, units.seconds + 0.5, units.resolution
    )

    assert one.charge(usage, more) >= one.charge(usage, units)


@given(entries(), usages(), made, count, count)
def test_no_call_costs_more_than_the_most_that_was_told(entry, usage, units, more, longer):
    """What is reserved is enough, also while it is not known what a picture will be like."""
    one = price(**entry)
    asked = Units(pictures=units.pictures, quality=units.quality, seconds=units.seconds)

    most = one.most(usage.input + more, usage.output + longer, asked)

    assert one.charge(usage, units) <= most


@given(entries(), st.randoms())
def test_the_order_in_a_file_changes_nothing(entry, random):
    names = list(entry)
    random.shuffle(names)

    assert price(**{name: entry[name] for name in names}) == price(**entry)


@given(entries(), usages(), made)
def test_a_price_that_the_ledger_kept_charges_the_same(entry, usage, units):
    one = price(**entry)

    again = Price.recalled(json.loads(json.dumps(one.told())))

    assert again == one
    assert again.charge(usage, units) == one.charge(usage, units)


def test_the_most_is_by_the_dearest_way_to_count_each_token():
    one = price(input="1", output="1", cache_read="2", cache_write="3", reasoning="4")

    assert one.most(10, 10) == one.charge(Usage(10, 10, cache_write=10, reasoning=10)) == 70
    assert price(input="1", output="1", cache_read="2").most(10, 0) == 20


def test_many_small_prices_are_rounded_once():
    one = price(input="0.4", output="0.4", request="0.000001")

    assert one.charge(Usage(1, 1)) == 2  # 0.4 + 0.4 + 1, not 1 + 1 + 1


def test_a_long_call_is_charged_by_its_tier_as_a_whole():
    one = price(input="1", output="2", above={"200000": {"input": "3", "output": "4"}})

    assert one.charge(Usage(200_000, 0)) == 200_000
    assert one.charge(Usage(200_001, 1_000_000)) == 600_003 + 4_000_000


def test_parts_that_are_more_than_the_whole_count_as_the_whole():
    one = price(input="1", output="1", cache_read="0.5", cache_write="2", reasoning="3")

    assert one.charge(Usage(10, 10, cached=50, cache_write=50, reasoning=50)) == 5 + 30


@pytest.mark.parametrize(
    "value", [-1, -(2**31), 2**63, 10**18, 1e308, float("nan"), float("inf"), "1", True, None, 1.5]
)
@pytest.mark.parametrize(
    "name", ["input", "output", "cached", "cache_write", "reasoning", "pictures"]
)
def test_what_is_no_number_of_things_is_charged_to_nobody(name, value):
    """R-064."""
    one = price(input="1", output="1", picture="1", second="1")
    if name == "pictures":
        usage, units = Usage(1, 1), Units(pictures=value)
    else:
        usage, units = Usage(**{"input": 1, "output": 1, name: value}), Units()

    with pytest.raises(NotCountable):
        one.charge(usage, units)
    if name in ("input", "output", "pictures"):
        with pytest.raises(NotCountable):
            one.most(usage.input, usage.output, units)


@pytest.mark.parametrize("seconds", [-1, -0.001, 2**63, 1e308, float("nan"), "1", True, None])
def test_what_is_no_length_is_charged_to_nobody(seconds):
    """R-064."""
    with pytest.raises(NotCountable):
        price(second="1").charge(NO_TOKENS, Units(seconds=seconds))
    with pytest.raises(NotCountable):
        price(second="1").most(0, 0, Units(seconds=seconds))


def test_nothing_costs_nothing_and_a_great_deal_fits():
    """R-064: n = 0 is no charge, and what is as large as can be is no credit."""
    dear = price(input="1000", output="1000", picture="1000", second="1000", request="1000")
    most = Usage(MOST_TOKENS, MOST_TOKENS)

    assert price(picture="1").charge(NO_TOKENS, Units(pictures=0)) == 0
    assert 0 < dear.charge(most, Units(pictures=10**9, seconds=10**9)) < 2**63
    assert 0 < price(input="1", output="1").charge(Usage(2**31, 2**31)) == 2**32


@pytest.mark.parametrize(
    "entry, units, covers",
    [
        ({"input": "1", "output": "1"}, Units(), True),
        ({"input": "0", "output": "0"}, Units(), True),
        ({"request": "1"}, Units(), True),
        ({"picture": "1"}, Units(), False),
        ({"picture": "1"}, Units(pictures=1), True),
        ({"picture": {"1k": "1"}}, Units(pictures=1), True),
        ({"picture": {"1k": "1"}}, Units(pictures=1, resolution="4K"), False),
        ({"second": {"720p": "1"}}, Units(seconds=8, resolution="1080p"), False),
        ({"second": {"720p": "1"}}, Units(seconds=8, resolution="720p"), True),
        ({"second": "1"}, Units(pictures=1), False),
        ({"input": "1", "output": "1"}, Units(seconds=8), True),
    ],
)
def test_what_a_price_says_nothing_of_is_as_unknown_as_a_model(entry, units, covers):
    assert price(**entry).covers(units) is covers
