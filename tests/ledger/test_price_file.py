"""Price files: what is wrong with one is told in a sentence that names the field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.ledger.price_file import BadPrices, load, parse
from tests.ledger.files import NOON, content, editions, read, written


def entry(**fields):
    return content({"model": {"input": "1", "output": "1", **fields}})


def with_editions(given):
    return {**content({}), "editions": given}


WRONG = {
    "{": "is not JSON",
    "[]": "the file should be an object",
    "\ufeffnull": "the file should be an object",
    "[" * 100_000: "nested too deeply",
    "9" * 5000: "is not JSON",
    '{"platform": "codex", "platform": "grok"}': "'platform' is given twice",
    json.dumps({**content({}), "prices": 1}): "the file has no field 'prices'",
    json.dumps({**content({}), "platform": 5}): "platform should be a line of text",
    json.dumps({**content({}), "currency": "EUR"}): "currency should be USD, not 'EUR'",
    json.dumps({"platform": "codex", "editions": []}): "currency should be USD, not None",
    json.dumps({**content({}), "editions": {}}): "editions should be a list",
    json.dumps(with_editions([5])): "editions[0] should be an object",
    json.dumps(with_editions([{"from": "2026-11-01", "models": {}}])): "editions[0].source",
    json.dumps(with_editions(editions(("2026-13-01", {})))): "editions[0].from should be a day",
    json.dumps(with_editions(editions(("20261101", {})))): "editions[0].from should be a day",
    json.dumps(with_editions(editions((5, {})))): "editions[0].from should be a day",  # type: ignore
    json.dumps(
        with_editions(editions(("2026-11-02", {}), ("2026-11-01", {})))
    ): "editions[1].from should be later",
    json.dumps(
        with_editions(editions(("2026-11-01", {}), ("2026-11-01", {})))
    ): "editions[1].from should be later",
    json.dumps(content({"model": {}})): "editions[0].models.model says nothing",
    json.dumps(content({"a model": {"request": "1"}})): "should be the name of a model",
    json.dumps(content({"o[0-9]": {"request": "1"}})): "should be the name of a model",
    json.dumps(content({"": {"request": "1"}})): "should be the name of a model",
    json.dumps(entry(inptu="1")): "editions[0].models.model has no field 'inptu'",
    json.dumps(content({"model": {"input": "1"}})): "model.output is missing",
    json.dumps(content({"model": {"cache_read": "1"}})): "model.input is missing",
    json.dumps(entry(above={"0": {"input": "1", "output": "1"}})): "model.above.0 should be",
    json.dumps(entry(above={"many": {"input": "1", "output": "1"}})): "model.above.many should be",
    json.dumps(entry(above={"10": {"input": "1"}})): "model.above.10.output is missing",
    json.dumps(entry(above={"10": {"input": "1", "output": "1", "above": {}}})): "has no field",
    json.dumps(entry(picture={})): "model.picture says nothing",
    json.dumps(entry(picture={"low high": "1"})): "model.picture has a line 'low high'",
    json.dumps(entry(picture={"1K low": "1", "low 1k": "1"})): "model.picture has two lines",
    json.dumps(entry(second={"720p": 1})): "model.second.720p should be dollars",
}


@pytest.mark.parametrize("given", WRONG, ids=[words[:40] for words in WRONG.values()])
def test_a_file_that_cannot_be_used_names_the_field(given):
    with pytest.raises(BadPrices) as told:
        parse(given.encode(), Path("codex.json"))

    assert str(told.value).startswith("codex.json") and WRONG[given] in str(told.value)
    assert "\n" not in str(told.value) and len(str(told.value)) < 250


@pytest.mark.parametrize(
    "written_as",
    ['"-1"', '"-0"', '"1e3"', '"1e308"', '"NaN"', '"Infinity"', '"1000.000001"', '"0.0000001"']
    + ['""', '" 1"', '"1 "', '"1."', '".5"', '"+1"', '"1,5"', '"\u0661"', '"99999"']
    + ["1", "1.25", "-1", "1e308", "NaN", "-Infinity", "true", "null", "[]", "{}", "10" * 900],
)
@pytest.mark.parametrize("field", ["input", "cache_write", "request", "reasoning"])
def test_a_number_that_is_no_price_is_refused(field, written_as):
    """R-064 for what the operator writes."""
    text = json.dumps(entry(**{field: "here"})).replace('"here"', written_as)

    with pytest.raises(BadPrices, match=rf"codex\.json: .*model\.{field} should be"):
        parse(text.encode(), Path("codex.json"))


@pytest.mark.parametrize("given", ["0", "0.0", "1", "1000", "0.000001", "999.999999"])
def test_what_dollars_look_like_is_taken(given):
    (edition,) = read(entry(input=given)).editions

    assert edition.prices["model"].rates[0].input == round(float(given) * 1_000_000)


def test_a_price_of_nothing_is_a_price():
    file = read(content({"model": {"input": "0", "output": "0"}}))

    assert file.editions[0].find("model") is not None
    assert file.editions[0].find("other") is None


def test_the_models_own_entry_comes_first_then_the_longest_pattern():
    models = {"gpt-*": {"request": "1"}, "gpt-5*": {"request": "2"}, "gpt-5": {"request": "3"}}
    orders = [models, dict(reversed(models.items()))]

    for order in orders:
        (edition,) = read(content(order)).editions
        found = [edition.find(name) for name in ("gpt-5", "gpt-5-pro", "gpt-4", "o3")]
        assert [one and one.request for one in found] == [3_000_000, 2_000_000, 1_000_000, None]
    assert read(content(orders[0])).editions[0].version == edition.version


def test_an_edition_holds_from_its_day_until_the_next():
    pairs = editions(
        ("2026-11-01", {"m": {"request": "1"}}), ("2026-12-01", {"n": {"request": "2"}})
    )
    file = read(with_editions(pairs))
    november, december = file.editions

    assert file.at(NOON - 2 * 86400) is None
    assert file.at(november.since) is november and file.at(december.since - 1) is november
    assert file.at(december.since) is december
    assert december.find("m") is None  # each edition is the whole list


def test_other_prices_have_another_version_and_other_words_about_them_have_not():
    dear, cheap = read(content({"m": {"request": "2"}})), read(content({"m": {"request": "1"}}))
    told = content({"m": {"request": "1"}})
    told["editions"][0]["source"] = "somebody else"

    assert dear.editions[0].version != cheap.editions[0].version
    assert read(told).editions[0].version == cheap.editions[0].version


def test_a_file_in_the_wrong_place_or_none_is_told(tmp_path):
    path = written(tmp_path, content({}, platform="grok"))

    with pytest.raises(BadPrices, match="platform should be 'codex', not 'grok'"):
        load(path, "codex")
    with pytest.raises(BadPrices, match="cannot be read: no such file"):
        load(tmp_path / "none.json", "codex")
