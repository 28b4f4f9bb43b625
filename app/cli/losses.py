"""`tokens losses`: which fields of callers platforms had no room for, counted in the access log."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from app.cli.words import Complaint, file_said, settings, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        default="",
        metavar="FILE",
        help="an access log, `-` for standard input; the one in TOKENS_LOG_FILE if left out",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    chosen = options.file or settings().log_file
    if not options.file and chosen == "-":
        raise Complaint("the access log is no file here; give it: tokens losses FILE")
    with _opened(chosen) as lines:
        rows = counted(lines)
    show(rows, as_json=options.json, if_none="nothing was lost")
    return 0


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdin
        return
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            yield file
    except OSError as error:
        raise Complaint(f"cannot read {file_said(name)}: {error.strerror}") from error


def counted(lines: Iterable[str]) -> list[dict[str, Any]]:
    """A row for each field that a platform had no room for, the most frequent first."""
    calls: Counter[tuple[str, str, str]] = Counter()
    for line in lines:
        if '"dropped"' not in line:
            continue
        try:
            told = json.loads(line)
        except ValueError:
            continue  # a line that was cut when the disk was full
        for field in told.get("dropped") or ():
            calls[str(told.get("platform")), str(told.get("spoken")), str(field)] += 1
    return [
        {"platform": platform, "spoken": spoken, "field": field, "calls": number}
        for (platform, spoken, field), number in calls.most_common()
    ]
