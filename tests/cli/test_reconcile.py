"""`tokens reconcile`: what a vendor says was used, held against the ledger."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.books import NOON, Books
from tests.storage.databases import KINDS, made

HEAD = "date,model,requests,input_tokens,output_tokens,cost\n"


@pytest.fixture(params=KINDS)
def books(request, tmp_path, called):
    with made(request.param, tmp_path, request.node.name) as database:
        yield Books(database, called)


@pytest.fixture
def export(tmp_path):
    """Writes what the vendor says."""

    def write(text: str, name: str = "usage.csv") -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


def reconciled(books, *words: str, code: int):
    done = books("reconcile", "usage.csv", "--platform", "chatgpt", *words)
    assert done.returncode == code, done.stderr
    return done


def test_two_sides_that_agree_have_no_gap(books, export):
    """Editions of a model are the model; what came to nothing and what others paid is left out."""
    books.add(input=100, output=10, charge=2_500)
    books.add(model="gpt-4o-2024-08-06", input=50, output=5, charge=1_250)
    books.add(state="released", outcome="upstream_error", attempts=1)
    books.add(mode="chat2api", credential="", input=9_000, output=9_000)
    books.add(mode="chat2api", credential="brought", input=9_000)
    books.add(platform="codex", input=7)
    export(HEAD + "2026-11-29,gpt-4o-2024-08-06,2,150,15,0.00375\n")
    told = json.loads(reconciled(books, "--json", code=0).stdout)

    assert [(row["of"], row["vendor"], row["ledger"], row["gap"]) for row in told] == [
        ("calls", 2, 2, False),
        ("input", 150, 150, False),
        ("output", 15, 15, False),
        ("cost", "0.00375", "0.00375", False),
    ]
    assert {(row["day"], row["model"]) for row in told} == {("2026-11-29", "gpt-4o")}


def test_a_gap_is_told_and_ends_with_1(books, export):
    books.add(input=100)
    export(HEAD + "2026-11-29,gpt-4o,2,150,0,0\n")
    done = reconciled(books, code=1)
    (line,) = [one for one in done.stdout.splitlines() if " input " in one]

    assert line.split() == ["2026-11-29", "gpt-4o", "input", "150", "100", "-50", "-33.33", "gap"]
    assert "2 of 4 differ by more than 1 %" in done.stderr
    assert "read: day from date, model from model, calls from requests" in done.stderr
    assert reconciled(books, "--tolerance", "50", code=0).returncode == 0


def test_days_and_models_that_only_one_side_has_are_gaps(books, export):
    books.add(input=100)
    books.add(model="gpt-4.1", input=5)
    books.add(input=1, at=NOON + 86_400_000)  # a day that the vendor says nothing of
    books.add(input=1, at=NOON + 5 * 86_400_000)  # after the last day of the file
    export(
        "date,model,input_tokens\n2026-11-29,gpt-4o,100\n2026-11-28,gpt-4o,3\n2026-12-01,gpt-4o,0\n"
    )
    told = json.loads(reconciled(books, "--json", code=1).stdout)

    assert [(row["day"], row["model"], row["difference"]) for row in told if row["gap"]] == [
        ("2026-11-28", "gpt-4o", -3),
        ("2026-11-29", "gpt-4.1", 5),
        ("2026-11-30", "gpt-4o", 1),
    ]
    assert [row["percent"] for row in told if row["gap"]] == [-100.0, None, None]


def test_the_rows_behind_a_gap_come_with_it_the_doubtful_first(books, export):
    whole = books.add(input=100)
    repeated = books.add(input=100, attempts=3)
    refused = books.add(state="released", outcome="upstream_error", attempts=2)
    gone = books.add(input=10, outcome="caller_gone")
    counted = books.add(input=10, estimated=True)
    cut = books.add(state="interrupted", outcome="interrupted", credential="")
    edition = books.add(model="gpt-4o-2024-08-06", input=10, estimated=True)
    books.add(mode="chat2api", credential="", input=10, estimated=True)
    books.add(model="gpt-4.1", input=10, estimated=True)
    books.add(input=10, estimated=True, at=NOON - 86_400_000)
    export("date,model,input_tokens\n2026-11-29,gpt-4o,900\n2026-11-29,gpt-4.1,10\n")
    told = json.loads(reconciled(books, "--json", "--rows", code=1).stdout)
    (gap,) = [row for row in told if row["gap"]]

    expected = [cut, counted, edition, gone, refused, repeated, whole]
    assert [row["id"] for row in gap["rows"]] == expected
    assert all("rows" not in row for row in told if not row["gap"])
    few = json.loads(reconciled(books, "--json", "--rows", "--most", "2", code=1).stdout)
    assert [row["id"] for row in next(r for r in few if r["gap"])["rows"]] == expected[:2]
    shown = reconciled(books, "--rows", code=1).stdout
    assert shown.index(cut) < shown.index(whole) and "2026-11-29T12:00:00" in shown
    listed = list(csv.DictReader(io.StringIO(reconciled(books, "--rows", "--csv", code=1).stdout)))
    assert [row["id"] for row in listed] == expected


def test_a_vendors_days_are_in_utc_wherever_the_operators_begin(books, export):
    """The sums of days are the operator's, so that the rows count."""
    early, late = NOON - 5 * 3_600_000, NOON + 5 * 3_600_000  # 07:00 and 17:00 on the 29th
    first = books.add(input=100, at=early, day=NOON // 86_400_000 - 1)
    second = books.add(input=10, at=late)
    going = books.add(state="open", at=late)
    failed = books.add(state="released", outcome="upstream_error", at=late)
    books.add(input=1, at=late + 86_400_000 // 2, day=NOON // 86_400_000)
    export("date,model,requests,input_tokens\n2026-11-29,gpt-4o,2,110\n2026-11-30,gpt-4o,1,1\n")
    words = ("reconcile", "usage.csv", "--platform", "chatgpt", "--json", "--rows")
    settings = {"TOKENS_DAY_STARTS": "16:00", "TOKENS_LEDGER_DAYS": "0"}
    done = books(*words, **settings)

    assert done.returncode == 0, done.stdout
    export("date,model,input_tokens\n2026-11-29,gpt-4o,700\n")
    (gap,) = json.loads(books(*words, **settings).stdout)
    assert [row["id"] for row in gap["rows"]] == [going, first, second, failed]


def test_days_whose_rows_are_gone_are_not_compared_with_days_that_begin_elsewhere(books, export):
    today = int(time.time() * 1000)
    books.add(input=5, at=today)
    day = datetime.fromtimestamp(today / 1000, UTC).date()
    export(f"date,model,input_tokens\n{day},gpt-4o,5\n{day - timedelta(days=3)},gpt-4o,9\n")
    settings = {"TOKENS_DAY_STARTS": "16:00", "TOKENS_LEDGER_DAYS": "3"}
    done = books("reconcile", "usage.csv", "--platform", "chatgpt", "--json", **settings)

    assert done.returncode == 0 and len(json.loads(done.stdout)) == 1
    assert f"days before {day - timedelta(days=2)} cannot be compared" in done.stderr
    export(f"date,model,input_tokens\n{day - timedelta(days=3)},gpt-4o,9\n")
    done = books("reconcile", "usage.csv", "--platform", "chatgpt", **settings)
    assert (done.returncode, done.stdout) == (1, "")


def test_one_key_of_several_can_be_looked_at(books, export):
    books.add(input=100)
    books.add(input=900, credential="key-2")
    export("date,model,input_tokens\n2026-11-29,gpt-4o,100\n")

    assert reconciled(books, code=1).returncode == 1
    assert reconciled(books, "--credential", "key-1", code=0).returncode == 0


def test_a_key_that_the_ledger_has_never_seen_is_a_complaint(books, export):
    books.add(input=100)
    export("date,model,input_tokens\n2026-11-29,gpt-4o,100\n")
    done = reconciled(books, "--credential", "nix", code=1)

    assert (done.stdout, done.stderr) == (
        "",
        "tokens: the ledger has never seen a credential nix\n",
    )


@pytest.mark.parametrize("word", ["0", "1000001", "9" * 20, "1_0"])
def test_a_number_of_rows_has_its_bounds(books, export, word):
    export("date,model,input_tokens\n2026-11-29,gpt-4o,900\n")
    done = reconciled(books, "--rows", "--most", word, code=2)

    assert done.stdout == "" and "should be a whole number from 1 to 1000000" in done.stderr


def test_an_organisations_costs_are_summed_by_model(books, export):
    """As OpenAI lists them, by line item."""
    books.add(input=100, charge=100_000)
    books.add(input=50, charge=150_000)
    lines = {"gpt-4o-2024-08-06, input": 0.2, "gpt-4o-2024-08-06, output": "0.05"}
    results = [
        {
            "object": "organization.costs.result",
            "amount": {"value": value, "currency": "usd"},
            "line_item": line,
            "project_id": None,
        }
        for line, value in lines.items()
    ]
    start = NOON // 86_400_000 * 86_400
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86_400}
    export(json.dumps({"object": "page", "data": [bucket | {"results": results}]}))
    done = reconciled(books, "--json", code=0)

    assert [(one["model"], one["of"], one["vendor"]) for one in json.loads(done.stdout)] == [
        ("gpt-4o", "cost", "0.25")
    ]


def test_one_account_may_serve_several_platforms(books, export):
    books.add(input=100)
    books.add(platform="codex", input=50)
    export("date,model,input_tokens\n2026-11-29,gpt-4o,150\n")
    done = books("reconcile", "usage.csv", "--platform", "chatgpt, codex", "--csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))

    assert done.returncode == 0
    assert (row["vendor"], row["ledger"], row["percent"], row["gap"]) == (
        "150",
        "150",
        "0.0",
        "False",
    )


def test_names_in_a_file_are_no_formulas(books, export):
    """R-131."""
    export('date,model,requests\n2026-11-29,"=HYPERLINK(1)",1\n')
    (row,) = csv.DictReader(io.StringIO(reconciled(books, "--csv", code=1).stdout))

    assert row["model"] == "'=HYPERLINK(1)"


def test_rows_that_say_no_day_are_spoken_of(books, export):
    books.add(input=100)
    export("date,model,requests\n2026-11-29,gpt-4o,1\nTotal,,1\n")

    assert "1 rows without a day or a model were passed over" in reconciled(books, code=0).stderr


@pytest.mark.parametrize(
    "words, text, says",
    [
        (["--platform", "nonsense"], "date,model,cost\n", "there is no platform nonsense"),
        (["--platform", ","], "date,model,cost\n", "there is no platform"),
        (["--platform", "grok"], "", "there is no day and no model"),
        (["--platform", "grok"], "date,model,cost\n", "there is no day and no model"),
        (["--platform", "grok"], "model,cost\nm,1\n", "say --day-column"),
        (["--platform", "grok"], "date,model,cost\n2026-11-29,m,x\n", "row 1: 'x' is no number"),
        (
            ["--platform", "grok"],
            "date,model,cost\n9999-01-01,m,1\n",
            "row 1: '9999-01-01' is a day",
        ),
        (["--platform", "grok", "--tolerance", "nan"], "", "number of percent"),
        (["--platform", "grok"], b"\xff\xfe\x00", "no text in UTF-8"),
    ],
)
def test_what_cannot_be_read_is_a_complaint(called, tmp_path, words, text, says):
    (tmp_path / "usage.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = called("reconcile", "usage.csv", *words)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("tokens: ") and says in done.stderr
    assert not (tmp_path / "tokens.db").exists()


def test_without_a_file_or_a_ledger_there_is_a_complaint(called, export):
    export("date,model,requests\n2026-11-29,gpt-4o,1\n")

    assert "cannot read none.csv" in called("reconcile", "none.csv", "--platform", "grok").stderr
    assert "no ledger yet" in called("reconcile", "usage.csv", "--platform", "grok").stderr
