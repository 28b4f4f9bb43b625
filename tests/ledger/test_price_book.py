"""The book: ours or the operator's, changed while calls are under way."""

from __future__ import annotations

import logging
import os

import gevent
import pytest

from app.canonical.events import Usage
from app.config import BadSetting, Settings
from app.errors import PriceUnknown
from app.factory import create_app
from app.ledger.price_book import MOST_REMEMBERED, PriceBook
from app.ledger.price_file import BadPrices
from app.ledger.price_folder import PriceFolder
from app.platforms import PLATFORMS
from app.rounds import Rounds
from tests.ledger.files import NOON, content, editions, written


@pytest.fixture
def bundled(tmp_path):
    """What comes with the program: a dollar a call."""
    return {"codex": written(tmp_path / "ours", content({"m": {"request": "1"}}))}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "own"


def dollars(book, model="m", at=NOON):
    price = book.price("codex", model, at)
    return None if price is None else price.request / 1_000_000


def test_our_prices_hold_where_there_are_no_others(bundled, folder):
    assert dollars(PriceBook.load(bundled, folder)) == 1
    assert dollars(PriceBook.load(bundled, None)) == 1


def test_an_own_file_takes_the_place_of_ours(bundled, folder):
    written(folder, content({"n": {"request": "5"}}))
    book = PriceBook.load(bundled, folder)

    assert (dollars(book, "m"), dollars(book, "n")) == (None, 5)


def test_unknown_is_not_nothing(bundled, folder):
    written(folder, content({"free": {"request": "0"}}))
    book = PriceBook.load(bundled, folder)

    assert dollars(book, "free") == 0
    assert dollars(book, "other") is None
    assert book.price("nobody", "m", NOON) is None
    assert dollars(book, "free", at=NOON - 2 * 86400) is None  # before the first edition


def test_where_money_counts_unknown_is_an_error(bundled):
    book = PriceBook.load(bundled, None)

    assert book.known("codex", "m", NOON) is book.price("codex", "m", NOON)
    with pytest.raises(PriceUnknown) as told:
        book.known("codex", "other", NOON)
    assert (told.value.status, told.value.code) == (403, "price_unknown")
    assert "other" in str(told.value)


def test_a_new_edition_comes_into_force_on_its_day(bundled, folder):
    pairs = editions(
        ("2026-11-01", {"m": {"request": "1"}}), ("2026-12-01", {"m": {"request": "2"}})
    )
    written(folder, {**content({}), "editions": pairs})
    book = PriceBook.load(bundled, folder)
    december = book.files["codex"].editions[1].since

    assert [dollars(book, at=at) for at in (NOON, december - 1, december, NOON)] == [1, 1, 2, 1]


def test_the_same_price_is_found_again_without_looking(bundled):
    book = PriceBook.load(bundled, None)

    assert book.price("codex", "m", NOON) is book.price("codex", "m", NOON + 1)


def test_names_that_callers_make_up_do_not_fill_the_memory(bundled):
    book = PriceBook.load(bundled, None)
    for number in range(MOST_REMEMBERED + 100):
        book.price("codex", f"made-up-{number}", NOON)
    book.price("codex", "x" * 10_000, NOON)
    _, remembered = book._shelf

    assert len(remembered) <= MOST_REMEMBERED
    assert all(len(model) < 1000 for _, model in remembered)
    assert dollars(book) == 1


def test_a_call_keeps_the_price_it_began_with(bundled, folder):
    """R-066."""
    book = PriceBook.load(bundled, folder)
    taken = book.known("codex", "m", NOON)
    written(folder, content({"m": {"request": "7"}}))

    assert book.look()
    assert dollars(book) == 7
    assert taken.charge(Usage(0, 0)) == 1_000_000
    assert taken.told()["version"] != book.known("codex", "m", NOON).version


def test_a_look_takes_what_has_changed_and_nothing_else(bundled, folder):
    book = PriceBook.load(bundled, folder)
    assert not book.look()
    PriceFolder(folder).put(
        "codex", written(folder / "x", content({"m": {"request": "2"}})).read_bytes()
    )
    assert book.look() and dollars(book) == 2
    assert not book.look()
    PriceFolder(folder).remove("codex")
    assert book.look() and dollars(book) == 1


def test_a_bad_file_changes_nothing_and_is_told_once(bundled, folder, caplog):
    written(folder, content({"m": {"request": "2"}}))
    book = PriceBook.load(bundled, folder)
    written(folder, "{")
    with caplog.at_level(logging.ERROR):
        assert not any([book.look(), book.look(), book.look()])

    assert dollars(book) == 2
    assert len(caplog.records) == 1 and "codex.json is not JSON" in caplog.text
    written(folder, content({"m": {"request": "3"}}))
    assert book.look() and dollars(book) == 3


def test_a_stray_file_is_told_once_and_stops_a_start(bundled, folder, caplog):
    book = PriceBook.load(bundled, folder)
    written(folder, content({}), name="kodex")
    with caplog.at_level(logging.ERROR):
        assert not any([book.look(), book.look()])

    assert len(caplog.records) == 1
    with pytest.raises(BadPrices, match="kodex.json is named after no platform of ours"):
        PriceBook.load(bundled, folder)


def test_files_of_other_kinds_are_let_be(bundled, folder):
    folder.mkdir()
    for name in ("codex.json.before", ".codex.json.77", "README"):
        (folder / name).write_text("{")

    assert dollars(PriceBook.load(bundled, folder)) == 1


def test_a_folder_that_is_none_is_told(bundled, folder):
    folder.write_text("")

    with pytest.raises(BadPrices, match="cannot be read: not a directory"):
        PriceBook.load(bundled, folder)


def test_the_watch_finds_new_prices_by_itself(bundled, folder):
    book = PriceBook.load(bundled, folder)
    Rounds(0.001, book.look, "no prices").start()
    written(folder, content({"m": {"request": "4"}}))

    with gevent.Timeout(10):
        while dollars(book) != 4:
            gevent.sleep(0)


def test_the_former_file_is_kept_beside_the_new_one(folder):
    place = PriceFolder(folder)
    place.put("codex", b"one")
    assert not place.before("codex").exists()
    place.put("codex", b"two")

    assert (place.path("codex").read_bytes(), place.before("codex").read_bytes()) == (
        b"two",
        b"one",
    )
    assert sorted(os.listdir(folder)) == ["codex.json", "codex.json.before"]


def test_a_gateway_does_not_start_with_a_bad_price(tmp_path):
    written(tmp_path / "own", content({"m": {"request": "1e308"}}))
    env = {
        "TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/tokens.db",
        "TOKENS_LOG_FILE": str(tmp_path / "access.log"),
        "TOKENS_PRICES_FOLDER": str(tmp_path / "own"),
    }

    with pytest.raises(BadSetting, match=r"TOKENS_PRICES_FOLDER: .*codex\.json: .*\.m\.request"):
        create_app(Settings.from_env(env, list(PLATFORMS.values())))
