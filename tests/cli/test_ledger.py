"""`tokens ledger`: what was used and what it cost, added up, written out and followed."""

from __future__ import annotations

import csv
import io
import json
import re
import select
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta

import pytest

from app.storage.ledger_reading import LedgerReading
from tests.cli.books import NOON, Books
from tests.cli.terminal import watch
from tests.stack import TOKENS, until
from tests.storage.databases import KINDS, made

DAY_MS = 86_400_000
SPAN = ("--since", "2026-11-29", "--until", "2026-11-29")
FORMULA = "=HYPERLINK(1)"


@pytest.fixture(params=KINDS)
def books(request, tmp_path, called):
    with made(request.param, tmp_path, request.node.name) as database:
        yield Books(database, called)


@pytest.fixture
def few(tmp_path, called):
    """The same, on SQLite alone."""
    with made("sqlite", tmp_path, "few") as database:
        yield Books(database, called)


def told(done) -> list[dict]:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    rows = json.loads(done.stdout)
    assert isinstance(rows, list)
    return rows


# ---------------------------------------------------------------- report


@pytest.mark.parametrize(
    "by, expected",
    [
        ("licence", {("a1b2c3d4",): 3, ("b1b2c3d4",): 1}),
        ("model", {("gpt-4.1",): 1, ("gpt-4o",): 3}),
        ("platform", {("chatgpt",): 3, ("grok",): 1}),
        ("credential", {("key-1",): 3, ("key-2",): 1}),
        ("day", {("2026-11-28",): 1, ("2026-11-29",): 3}),
        ("day, platform", {("2026-11-28", "chatgpt"): 1, ("2026-11-29", "chatgpt"): 2,
                           ("2026-11-29", "grok"): 1}),
        ("model,model", {("gpt-4.1",): 1, ("gpt-4o",): 3}),
        ("", {(): 4}),
    ],
)  # fmt: skip
def test_a_report_adds_up_by_what_is_asked(books, by, expected):
    books.add(input=10)
    books.add(input=10, credential="key-2", model="gpt-4.1")
    books.add(licence="b1b2c3d4", platform="grok")
    books.add(at=NOON - DAY_MS, state="released", outcome="upstream_error")
    rows = told(books("ledger", "report", "--by", by, "--json", "--since", "2026-11-01", *SPAN[2:]))
    names = [name.strip() for name in dict.fromkeys(by.split(",")) if name.strip()]
    found = {tuple(row[name] for name in dict.fromkeys(names)): row["calls"] for row in rows}

    assert found == expected
    assert sum(row["failed"] for row in rows) == 1


@pytest.mark.parametrize(
    "name, value, calls",
    [
        ("licence", "b1b2c3d4", 1),
        ("platform", "grok", 1),
        ("model", "gpt-4o", 2),
        ("credential", "key-2", 1),
    ],
)
def test_every_verb_looks_only_at_what_is_wanted(books, tmp_path, name, value, calls):
    books.add(model="gpt-4.1", credential="key-2")
    books.add()
    books.add(licence="b1b2c3d4", platform="grok")
    only = (f"--{name}", value)

    assert sum(r["calls"] for r in told(books("ledger", "report", "--json", *SPAN, *only))) == calls
    assert len(told(books("ledger", "tail", "--json", *only))) == calls
    assert books("ledger", "export", "out.json", *SPAN, *only).returncode == 0
    assert len(json.loads((tmp_path / "out.json").read_text())) == calls


def test_a_table_ends_with_all_of_it(books):
    books.add(input=10, output=1, charge=1_500_000)
    books.add(model="gpt-4.1", input=5, charge=250_000)
    head, *lines = books("ledger", "report", *SPAN).stdout.splitlines()

    assert head.split()[:4] == ["platform", "model", "calls", "failed"]
    assert [line.split()[0] for line in lines] == ["chatgpt", "chatgpt", "all"]
    assert lines[-1].split()[-1] == "1.75" and lines[-1].split()[1:3] == ["-", "2"]


def test_sums_may_be_large(books):
    """Beyond what 32 bits hold, and what PostgreSQL adds up to a decimal."""
    for _ in range(3):
        books.add(input=3_000_000_000_000, charge=10**15, seconds=0.1)
    (row,) = told(books("ledger", "report", "--json", *SPAN))

    assert row["input"] == 9_000_000_000_000 and row["charge"] == "3000000000.00"
    assert row["seconds"] == 0.3


def test_a_report_is_a_table_for_programs_too(books):
    books.add(model=FORMULA, charge=5)
    done = books("ledger", "report", "--csv", *SPAN)
    (row,) = csv.DictReader(io.StringIO(done.stdout))

    assert (row["model"], row["charge"], row["calls"]) == (f"'{FORMULA}", "0.000005", "1")


def test_without_days_the_last_thirty_count(few):
    now = int(time.time() * 1000)
    for days in (0, 29, 30):
        few.add(at=now - days * DAY_MS, model=f"m{days}")

    assert {row["model"] for row in told(few("ledger", "report", "--json"))} == {"m0", "m29"}


