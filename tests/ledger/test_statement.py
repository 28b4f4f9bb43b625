"""What vendors export of usage: which columns say what, which day that was, and files of any size."""

from __future__ import annotations

import io
import json
import tracemalloc
from decimal import Decimal

import pytest

from app.ledger.statement import Difference, Statement, day, found
from app.ledger.statement_rows import NotReadable, rows
from app.platforms import PLATFORMS

DAY = 20_786  # 2026-11-29


def read(text: str) -> list[dict]:
    return list(rows(io.StringIO(text)))


def summed(text: str, **more) -> Statement:
    statement = Statement(**more)
    for _ in statement.add(rows(io.StringIO(text))):
        pass
    return statement


@pytest.mark.parametrize(
    "words",
    [
        "2026-11-29",
        "2026-11-29T23:59:59Z",
        "2026-11-30T00:30:00+01:00",
        "2026-11-29 12:00:00 UTC",
        "2026-11-29 12:00:00.123456+00:00",
        "2026/11/29",
        "20261129",
        str(DAY * 86400 + 5),
        f"{DAY * 86400 + 5}.75",
        str((DAY + 1) * 86_400_000 - 1),
    ],
)
def test_a_day_is_read_however_it_is_written(words):
    assert day(words) == DAY


@pytest.mark.parametrize("words", ["29.11.2026", "11/29/2026", "yesterday", "2026-13-01"])
def test_what_could_be_two_days_is_none(words):
    with pytest.raises(ValueError, match="is no day"):
        day(words)


def test_pages_of_buckets_of_results_are_rows():
    """As an organisation's usage is listed: the day stands around the rows."""
    page = {
        "object": "page",
        "data": [
            {
                "object": "bucket",
                "start_time": DAY * 86400,
                "results": [
                    {"model": "gpt-4o-2024-08-06", "input_tokens": 10, "num_model_requests": 2},
                    {"model": "gpt-4o", "input_tokens": 5, "num_model_requests": 1},
                ],
            },
            {"object": "bucket", "start_time": (DAY + 1) * 86400, "results": []},
        ],
        "has_more": False,
    }
    statement = summed(json.dumps(page), plain=PLATFORMS["chatgpt"].catalogue.names.plain)

    assert list(statement.sums) == [(DAY, "gpt-4o")]
    assert statement.measures == ("calls", "input")
    assert statement.found((DAY, "gpt-4o"), "calls") == 3
    assert statement.found((DAY, "gpt-4o"), "input") == 15
    assert statement.passed_over == 0


def test_what_came_from_a_cache_is_input_too_where_it_is_counted_apart():
    bucket = {
        "results": [
            {
                "model": "claude-x",
                "uncached_input_tokens": 100,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 3},
                "cache_read_input_tokens": 4000,
                "output_tokens": 7,
            }
        ],
        "starting_at": "2026-11-29T00:00:00Z",
    }
    statement = summed(json.dumps({"data": [bucket]}))

    assert statement.found((DAY, "claude-x"), "input") == 4123
    assert statement.found((DAY, "claude-x"), "output") == 7


def test_where_input_counts_the_cache_already_it_is_not_counted_twice():
    line = {"date": "2026-11-29", "model": "m", "input_tokens": 100, "input_cached_tokens": 80}

    assert summed(json.dumps([line])).found((DAY, "m"), "input") == 100


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_is_read_with_whatever_stands_between_the_cells(mark):
    lines = [
        ["usage_date_utc", "Model Version", "Output Tokens", "Cost (USD)"],
        ["2026-11-29", "m", "1000", "$0.5"],
        ["2026-11-29", "m", "7", ""],
        [],
    ]
    statement = summed(
        "\r\n".join(mark.join(line) for line in lines), chosen={"cost": "cost (usd)"}
    )

    assert statement.found((DAY, "m"), "output") == 1007
    assert statement.found((DAY, "m"), "cost") == 500_000


def test_numbers_with_commas_are_numbers():
    assert summed('day,model,requests\n2026-11-29,m,"1,234"\n').found((DAY, "m"), "calls") == 1234


def test_small_sums_of_money_are_rounded_once():
    """A thousand times a ten-millionth of a dollar are a hundred millionths."""
    text = "day,model,cost\n" + "2026-11-29,m,0.0000001\n" * 1000

    assert summed(text).found((DAY, "m"), "cost") == 100
    assert (
        summed("day,model,amount\n2026-11-29,m,12.5\n", cents=True).found((DAY, "m"), "cost")
        == 125_000
    )


def test_lines_of_json_are_rows():
    line = json.dumps({"date": "2026-11-29", "model": "m", "requests": 1})

    assert summed(f"{line}\n{line}\n").found((DAY, "m"), "calls") == 2


def test_all_tokens_together_count_where_nothing_else_does():
    assert found(["day", "model", "total_tokens"], {})["tokens"] == ("total_tokens",)
    assert "tokens" not in found(["day", "model", "total_tokens", "input_tokens"], {})


def test_a_column_that_is_named_comes_before_what_is_usual():
    text = "date,When it was,model,requests\n2026-01-01,2026-11-29,m,1\n"

    assert list(summed(text, chosen={"day": "when it WAS"}).sums) == [(DAY, "m")]


