"""`tokens reconcile`: a vendor's own account of what was used, held against the ledger."""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.cli.database import looked_at
from app.cli.ledger_rows import day_said, told_row, write_csv
from app.cli.numbers import number
from app.cli.progress import Progress
from app.cli.words import Complaint, file_said, platforms, said, settings, show
from app.config import Settings, day_starts
from app.days import DAY
from app.ledger.statement import MEASURES, NEEDED, Difference, Statement, differences
from app.ledger.statement_rows import NotReadable, rows
from app.money import dollars
from app.storage.ledger_reading import LedgerReading
from app.storage.tasks import BROUGHT
from app.upstream.names import Names

MOST = 1_000_000  # rows of a gap
Report = Callable[[Sequence[str], int, int, Mapping[str, str]], list[dict[str, Any]]]
COMPARED = ("day", "model", "of", "vendor", "ledger", "difference", "percent", "gap")
SHOWN = """opened_at id state outcome estimated attempts platform model credential input output
charge""".split()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a usage export, CSV or JSON")
    parser.add_argument(
        "--platform", required=True, metavar="NAMES", help="whose it is, several with commas"
    )
    parser.add_argument("--credential", default="", metavar="NAME", help="only this credential")
    parser.add_argument(
        "--tolerance", type=float, default=1.0, metavar="PERCENT", help="what is no gap yet: 1"
    )
    parser.add_argument("--rows", action="store_true", help="list the rows behind each gap")
    parser.add_argument(
        "--most", type=number(1, MOST), default=20, metavar="N", help="rows of a gap: 20"
    )
    for what in (*NEEDED, *MEASURES):
        about = f"the column of the {what}" if what in NEEDED else f"the column that counts {what}"
        parser.add_argument(f"--{what}-column", default="", metavar="NAME", help=about)
    parser.add_argument("--cents", action="store_true", help="costs are in cents, not in dollars")
    parser.add_argument("--csv", action="store_true", help="print CSV; with --rows, the rows alone")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.epilog = "Ends with 1 where something differs by more than the tolerance."


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    if not math.isfinite(options.tolerance):
        raise Complaint("the tolerance should be a number of percent")
    names = _names(chosen, options.platform)
    statement = _read(Path(options.file), options, list(names.values()))
    with looked_at(chosen) as database:
        if database is None:
            raise Complaint("there is no ledger yet: nothing has been served")
        reading = LedgerReading(database)
        if options.credential and not reading.knows("credential", options.credential):
            raise Complaint(f"the ledger has never seen a credential {said(options.credential)}")
        report: Report = reading.report
        if day_starts(chosen.day_starts):
            report = reading.report_utc
            _leave_out(statement, chosen.ledger_days)
        found = _Comparison(reading, report, statement, names, options)
        found.show()
    return int(bool(found.gaps))


def _names(chosen: Settings, words: str) -> dict[str, Names]:
    known = platforms(chosen)
    wanted = [name.strip() for name in words.split(",") if name.strip()]
    if wrong := [name for name in wanted if name not in known] or ([] if wanted else [words]):
        raise Complaint(f"there is no platform {said(wrong[0])}; there are {', '.join(known)}")
    return {name: known[name].catalogue.names for name in wanted}


def _plain(name: str, of: Sequence[Names]) -> str:
    for names in of:
        name = names.plain(name)
    return name