def test_where_nothing_was_used_that_is_said(few):
    table, rows, cells = (
        few("ledger", "report", *words) for words in ((), ("--json",), ("--csv",))
    )

    assert (table.returncode, table.stdout) == (0, "") and "nothing was used" in table.stderr
    assert json.loads(rows.stdout) == []
    assert cells.stdout.startswith("platform,model,calls,failed,")  # a head is there all the same


@pytest.mark.parametrize(
    "words, says",
    [
        (["report", "--by", "week"], "there is no week to report by; there are day, licence"),
        (["report", "--since", "yesterday"], "yesterday is no day; write it as 2026-11-29"),
        (["report", "--since", "2026-11-31"], "is no day"),
        (["report", "--since", "2026-11-29", "--until", "2026-11-28"], "the first day is after"),
        (["export", "none/out.csv"], "cannot write none/out.csv"),
        (["export", "."], "is a folder"),
    ],
)
def test_what_makes_no_sense_is_a_complaint(few, words, says):
    done = few("ledger", *words)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tokens: ") and says in done.stderr


def test_without_a_database_there_is_no_ledger(called, tmp_path):
    for words in (["report"], ["tail"]):
        done = called("ledger", *words)
        assert (done.returncode, done.stdout) == (0, "") and "there is no ledger yet" in done.stderr
        assert json.loads(called("ledger", *words, "--json").stdout) == []
    assert called("ledger", "export", "out.csv").returncode == 1
    assert called("ledger", "tail", "--follow").returncode == 1
    assert not (tmp_path / "tokens.db").exists() and not (tmp_path / "out.csv").exists()


def test_words_of_callers_do_nothing_to_a_terminal(few):
    """R-131. A model's name is theirs to choose."""
    few.add(model="gpt\x1b[2J\x9b\r\n4")
    for words in (["report", *SPAN], ["tail"]):
        done = few("ledger", *words)
        assert "gpt\N{REPLACEMENT CHARACTER}[2J" in done.stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout)


@pytest.mark.parametrize("name", ["licence", "platform", "model", "credential"])
def test_a_name_that_was_never_in_the_ledger_is_spoken_of(books, name):
    books.add(platform="gone", model="gone", licence="gone", credential="gone")
    for words in (["report"], ["report", "--json"], ["tail"], ["export", "-"]):
        for value, is_known in (("nix", False), ("gone", True)):
            done = books("ledger", *words, f"--{name}", value)
            said = f"the ledger has never seen a {name} {value}\n" in done.stderr
            assert done.returncode == 0 and said is not is_known


def test_days_to_come_are_none_of_the_thirty(few):
    few.add(at=int(time.time() * 1000))
    done = few("ledger", "report", "--until", "9999-12-31")
    first = datetime.now(UTC).date() - timedelta(days=29)

    assert done.stdout and done.stderr == f"from {first} to 9999-12-31\n"
    ended = few("ledger", "report", "--until", "2020-03-01")
    assert ended.stderr == "nothing was used from 2020-02-01 to 2020-03-01\n"


@pytest.mark.parametrize("word", ["0", "1000001", "9" * 20, "1_0", "1e3", "many"])
def test_a_number_of_rows_has_its_bounds(few, word):
    few.add()
    for follow in ((), ("--follow",)):
        done = few("ledger", "tail", *follow, "--number", word)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
        assert "should be a whole number from 1 to 1000000" in done.stderr


def test_what_has_no_price_is_not_what_costs_nothing(few):
    few.add(charge=0)
    few.add(charge=0, price="")
    few.add(charge=0, price="", mode="chat2api")  # the caller pays, whatever it costs
    lines = few("ledger", "tail").stdout.splitlines()

    assert [line.split()[-2] for line in lines] == ["charge", "0.00", "-", "0.00"]


# ---------------------------------------------------------------- export


def test_an_export_is_of_all_days_unless_some_are_named(books):
    names = [books.add(at=at) for at in (NOON - 400 * DAY_MS, NOON, NOON + 400 * DAY_MS)]

    def ids(*words: str) -> list[str]:
        done = books("ledger", "export", "-", *words)
        return [row["id"] for row in csv.DictReader(io.StringIO(done.stdout))]

    assert ids() == names
    assert ids("--until", "2026-11-29") == names[:2]
    assert ids("--since", "2026-11-29") == names[1:]
    assert books("ledger", "export", "-", "--until", "1969-01-01").returncode == 1


def test_an_export_has_every_row_with_all_it_holds(books, tmp_path):
    first = books.add(input=10, cached=4, charge=2500, seconds=1.5, estimated=True, attempts=2)
    still = books.add(state="open", at=NOON + 1, model='say "no", or:\nnothing')
    books.add(at=NOON + DAY_MS)
    done = books("ledger", "export", "out.csv", *SPAN)
    rows = list(csv.DictReader((tmp_path / "out.csv").open(newline="")))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "2 rows\n")
    assert [row["id"] for row in rows] == [first, still]
    assert rows[0]["opened_at"] == "2026-11-29T12:00:00.000+00:00"
    assert rows[0]["closed_at"] == "2026-11-29T12:00:01.234+00:00"
    assert [rows[0][name] for name in ("input", "cached", "charge", "seconds", "estimated")] == [
        "10", "4", "0.0025", "1.5", "True"
    ]  # fmt: skip
    assert rows[1]["model"] == 'say "no", or:\nnothing' and rows[1]["closed_at"] == ""
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600


