"""`tokens credential import`: many tokens at once, from CSV with a head or from JSON lines.

Each line stands for itself: one that is wrong is reported, and the others are kept.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterator
from typing import Any

from app.cli.credential_fields import FIELDS, SECRETS, read_fields, read_proxy, read_token
from app.cli.keeping import Keeping
from app.cli.words import Complaint, said, show
from app.config import Settings
from app.platforms import PLATFORMS
from app.storage.credentials import AlreadyKept

BATCH = 200
TOO_MANY = "too many columns"
WIDTH = 40  # of the progress bar


def run(chosen: Settings, keeping: Keeping, options: argparse.Namespace) -> int:
    if not options.dry_run:
        keeping.check_file()
    lines = list(_lines(_text(options.file)))
    report: list[dict[str, Any]] = []
    rows: list[tuple[int, dict[str, Any]]] = []
    for place, (number, given) in enumerate(lines, 1):
        try:
            rows.append((number, _row(keeping, given, options.platform)))
        except Complaint as complaint:
            report.append(_told(number, "wrong", str(complaint)))
        if len(rows) == BATCH or place == len(lines):
            report += _keep(keeping, rows, dry=options.dry_run)
            rows = []
            _progress(place, len(lines))
    report.sort(key=lambda row: row["line"])
    show(report, as_json=options.json, if_none="there is nothing in it")
    return int(any(row["state"] == "wrong" for row in report))


def _keep(
    keeping: Keeping, rows: list[tuple[int, dict[str, Any]]], *, dry: bool
) -> Iterator[dict[str, Any]]:
    results = keeping.table.add_many([row for _, row in rows], dry=dry)
    for (number, row), result in zip(rows, results, strict=True):
        if isinstance(result, AlreadyKept):
            yield _told(number, "there", f"already there as {result.name}", result.name)
        else:
            state = "would be added" if dry else "added"
            yield _told(number, state, row["platform"], "" if dry else row["name"])


def _told(number: int, state: str, what: str, name: str = "") -> dict[str, Any]:
    return {"line": number, "state": state, "name": name, "what": what}


def _row(keeping: Keeping, given: dict[str, str] | None, platform: str) -> dict[str, Any]:
    if given is None:
        raise Complaint("this is not a JSON object, or it has too many columns")
    platform = given.pop("platform", "") or platform
    if platform not in PLATFORMS:
        named = f"no platform {said(platform)}" if platform else "no platform in it"
        raise Complaint(f"there is {named}; there are {', '.join(sorted(PLATFORMS))}")
    if unknown := sorted(given.keys() - {*FIELDS, *SECRETS}):
        raise Complaint(f"there is no field {said(unknown[0])}; there are {', '.join(FIELDS)}")
    secrets = {"token": read_token(given.pop("token", ""))}
    if proxy := given.pop("proxy", ""):
        secrets["proxy"] = read_proxy(proxy)
    return keeping.row(platform, secrets, read_fields(given))


def _text(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        with open(file, "rb") as opened:
            return opened.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise Complaint(f"cannot read {file}: {why.lower()}") from error


def _lines(text: str) -> Iterator[tuple[int, dict[str, str] | None]]:
    """The line's number and its fields as words; None where it is none of the kind it should be."""
    if text.lstrip().startswith("{"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, _object(line)
        return
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey=TOO_MANY)
    for row in reader:
        given = {(name or "").strip().lower(): value for name, value in row.items() if value}
        if TOO_MANY in given:
            yield reader.line_num, None
        else:
            yield reader.line_num, {name: value.strip() for name, value in given.items()}


def _object(line: str) -> dict[str, str] | None:
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return None
    return {name: _word(value) for name, value in told.items() if value is not None}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        filled = WIDTH * done // of
        end = "\n" if done == of else ""
        bar = "#" * filled + "." * (WIDTH - filled)
        print(f"\r[{bar}] {done} of {of}", end=end, file=sys.stderr, flush=True)