def _read(file: Path, options: argparse.Namespace, names: Sequence[Names]) -> Statement:
    given = {what: getattr(options, f"{what}_column") for what in (*NEEDED, *MEASURES)}
    statement = Statement(
        {what: name for what, name in given.items() if name},
        lambda name: _plain(name, names),
        options.cents,
        int(time.time() // DAY) + 1,  # the vendor's clock may be ahead
    )
    said_of = file_said(str(file))
    try:
        with file.open("rb") as raw, Progress(file.stat().st_size) as progress:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            for count in statement.add(rows(text)):
                if count % 5000 == 0:
                    progress.at(raw.tell())
    except OSError as error:
        raise Complaint(f"cannot read {said_of}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Complaint(f"{said_of} is no text in UTF-8") from error
    except NotReadable as error:
        raise Complaint(f"{said_of}: {error}") from error
    if not statement.sums:
        raise Complaint(f"there is no day and no model in {said_of}")
    return statement


def _leave_out(statement: Statement, kept_days: int) -> None:
    """Days whose rows are not all kept any more. What the ledger knows of them are the operator's days,
    which are not the vendor's.
    """
    first = int(time.time() // DAY) - kept_days + 1 if kept_days else 0
    gone = {day for day, _ in statement.sums if day < first}
    if not gone:
        return
    statement.sums = {key: sums for key, sums in statement.sums.items() if key[0] not in gone}
    words = (
        f"days before {day_said(first)} cannot be compared: your days do not begin with the vendor's "
        "(TOKENS_DAY_STARTS), and rows are not kept for longer (TOKENS_LEDGER_DAYS)"
    )
    if not statement.sums:
        raise Complaint(words)
    print(f"{words}; {len(gone)} are left out", file=sys.stderr)


class _Comparison:
    """Both sides, and how far they are apart."""

    def __init__(
        self,
        reading: LedgerReading,
        report: Report,
        statement: Statement,
        names: dict[str, Names],
        options: argparse.Namespace,
    ) -> None:
        self._reading = reading
        self._report = report
        self._statement = statement
        self._names = names
        self._options = options
        self._called: dict[str, set[str]] = defaultdict(set)  # what the ledger calls each model
        self._all = list(differences(statement, self._ours()))
        self.gaps = [one for one in self._all if one.is_gap(options.tolerance)]

    def _ours(self) -> dict[tuple[int, str], dict[str, int]]:
        """What the operator's own credentials were charged for. What came to nothing is no part of it, and
        neither is what a caller paid with a token of his own."""
        first, last = self._span
        sums: dict[tuple[int, str], dict[str, int]] = {}
        for platform in self._names:
            only = {"platform": platform} | self._only()
            by = ("day", "model", "credential")
            for row in self._report(by, first, last, only):
                if row["credential"] == BROUGHT:
                    continue
                model = _plain(row["model"], list(self._names.values()))
                self._called[model].add(row["model"])
                if row["credential"] == "":
                    continue
                into = sums.setdefault((row["day"], model), dict.fromkeys(MEASURES, 0))
                into["calls"] += row["calls"] - row["failed"]
                into["input"] += row["input"]
                into["output"] += row["output"]
                into["tokens"] += row["input"] + row["output"]
                into["cost"] += row["charge"]
        return sums

    @property
    def _span(self) -> tuple[int, int]:
        found = [day for day, _ in self._statement.sums]
        return min(found), max(found)

    def _only(self) -> dict[str, str]:
        return {"credential": self._options.credential} if self._options.credential else {}

    def show(self) -> None:
        options = self._options
        if options.json:
            self._show_json()
        elif options.csv:
            if options.rows:
                write_csv(self._behind_all(), ("day", *SHOWN), sys.stdout)
            else:
                write_csv(map(self._told, self._all), COMPARED, sys.stdout)
        else:
            show([_marked(self._told(one)) for one in self._all], as_json=False)
            if options.rows and self.gaps:
                print()
                show(list(self._behind_all()), as_json=False, if_none="no rows are kept of these")
        self._sum_up()

    def _show_json(self) -> None:
        found = []
        for one in self._all:
            told = self._told(one)
            if self._options.rows and told["gap"]:
                told["rows"] = list(map(told_row, self._behind(one.day, one.model)))
            found.append(told)
        print(json.dumps(found, indent=2, ensure_ascii=False))

    def _sum_up(self) -> None:
        columns = self._statement.columns
        read = ", ".join(f"{what} from {' + '.join(names)}" for what, names in columns.items())
        print(f"read: {read}", file=sys.stderr)
        if self._statement.passed_over:
            passed = self._statement.passed_over
            print(f"{passed} rows without a day or a model were passed over", file=sys.stderr)
        percent = f"{self._options.tolerance:g} %"
        print(
            f"{len(self.gaps)} of {len(self._all)} differ by more than {percent}", file=sys.stderr
        )

    def _told(self, one: Difference) -> dict[str, Any]:
        count = dollars if one.of == "cost" else int
        return {
            "day": day_said(one.day),
            "model": one.model,
            "of": one.of,
            "vendor": count(one.vendor),
            "ledger": count(one.ledger),
            "difference": count(one.by),
            "percent": one.percent,
            "gap": one.is_gap(self._options.tolerance),
        }

    def _behind_all(self) -> Iterator[dict[str, Any]]:
        """The rows behind the gaps, those of a day and model together."""
        for day, model in dict.fromkeys((one.day, one.model) for one in self.gaps):
            for row in self._behind(day, model):
                told = told_row(row)
                yield {"day": day_said(day)} | {name: told[name] for name in SHOWN}

    def _behind(self, day: int, model: str) -> Iterable[dict[str, Any]]:
        return self._reading.behind(
            day,
            list(self._names),
            sorted(self._called[model]),
            self._options.most,
            self._options.credential,
        )


def _marked(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"gap": "gap" if told["gap"] else ""}