def test_an_export_as_json_is_the_same(books, tmp_path):
    name = books.add(model=FORMULA, charge=2500)
    books("ledger", "export", "out.json", *SPAN)
    printed = books("ledger", "export", "-", "--format", "json", *SPAN)
    (row,) = json.loads((tmp_path / "out.json").read_text())

    assert json.loads(printed.stdout) == [row]
    assert (row["id"], row["model"], row["charge"]) == (name, FORMULA, "0.0025")
    assert row["estimated"] is False and row["day"] == "2026-11-29"


def test_no_cell_of_an_export_is_a_formula(few, tmp_path):
    """R-131."""
    for number, mark in enumerate("=+-@\t\r"):
        few.add(model=f"{mark}cmd", asked=f"{mark}cmd", at=NOON + number)
    few("ledger", "export", "out.csv", *SPAN)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert len(rows) == 6
    assert all(row[name].startswith("'") for row in rows for name in ("model", "asked"))


def test_an_export_without_rows_has_its_head(few, tmp_path):
    few("ledger", "export", "out.csv", *SPAN)
    few("ledger", "export", "out.json", *SPAN)

    assert (tmp_path / "out.csv").read_text().startswith("id,state,outcome,licence,")
    assert json.loads((tmp_path / "out.json").read_text()) == []


def test_an_export_overwrites_nothing_unless_that_is_said(few, tmp_path):
    few.add()
    (tmp_path / "out.csv").write_text("a letter")
    refused = few("ledger", "export", "out.csv", *SPAN)

    assert refused.returncode == 1 and (tmp_path / "out.csv").read_text() == "a letter"
    assert few("ledger", "export", "out.csv", "--force", *SPAN).returncode == 0
    assert (tmp_path / "out.csv").read_text().startswith("id,")


def test_an_export_that_is_broken_off_leaves_nothing(few, tmp_path, monkeypatch):
    few.add()

    def broken(*_):
        yield {}
        raise KeyboardInterrupt

    monkeypatch.setattr(LedgerReading, "rows", broken)
    monkeypatch.setattr("app.cli.ledger.told_row", lambda row: row)

    assert few("ledger", "export", "out.csv", *SPAN).returncode == 130
    assert [one.name for one in tmp_path.iterdir() if "out.csv" in one.name] == []


@pytest.mark.slow
def test_a_long_export_has_a_bar_where_somebody_watches(few, environ, tmp_path):
    for number in range(1010):
        few.add(at=NOON + number)
    words = [TOKENS, "ledger", "export", *SPAN]
    done = watch([*words, "-"], environ | {"TOKENS_DATABASE_URL": few.url}, tmp_path)
    steps = re.findall(r"\r\[#*\.*\] (\d+) of 1010", done.seen)

    assert done.returncode == 0 and [int(at) for at in steps] == [0, 500, 1000, 1010]
    assert done.seen.endswith("] 1010 of 1010\n1010 rows\n")
    ids = [row["id"] for row in csv.DictReader(io.StringIO(done.stdout))]
    assert len(ids) == 1010 and ids == sorted(ids)  # more than a page, and none twice
    assert "\r" not in few("ledger", "export", "out.csv", *SPAN).stderr


# ---------------------------------------------------------------- tail


def test_the_newest_rows_come_last(books):
    names = [books.add(at=NOON + number, charge=number) for number in range(5)]
    rows = told(books("ledger", "tail", "--json", "--number", "3"))
    lines = books("ledger", "tail", "--number", "2").stdout.splitlines()

    assert [row["id"] for row in rows] == names[2:]
    assert [line.split()[1] for line in lines[1:]] == names[3:]
    assert lines[-1].split()[-2:] == ["0.000004", "1234"]


def test_a_ledger_without_rows_is_empty(few):
    done = few("ledger", "tail")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "the ledger is empty\n")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_who_follows_sees_each_row_once_when_it_is_closed(kind, tmp_path, called, environ, request):
    """One that was closed a moment before another, and is written a moment after, too."""
    with made(kind, tmp_path, request.node.name) as database:
        books = Books(database, called)
        now = int(time.time() * 1000)
        before = books.add(at=now - 1234)
        child = subprocess.Popen(
            [TOKENS, "ledger", "tail", "--follow", "--json", "--licence", "a1b2c3d4"],
            env=environ | {"TOKENS_DATABASE_URL": books.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert next_id(child) == before
            later = books.add(at=int(time.time() * 1000))
            assert next_id(child) == later
            books.add(licence="b1b2c3d4", at=now)
            books.add(state="open", at=now)
            late = books.add(at=int(time.time() * 1000) - 5000)
            assert next_id(child) == late
        finally:
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (0, "", "\n")


def next_id(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    ready = until(lambda: select.select([child.stdout], [], [], 0.5)[0], 60)
    assert ready, "nothing came"
    name: str = json.loads(child.stdout.readline())["id"]
    return name
