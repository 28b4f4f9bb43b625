"""`tokens prices`: what is in force, what a file would change, and putting it there."""

from __future__ import annotations

import json
import os

import pytest

from app.platforms import PLATFORMS, PRICES
from tests.ledger.files import content, editions, written

NEW = content({"gpt-5.2": {"input": "1.75", "output": "14"}, "gpt-5*": {"request": "0.01"}})


@pytest.fixture
def own(tmp_path):
    """The folder of the operator's own files."""
    return tmp_path / "var" / "prices"


def rows(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_in_force_is_listed_with_its_source_and_what_is_missing(tokens):
    found = {
        row["model"]: row for row in rows(tokens("prices", "list", "--platform", "grok", "--json"))
    }

    assert found["grok-4.5"]["price"] == {"input": "2", "output": "6"}
    assert "xAI" in found["grok-4.5"]["source"] and found["grok-4.5"]["version"]
    assert found["grok-4.7"]["price"] is None
    assert {model.id for model in PLATFORMS["grok"].catalogue.models} <= found.keys()


def test_people_read_a_table_and_below_it_where_the_prices_are_from(called):
    done = called("prices", "list", "--platform", "grok")

    prices, sources = done.stdout.split("\n\n")
    assert "input 1.25, output 2.5" in prices and "unknown" in prices
    assert sources.count("xAI's documentation") == 1


def test_every_platform_is_listed(called):
    assert {row["platform"] for row in rows(called("prices", "list", "--json"))} == set(PLATFORMS)


def test_a_model_is_found_by_any_of_its_names(called, own):
    written(own, NEW)
    for asked, entry in (
        ("gpt-5.2-high", "gpt-5.2"),
        ("gpt-5.2", "gpt-5.2"),
        ("gpt-5-pro", "gpt-5*"),
        ("o3", ""),
    ):
        found = rows(called("prices", "list", "--model", asked, "--platform", "codex", "--json"))
        assert [row["entry"] for row in found] == [entry]
    everywhere = rows(called("prices", "list", "--model", "gpt-5.2", "--json"))
    assert {row["platform"] for row in everywhere} == {"chatgpt", "codex"}
    assert "no platform has such a model" in called("prices", "list", "--model", "nobodys").stderr


def test_another_day_has_its_own_prices(called, own):
    pairs = editions(
        ("2026-01-01", {"o3": {"request": "1"}}), ("2027-01-01", {"o3": {"request": "2"}})
    )
    written(own, {**content({}), "editions": pairs})

    def price(*words):
        found = rows(
            called("prices", "list", "--platform", "codex", "--model", "o3", "--json", *words)
        )
        return found[0]["price"]

    assert price("--at", "2026-12-31") == {"request": "1"}
    assert price("--at", "2027-01-01") == {"request": "2"}
    assert price("--at", "2025-12-31") is None
    assert called("prices", "list", "--at", "tomorrow").stderr.startswith("tokens: --at should be")


def test_a_file_is_compared_with_what_is_in_force(called, own, tmp_path):
    written(own, NEW)
    later = content({"gpt-5.2": {"input": "1.750", "output": "15"}, "o3": {"picture": {"1k": "1"}}})
    file = written(tmp_path, later, name="later")
    found = rows(called("prices", "diff", str(file), "--json"))

    assert {(row["model"], row["price"]): (row["was"], row["becomes"]) for row in found} == {
        ("gpt-5.2", "output"): ("14", "15"),
        ("gpt-5*", "request"): ("0.01", None),
        ("o3", "picture 1k"): (None, "1"),
    }
    assert {row["from"] for row in found} == {"now"}


def test_what_a_day_to_come_changes_is_told_with_it(called, own, tmp_path):
    written(own, NEW)
    first, later = NEW["editions"][0]["models"], {"o3": {"request": "1"}}
    pairs = editions(("2026-01-01", first), ("2999-01-01", {**first, **later}))
    file = written(tmp_path, {**NEW, "editions": pairs}, name="later")
    found = rows(called("prices", "diff", str(file), "--json"))

    assert [(row["from"], row["model"], row["becomes"]) for row in found] == [
        ("2999-01-01", "o3", "1")
    ]


def test_what_is_other_now_and_stays_so_is_told_once(called, own, tmp_path):
    written(own, NEW)
    pairs = editions(
        ("2026-01-01", {"o3": {"request": "1"}}), ("2999-01-01", {"o3": {"request": "2"}})
    )
    file = written(tmp_path, {**NEW, "editions": pairs}, name="later")
    found = rows(called("prices", "diff", str(file), "--json"))

    told = [(row["from"], row["becomes"]) for row in found if row["model"] == "o3"]
    assert told == [("now", "1"), ("2999-01-01", "2")]
    assert [row["from"] for row in found if row["model"] == "gpt-5*"] == ["now"]


def test_without_a_file_own_prices_are_compared_with_ours(called, own):
    assert called("prices", "diff").stderr == "nothing changes\n"
    written(own, content({"grok-4.5": {"input": "9", "output": "6"}}, platform="grok"), name="grok")
    found = rows(called("prices", "diff", "--json"))

    changed = {(row["model"], row["price"]): (row["was"], row["becomes"]) for row in found}
    assert changed["grok-4.5", "input"] == ("2", "9")
    assert changed["grok-4.3", "input"] == ("1.25", None)
    assert {row["platform"] for row in found} == {"grok"}


def test_a_file_is_put_into_force_as_it_is_and_the_former_kept(called, own, tmp_path):
    former = written(own, content({"o3": {"request": "1"}})).read_bytes()
    file = written(tmp_path, NEW, name="new")
    done = called("prices", "apply", str(file), "--yes")

    assert done.returncode == 0, done.stderr
    assert "gpt-5.2" in done.stdout and "is in force" in done.stderr
    assert (own / "codex.json").read_bytes() == file.read_bytes()
    assert (own / "codex.json.before").read_bytes() == former
    assert sorted(os.listdir(own)) == ["codex.json", "codex.json.before"]


def test_nothing_is_put_into_force_unasked(called, own, tmp_path):
    file = written(tmp_path, NEW, name="new")
    done = called("prices", "apply", str(file))

    assert done.returncode == 1 and "say --yes" in done.stderr
    assert not own.exists()


@pytest.mark.parametrize(
    "given, words",
    [
        ("{", "is not JSON"),
        (json.dumps(content({"m": {"request": "-1"}})), "editions[0].models.m.request should be"),
        (json.dumps(content({}, platform="nobody")), "there is no platform nobody"),
    ],
)
@pytest.mark.parametrize("verb", ["apply", "diff"])
def test_a_file_that_cannot_be_used_is_told_and_left_where_it_is(called, own, verb, given, words):
    done = called("prices", verb, "-", given=given)

    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert not own.exists()


def test_a_bad_file_in_the_folder_is_told_and_can_be_replaced(called, own, tmp_path):
    written(own, "{")
    file = written(tmp_path, NEW, name="new")

    for words in (("list",), ("diff",)):
        done = called("prices", *words)
        assert done.returncode == 1
        assert "TOKENS_PRICES_FOLDER" in done.stderr and "codex.json is not JSON" in done.stderr
    done = called("prices", "apply", str(file), "--yes")
    assert done.returncode == 0 and "compared with the prices that come" in done.stderr
    assert called("prices", "list").returncode == 0


@pytest.mark.parametrize("command", [("serve",), ("worker",)])
def test_nothing_is_served_with_a_bad_file(called, own, command, tmp_path):
    written(own, content({"m": {"request": "NaN"}}))
    done = called(*command)

    assert done.returncode == 1
    assert "TOKENS_PRICES_FOLDER" in done.stderr and ".m.request should be" in done.stderr
    assert not (tmp_path / "tokens.db").exists()


def test_pinned_prices_are_ours_of_today_until_they_are_let_go(called, own):
    assert called("prices", "pin", "grok").returncode == 0
    assert (own / "grok.json").read_bytes() == PRICES["grok"].read_bytes()
    assert "in force already" in called("prices", "pin", "grok").stderr

    done = called("prices", "pin", "grok", "--off")
    assert done.returncode == 0 and sorted(os.listdir(own)) == ["grok.json.before"]
    assert "not pinned" in called("prices", "pin", "grok", "--off").stderr


def test_letting_go_says_what_changes(called, own):
    written(own, content({"grok-4.5": {"input": "9", "output": "6"}}, platform="grok"), name="grok")
    done = called("prices", "pin", "grok", "--off")

    assert done.returncode == 0
    (line,) = [line for line in done.stdout.splitlines() if "grok-4.5 " in line]
    assert line.split() == ["now", "grok", "grok-4.5", "input", "9", "2"]


@pytest.mark.parametrize("words", [("pin", "nobody"), ("list", "--platform", "nobody")])
def test_a_platform_that_is_none_is_told(called, words):
    assert "there is no platform nobody" in called("prices", *words).stderr


def test_without_a_folder_nothing_can_be_kept(called):
    assert rows(called("prices", "list", "--json", TOKENS_PRICES_FOLDER=""))
    done = called("prices", "pin", "grok", TOKENS_PRICES_FOLDER="")

    assert done.returncode == 1 and "TOKENS_PRICES_FOLDER is empty" in done.stderr


def test_a_folder_that_cannot_be_written_is_told(called, tmp_path):
    (tmp_path / "file").write_text("")
    done = called("prices", "pin", "grok", TOKENS_PRICES_FOLDER=str(tmp_path / "file" / "prices"))

    assert done.returncode == 1 and "cannot be written: not a directory" in done.stderr


def test_the_doctor_names_what_has_no_price(called, own):
    keys = {"TOKENS_GROK_KEYS": "k", "TOKENS_CODEX_KEYS": "k"}
    written(own, content({"*": {"request": "1"}}))

    found = {
        one["check"]: one
        for one in json.loads(called("doctor", "--json", "--offline", **keys).stdout)
    }

    assert "grok-4.7" in found["prices of grok"]["what"]
    assert (
        found["prices of grok"]["state"] == "note"
        and "docs/prices.md" in found["prices of grok"]["do"]
    )
    assert "prices of codex" not in found and "prices of sora" not in found
    del keys["TOKENS_GROK_KEYS"]
    found = {
        one["check"]: one
        for one in json.loads(called("doctor", "--json", "--offline", **keys).stdout)
    }
    assert found["prices"]["state"] == "ok"


def test_a_bad_file_is_wrong_to_the_doctor(called, own):
    written(own, "{")
    done = called("doctor", "--json", "--offline", TOKENS_GROK_KEYS="k")
    found = {one["check"]: one for one in json.loads(done.stdout)}

    assert done.returncode == 1
    assert found["prices"]["state"] == "wrong" and "codex.json" in found["prices"]["what"]
