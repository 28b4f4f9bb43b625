"""`tokens ledger`: what was used and what it cost, by whom, of what and when."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any, TextIO

from app.cli.database import looked_at
from app.cli.ledger_rows import FIRST, told, told_row, write_csv
from app.cli.progress import Progress
from app.cli.words import Complaint, file_said, moment, said, settings, show
from app.money import dollars
from app.storage.ledger_reading import DIMENSIONS, LedgerReading

DAY = 86400
FILTERS = ("licence", "platform", "model", "credential")
TAILED = ("licence", "platform", "model", "state", "outcome", "input", "output")
TAIL_SECONDS = 1.0
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
    tail.add_argument("--number", type=int, default=20, metavar="N", help="how many: 20")
    tail.add_argument("--follow", action="store_true", help="go on with what is closed from now on")
    for verb in (report, export):
        verb.add_argument("--since", default="", metavar="DAY", help="first day, as 2026-11-29")
        verb.add_argument("--until", default="", metavar="DAY", help="last day; today if left out")
    for verb in made.values():
        for name in FILTERS:
            verb.add_argument(f"--{name}", default="", metavar="NAME", help=f"only this {name}")
    for verb in (report, tail):
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    with looked_at(chosen) as database:
        if database is None:
            print("there is no ledger yet: nothing has been served", file=sys.stderr)
            return 0
        reading = LedgerReading(database)
        match options.verb:
            case "report":
                _report(reading, options)
            case "export":
                _export(reading, options)
            case _:
                _tail(reading, options)
    return 0


def _only(options: argparse.Namespace) -> dict[str, str]:
    return {name: value for name in FILTERS if (value := getattr(options, name))}


# ---------------------------------------------------------------- report


def _report(reading: LedgerReading, options: argparse.Namespace) -> None:
    by = [name.strip() for name in options.by.split(",") if name.strip()]
    if wrong := [name for name in by if name not in DIMENSIONS]:
        raise Complaint(
            f"there is no {said(wrong[0])} to report by; there are {', '.join(DIMENSIONS)}"
        )
    first, last = _days(options)
    rows = [told(row) for row in reading.report(by, first, last, _only(options))]
    if options.csv:
        write_csv(rows, sys.stdout)
        return
    if rows and by and not options.json:
        (total,) = reading.report((), first, last, _only(options))
        rows.append(dict.fromkeys(by, "") | {by[0]: "all"} | told(total))
    if not options.json:
        rows = [_brief(row) for row in rows]
    show(rows, as_json=options.json, if_none="nothing was used in these days")


def _days(options: argparse.Namespace) -> tuple[int, int]:
    """The first and the last day, by number: the last thirty if nothing is said."""
    last = _day(options.until) if options.until else int(time.time() // DAY)
    first = _day(options.since) if options.since else last - 29
    if first > last:
        raise Complaint("the first day is after the last")
    return first, last


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
    first, last = _days(options)
    since, until, only = first * DAY * 1000, (last + 1) * DAY * 1000, _only(options)
    name = options.format or ("json" if options.file.endswith(".json") else "csv")
    write: Callable[[Iterable[dict[str, Any]], TextIO], None]
    write = _write_json if name == "json" else write_csv
    total = reading.count(since, until, only)
    with _opened(options.file) as file, Progress(total) as progress:
        write(_counted(map(told_row, reading.rows(since, until, only)), progress), file)
    print(f"{total} rows", file=sys.stderr)


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdout
        return
    try:
        with open(name, "w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise Complaint(f"cannot write {file_said(name)}: {error.strerror}") from error


def _counted(rows: Iterable[dict[str, Any]], progress: Progress) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(rows, 1):
        if number % 500 == 0:
            progress.at(number)
        yield row


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
    rows = reading.newest(max(options.number, 1), only)
    if not options.follow:
        shown = [told_row(row) if options.json else _line(row) for row in rows]
        show(shown, as_json=options.json, if_none="the ledger is empty")
        return
    seen = {row["id"] for row in rows if row["closed_at"]}
    since = int(time.time() * 1000)
    _say(rows, options)
    try:
        while True:
            time.sleep(TAIL_SECONDS)
            found = [row for row in reading.closed_since(since, only) if row["id"] not in seen]
            seen.update(row["id"] for row in found)
            since = max([since, *(row["closed_at"] for row in found)])
            _say(found, options)
    except KeyboardInterrupt:
        print(file=sys.stderr)


def _say(rows: Iterable[dict[str, Any]], options: argparse.Namespace) -> None:
    for row in rows:
        if options.json:
            print(json.dumps(told_row(row), ensure_ascii=False), flush=True)
        else:
            print("  ".join(str(cell) for cell in _line(row).values()), flush=True)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    closed = row["closed_at"]
    return {
        "opened": moment(row["opened_at"] // 1000),
        "request": row["id"],
        **{name: row[name] for name in TAILED},
        "charge": dollars(row["charge"]),
        "ms": closed - row["opened_at"] if closed else None,
    }
