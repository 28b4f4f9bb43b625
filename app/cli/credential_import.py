"""`tokens credential import`: many tokens at once, from CSV with a head or from JSON lines.

Each line stands for itself: one that is wrong is reported, and the others are kept.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from app.cli.credential_fields import read_fields, read_proxy, read_token
from app.cli.credential_lines import Given, read_lines
from app.cli.keeping import Keeping
from app.cli.progress import Progress
from app.cli.words import Complaint, file_said, show
from app.config import Settings
from app.credential import fingerprint
from app.platforms import PLATFORMS
from app.storage.credentials import AlreadyKept

BATCH = 200
Report = list[dict[str, Any]]
Once = tuple[str, str]  # a platform and the fingerprint of a token for it


def run(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    keeping.check_file()
    good, bad = read_lines(_data(options.file), options.platform)
    report = [_told(number, "wrong", fault) for number, fault in bad]
    known = _known(chosen, keeping if options.dry_run else None)
    try:
        with Progress(len(good)) as progress:
            for begin in range(0, len(good), BATCH):
                batch = good[begin : begin + BATCH]
                rows = list(_fresh(_rows(keeping, batch, options.platform, report), known, report))
                report += _added(rows) if options.dry_run else _kept(keeping, rows)
                progress.at(begin + len(batch))
    except BaseException:  # what was kept before something broke is told too
        _show(report, options.json, "nothing was kept")
        raise
    _show(report, options.json, "there is nothing in it")
    return int(any(row["state"] == "wrong" for row in report))


def _show(report: Report, as_json: bool, if_none: str) -> None:
    report.sort(key=lambda row: row["line"])
    show(report, as_json=as_json, if_none=if_none)
    if report and not as_json:
        print(_in_all(report), file=sys.stderr)


def _known(chosen: Settings, keeping: Keeping | None) -> dict[Once, tuple[str, str]]:
    """What need not be kept again, with the name it has and where it is. What is in the database only
    a dry run is told beforehand: in earnest the database itself says so, line by line.
    """
    known = {
        (platform, fingerprint(platform, key.token.reveal())): (
            key.id,
            f"TOKENS_{platform.upper()}_KEYS has it already",
        )
        for platform, one in chosen.platforms.items()
        for key in one.keys
    }
    for kept in keeping.table.all() if keeping else ():
        known[kept.platform, kept.fingerprint] = (kept.name, f"already there as {kept.name}")
    return known


def _rows(
    keeping: Keeping, lines: Sequence[tuple[int, Given]], platform: str, report: Report
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, given in lines:
        try:
            yield number, _row(keeping, given, platform)
        except Complaint as complaint:
            report.append(_told(number, "wrong", str(complaint)))


def _row(keeping: Keeping, given: Given, platform: str) -> dict[str, Any]:
    platform = given.get("platform") or platform
    if not platform:
        raise Complaint("there is no platform in it")
    if platform not in PLATFORMS:
        raise Complaint(f"there is no such platform; there are {', '.join(sorted(PLATFORMS))}")
    if not given.get("token"):
        raise Complaint("there is no token in it")
    secrets = {"token": read_token(given["token"])}
    if proxy := given.get("proxy"):
        secrets["proxy"] = read_proxy(proxy)
    return keeping.row(platform, secrets, read_fields(given))


def _fresh(
    rows: Iterator[tuple[int, dict[str, Any]]],
    known: dict[Once, tuple[str, str]],
    report: Report,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows whose tokens are not known yet; they are from here on."""
    for number, row in rows:
        once = row["platform"], row["fingerprint"]
        if once in known:
            name, where = known[once]
            report.append(_told(number, "there", where, name))
        else:
            known[once] = ("", f"the same token as in line {number}")
            yield number, row


def _added(rows: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    for number, row in rows:
        yield _told(number, "would be added", row["platform"])


def _kept(keeping: Keeping, rows: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    results = keeping.table.add_many([row for _, row in rows])
    for (number, row), result in zip(rows, results, strict=True):
        if isinstance(result, AlreadyKept):
            yield _told(number, "there", f"already there as {result.name}", result.name)
        else:
            yield _told(number, "added", row["platform"], row["name"])


def _told(number: int, state: str, what: str, name: str = "") -> dict[str, Any]:
    return {"line": number, "state": state, "name": name, "what": what}


def _in_all(report: Report) -> str:
    counts = Counter(row["state"] for row in report)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _data(file: str) -> bytes:
    if file == "-":
        if sys.stdin is None:
            raise Complaint("standard input is closed")
        return sys.stdin.buffer.read()
    try:
        with open(file, "rb") as opened:
            return opened.read()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Complaint(f"cannot read {file_said(file)}: {why}") from error