@pytest.mark.parametrize(
    "text, says",
    [
        ("a,b\n1,2\n", "say --day-column NAME, of a, b"),
        ("date,b\n2026-11-29,2\n", "say --model-column NAME"),
        ("date,model\n2026-11-29,m\n", "no column is known to count anything"),
        ("date,model,requests\n2026-11-29,m,many\n", "row 1: 'many' is no number, in requests"),
        ("date,model,requests\n2026-11-29,m,-1\n", "row 1: '-1' is less than nothing, in requests"),
        ("date,model,cost\n0001-01-01,m,1\n", "row 1: '0001-01-01' is a day of which nobody"),
        ("date,model,cost\n" + "9" * 400 + ",m,1\n", "is no day"),
        ("date,model,cost,currency\n2026-11-29,m,1,eur\n", "row 1: 'eur' is not dollars"),
        ("date,model,requests\n2026-11-29,m,NaN\n", "no number that can be"),
        ("date,model,requests\n2026-11-29,m,1e999\n", "no number that can be"),
        ("date,model,requests\n2026-11-29,m,1\nsoon,m,1\n", "row 2: 'soon' is no day"),
        ('[{"date": "2026-11-29", "model": "m", "requests": 1}', "does not end"),
        ('{"date": "2026-11-29"', "does not end"),
        ('[1, {"date": nonsense}]', "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"a":' * 5000, "no JSON|nested too deeply"),
        ("[" + "9" * 5000 + "]", "no JSON"),
    ],
)
def test_what_makes_no_sense_is_said_with_its_place(text, says):
    with pytest.raises(NotReadable, match=says):
        summed(text)


def test_money_may_be_given_back():
    statement = summed("date,model,cost\n2026-11-29,m,3\n2026-11-29,m,-1\n")

    assert statement.found((DAY, "m"), "cost") == 2_000_000


def test_rows_without_a_day_or_a_model_are_counted():
    """A line with the total at the end, or results that nobody grouped by model."""
    statement = summed("date,model,requests\n2026-11-29,m,1\nTotal,,1\n,m,1\n")

    assert (statement.passed_over, len(statement.sums)) == (2, 1)


def test_a_file_that_is_larger_than_memory_is_read_in_pieces():
    """Thirty megabytes of one page, and of lines: a few are held at a time."""
    entry = {"model": "m", "num_model_requests": 1, "note": "x" * 200}
    for made in (_page(entry, 60_000), _lines(110_000)):
        text = io.TextIOWrapper(made, encoding="utf-8", newline="")
        tracemalloc.start()
        statement = Statement()
        count = 0
        for count in statement.add(rows(text)):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert statement.found((DAY, "m"), "calls") == count >= 60_000
        assert most < 12 << 20


class _Made(io.RawIOBase):
    """A file that is made while it is read."""

    def __init__(self, pieces) -> None:
        super().__init__()
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, into) -> int:
        if not self._rest:
            self._rest = next(self._pieces, b"")
        size = min(len(into), len(self._rest))
        into[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _page(entry: dict, number: int) -> io.BufferedReader:
    def pieces():
        head = {"object": "page", "start_time": DAY * 86400}
        yield json.dumps(head)[:-1].encode() + b', "data": [\n'
        told = json.dumps(entry).encode()
        for at in range(number):
            yield (b",\n" if at else b"") + told
        yield b'], "has_more": false}\n'

    return io.BufferedReader(_Made(pieces()))


def _lines(number: int) -> io.BufferedReader:
    def pieces():
        yield b"date,model,requests,note\n"
        for _ in range(number):
            yield b"2026-11-29,m,1," + b"x" * 250 + b"\n"

    return io.BufferedReader(_Made(pieces()))


def test_there_is_an_end_of_models(monkeypatch):
    monkeypatch.setattr("app.ledger.statement.MOST_SUMS", 10)
    text = "date,model,requests\n" + "".join(f"2026-11-29,m{at},1\n" for at in range(11))

    with pytest.raises(NotReadable, match="more than 10 days and models"):
        summed(text)


@pytest.mark.parametrize(
    "vendor, ledger, percent, is_gap",
    [
        (100, 100, 0.0, False),
        (100, 101, 1.0, False),
        (100, 102, 2.0, True),
        (100, 98, -2.0, True),
        (0, 0, None, False),
        (0, 1, None, True),
        (10**15, 10**15 + 1, 0.0, False),
    ],
)
def test_a_gap_is_more_than_the_tolerance_of_what_the_vendor_says(vendor, ledger, percent, is_gap):
    one = Difference(DAY, "m", "calls", vendor, ledger)

    assert one.percent == percent and one.is_gap(1.0) is is_gap


@pytest.mark.parametrize(
    "platform, name, plain",
    [
        ("chatgpt", "gpt-4o-2024-08-06", "gpt-4o"),
        ("chatgpt", "gpt-4o", "gpt-4o"),
        ("chatgpt", "gpt-5-5", "gpt-5.5"),
        ("chatgpt", "gpt-5-5-thinking", "gpt-5.5"),
        ("chatgpt", "gpt-9-new-2027-01-01", "gpt-9-new"),
        ("chatgpt", "gpt-4-1106-preview", "gpt-4"),
        ("chatgpt", "2024-08-06", "2024-08-06"),
        ("chatgpt", "-2024-08-06", "-2024-08-06"),
        ("gemini", "models/gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("chatgpt", "", ""),
    ],
)
def test_editions_of_a_model_are_the_model(platform, name, plain):
    assert PLATFORMS[platform].catalogue.names.plain(name) == plain


def test_numbers_stay_exact():
    statement = summed('[{"date": "2026-11-29", "model": "m", "cost": 0.1}]')

    assert statement.sums[DAY, "m"]["cost"] == Decimal("0.1")
