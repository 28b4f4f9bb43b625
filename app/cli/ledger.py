"""`tokens ledger`: what was used and what it cost, by whom, of what and when."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TextIO

from app.cli.closings import Closings
from app.cli.database import looked_at
from app.cli.ledger_rows import day_said, told, told_row, write_csv
from app.cli.new_file import check, written
from app.cli.numbers import number
from app.cli.progress import Progress
from app.cli.words import Complaint, moment, printable, said, settings, show
from app.config import day_starts
from app.days import DAY, FIRST
from app.money import dollars
from app.storage.ledger import SUMS
from app.storage.ledger_reading import COLUMNS, DIMENSIONS, LedgerReading

FILTERS = ("licence", "platform", "model", "credential")
TAILED = ("licence", "platform", "model", "state", "outcome", "input", "output")
TAIL_SECONDS = 1.0
MOST = 1_000_000  # rows that are shown at once
REPORTED = 30  # days, where the first is not said
LAST = (date.max - FIRST).days  # no day is later
STEP = 500  # rows between two looks of the progress bar
VERBS = {
    "report": "add up what was used, by licence, platform, model, credential or day",
    "export": "write every row to a file, as CSV or JSON",
    "tail": "show the newest rows, and with --follow those to come",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    made = {
        name: verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        for name, about in VERBS.items()
    }
    report, export, tail = made["report"], made["export"], made["tail"]
    report.add_argument(
        "--by",
        default="platform,model",
        metavar="NAMES",
        help=f"comma-separated: {', '.join(DIMENSIONS)}; `platform,model` if left out",
    )
    report.add_argument("--csv", action="store_true", help="print CSV")
    export.add_argument("file", metavar="FILE", help="where to; `-` is standard output")
    export.add_argument(
        "--format", choices=("csv", "json"), default="", help="by the file's ending, or CSV"
    )
    export.add_argument("--force", action="store_true", help="overwrite the file if it is there")
    tail.add_argument(
        "--number", type=number(1, MOST), default=20, metavar="N", help="how many: 20"
    )
    tail.add_argument("--follow", action="store_true", help="go on with what is closed from now on")
    for verb in (report, export):
        usual = f"{REPORTED} days" if verb is report else "from the first row on"
        verb.add_argument(
            "--since",
            default="",
            metavar="DAY",
            help=f"first day, as 2026-11-29; {usual} if left out",
        )
        usual = "today" if verb is report else "to the last row"
        verb.add_argument(
            "--until", default="", metavar="DAY", help=f"last day; {usual} if left out"
        )
    for verb in made.values():
        for name in FILTERS:
            verb.add_argument(f"--{name}", default="", metavar="NAME", help=f"only this {name}")
    for verb in (report, tail):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    options.starts = day_starts(chosen.day_starts)
    with looked_at(chosen) as database:
        if database is None:
            return _nothing(options)
        reading = LedgerReading(database)
        match options.verb:
            case "report":
                _report(reading, options)
            case "export":
                _export(reading, options)
            case _:
                _tail(reading, options)
    return 0


def _nothing(options: argparse.Namespace) -> int:
    """There is no database. Who wants a file, or to be told of what comes, does not get that."""
    words = "there is no ledger yet: nothing has been served"
    if options.verb == "export" or options.verb == "tail" and options.follow:
        raise Complaint(words)
    print(words, file=sys.stderr)
    if options.json:
        show([], as_json=True)
    return 0


def _only(options: argparse.Namespace) -> dict[str, str]:
    return {name: value for name in FILTERS if (value := getattr(options, name))}


# ---------------------------------------------------------------- report


def _report(reading: LedgerReading, options: argparse.Namespace) -> None:
    by = list(dict.fromkeys(name.strip() for name in options.by.split(",") if name.strip()))
    if wrong := [name for name in by if name not in DIMENSIONS]:
        raise Complaint(
            f"there is no {said(wrong[0])} to report by; there are {', '.join(DIMENSIONS)}"
        )
    first, last = _days(options)
    rows = [told(row) for row in reading.report(by, first, last, _only(options))]
    if not rows:
        _say_unknown(reading, options)
    if options.csv:
        write_csv(rows, [*by, *SUMS], sys.stdout)
        return
    if rows and by and not options.json:
        (total,) = reading.report((), first, last, _only(options))
        rows.append(dict.fromkeys(by, "") | {by[0]: "all"} | told(total))
    if not options.json:
        rows = [_brief(row) for row in rows]
    span = f"from {day_said(first)} to {day_said(last)}"
    show(rows, as_json=options.json, if_none=f"nothing was used {span}")
    if rows and not options.json:
        print(span, file=sys.stderr)


def _days(options: argparse.Namespace) -> tuple[int, int]:
    """The first and the last day of a report, by number: the last thirty if nothing is said. Of days to
    come there is nothing to report, so that they are none of the thirty.
    """
    today = int((time.time() - options.starts) // DAY)
    last = _day(options.until) if options.until else today
    first = _day(options.since) if options.since else min(last, today) - REPORTED + 1
    return _in_order(first, last)


def _in_order(first: int, last: int) -> tuple[int, int]:
    if first > last:
        raise Complaint("the first day is after the last")
    return first, last


def _say_unknown(reading: LedgerReading, options: argparse.Namespace) -> None:
    """Nothing was found: which of the names that were looked for the ledger has never had in it. One of a
    licence that is gone it may have, and one of a licence that was never used it has not.
    """
    for name, value in _only(options).items():
        if not reading.knows(name, value):
            print(f"the ledger has never seen a {name} {said(value)}", file=sys.stderr)


def _day(words: str) -> int:
    try:
        return (date.fromisoformat(words) - FIRST).days
    except ValueError as error:
        raise Complaint(f"{said(words)} is no day; write it as 2026-11-29") from error


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    """What fits a screen: without what is nothing most of the time."""
    hidden = ("estimated", "cache_write", "reasoning")
    return {name: value for name, value in row.items() if name not in hidden}


# ---------------------------------------------------------------- export


def _export(reading: LedgerReading, options: argparse.Namespace) -> None:
    first = _day(options.since) if options.since else 0
    last = _day(options.until) if options.until else LAST
    _in_order(first, last)
    since, until = ((day * DAY + options.starts) * 1000 for day in (first, last + 1))
    only = _only(options)
    total = reading.count(since, until, only)
    with _opened(options) as file, Progress(total) as progress:
        rows = _Counted(map(told_row, reading.rows(since, until, only)), progress, total)
        if (options.format or options.file.rpartition(".")[2]) == "json":
            _write_json(rows, file)
        else:
            write_csv(rows, [*COLUMNS, "total_ms"], file)
    print(f"{rows.number} rows", file=sys.stderr)
    if not rows.number:
        _say_unknown(reading, options)


@contextmanager
def _opened(options: argparse.Namespace) -> Iterator[TextIO]:
    if options.file == "-":
        yield sys.stdout
        return
    file = Path(options.file)
    check(file, force=options.force)
    with written(file, force=options.force) as making:
        with making.open("w", encoding="utf-8", newline="") as opened:
            yield opened


class _Counted:
    """Rows, and how many they are. There may be more or fewer of them by now than there were."""

    def __init__(self, rows: Iterable[dict[str, Any]], progress: Progress, of: int) -> None:
        self._rows = rows
        self._progress = progress
        self._of = of
        self.number = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            self.number += 1
            if self.number % STEP == 0:
                self._progress.at(min(self.number, self._of))
            yield row
        self._progress.at(self._of)


def _write_json(rows: Iterable[dict[str, Any]], file: TextIO) -> None:
    """An array, with a line for each row."""
    between = "[\n"
    for row in rows:
        file.write(between + json.dumps(row, ensure_ascii=False))
        between = ",\n"
    file.write("[]\n" if between == "[\n" else "\n]\n")


# ---------------------------------------------------------------- tail


def _tail(reading: LedgerReading, options: argparse.Namespace) -> None:
    only = _only(options)
    if not options.follow:
        rows = reading.newest(options.number, only)
        if not rows:
            _say_unknown(reading, options)
        shown = [told_row(row) if options.json else _line(row) for row in rows]
        return show(
            shown, as_json=options.json, if_none="no such row" if only else "the ledger is empty"
        )
    try:
        _follow(reading, options, only)
    except KeyboardInterrupt:
        print(file=sys.stderr)


def _follow(reading: LedgerReading, options: argparse.Namespace, only: dict[str, str]) -> None:
    closings = Closings(reading, only)
    closings.look(_now())
    rows = reading.newest(options.number, only)
    closings.know(rows, _now())
    _say(rows, options)
    while True:
        time.sleep(TAIL_SECONDS)
        _say(closings.look(_now()), options)


def _now() -> int:
    return int(time.time() * 1000)


def _say(rows: Iterable[dict[str, Any]], options: argparse.Namespace) -> None:
    for row in rows:
        if options.json:
            print(json.dumps(told_row(row), ensure_ascii=False), flush=True)
        else:
            print("  ".join(printable(str(cell)) for cell in _line(row).values()), flush=True)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    closed = row["closed_at"]
    return {
        "opened": moment(row["opened_at"] // 1000),
        "request": row["id"],
        **{name: row[name] for name in TAILED},
        "charge": dollars(row["charge"]) if _is_priced(row) else "-",
        "ms": closed - row["opened_at"] if closed else None,
    }


def _is_priced(row: dict[str, Any]) -> bool:
    """Whether its charge is a sum, and not only nothing because nobody knows the price. What callers pay
    for themselves costs nothing whatever its price.
    """
    return bool(row["price"]) or row["mode"] != "licence"
