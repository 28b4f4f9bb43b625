"""The lines of a file of credentials, CSV with a head or JSON lines, each read for itself.

A quote that is not closed ends with its line, so that no line swallows another. And nothing that
stands in a line is said again: a token may stand anywhere in it (S-008).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from app.cli.credential_fields import FIELDS, NUMBERS, SECRETS
from app.cli.licence_limits import MONEY
from app.cli.words import Complaint

KNOWN = ("platform", *SECRETS, *FIELDS)
BOM = b"\xef\xbb\xbf"
_END = re.compile(rb"\r\n|\r|\n")  # what editors count; Python would find more
_FAULTS = {  # of csv, by how they begin
    "unexpected end of data": "a quote is not closed on this line, and no field is longer than its line",
    "field larger": "a field of it is too long",
}

Given = dict[str, str]


def read_lines(
    data: bytes, platform: str = ""
) -> tuple[list[tuple[int, Given]], list[tuple[int, str]]]:
    """The numbers and fields of the good lines, and the numbers and faults of the bad. `platform` is
    that of the lines that name none.
    """
    good: list[tuple[int, Given]] = []
    bad: list[tuple[int, str]] = []
    lines = enumerate(_END.split(data.removeprefix(BOM)), 1)
    full = [(number, line) for number, line in lines if line.strip()]
    head: Sequence[str] | None = None
    as_objects = full and full[0][1].lstrip()[:1] in (b"{", b"[")
    for number, line in full:
        try:
            if as_objects:
                good.append((number, _object(line)))
            elif head is None:
                head = _head(_cells(line), platform)
            elif row := _row(head, _cells(line)):
                good.append((number, row))
        except Complaint as complaint:
            bad.append((number, str(complaint)))
            if not as_objects and head is None:
                break  # which column is which nobody knows
    return good, bad


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise Complaint("it is not UTF-8") from error


# ---------------------------------------------------------------- CSV


def _cells(line: bytes) -> list[str]:
    try:
        (cells,) = csv.reader([_text(line)], strict=True)
    except csv.Error as error:
        said = (fault for begin, fault in _FAULTS.items() if str(error).startswith(begin))
        raise Complaint(next(said, "a quote is in the wrong place")) from error
    return [cell.strip() for cell in cells]


def _head(cells: Sequence[str], platform: str) -> Sequence[str]:
    """The names of the columns; empty for one that has none."""
    names = [cell.lower() for cell in cells]
    for place, name in enumerate(names, 1):
        if name and name not in KNOWN:
            raise Complaint(
                f"column {place} of the head is no field that is known{_meant(name)}; the first line "
                f"names the fields, with commas between them: {', '.join(KNOWN)}"
            )
        if name and name in names[: place - 1]:
            raise Complaint(f"column {place} of the head is {name} once more")
    if "token" not in names:
        raise Complaint("the head has no token")
    if "platform" not in names and not platform:
        raise Complaint("the head has no platform, and --platform names none")
    return names


def _row(head: Sequence[str], cells: Sequence[str]) -> Given:
    if any(cells[len(head) :]):
        raise Complaint("there are more columns than the head has")
    row = {name: cell for name, cell in zip(head, cells, strict=False) if cell}
    if "" in row:
        raise Complaint(f"column {head.index('') + 1} has no name in the head")
    return row


# ---------------------------------------------------------------- JSON


def _object(line: bytes) -> Given:
    try:
        told = json.loads(_text(line), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise Complaint("this is not a JSON object, of which each line holds one") from error
    if not isinstance(told, _Pairs):
        raise Complaint("this is not a JSON object, of which each line holds one")
    found: Given = {}
    for name, value in _named(told):
        if name in found:
            raise Complaint(f"{name} is there twice")
        found[name] = _word(name, value)
    return found


class _Pairs(list[tuple[str, Any]]):
    """An object as it is written: a dict would keep the last of two that have the same name."""


def _named(pairs: _Pairs) -> Iterator[tuple[str, Any]]:
    for written, value in pairs:
        name = written.strip().lower()
        if name not in KNOWN:
            raise Complaint(
                f"a field of it is not known{_meant(name)}; there are {', '.join(KNOWN)}"
            )
        if value is not None:
            yield name, value


def _word(name: str, value: Any) -> str:
    """The value as CSV would have it."""
    if isinstance(value, str):
        return value.strip()
    if name == "groups":
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return ",".join(value)
        raise Complaint("groups should be a list of texts, or a text with commas")
    if name == "enabled":
        return json.dumps(value) if isinstance(value, (bool, int)) else "neither"
    if name in NUMBERS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if whole else "no whole number"
    if name in MONEY:
        return str(value) if isinstance(value, (int, float)) else "no amount"
    raise Complaint(f"{name} should be a text")


def _meant(name: str) -> str:
    """The known name that is most like it."""
    found = get_close_matches(name[:20], KNOWN, 1)
    return f" (is {found[0]} meant?)" if found else ""
