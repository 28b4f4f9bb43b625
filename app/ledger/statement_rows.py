"""The rows of a file that a platform's vendor exports, CSV or JSON, as flat dicts of words.

Read a piece at a time: such a file may be larger than memory. JSON may be an array, a line for each
row, or pages of buckets of results; what stands around a row counts as part of it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TextIO

PIECE = 1 << 20
LISTS = frozenset({"data", "results", "rows", "items", "buckets", "usage"})
_DECODER = json.JSONDecoder(parse_float=Decimal)

Row = dict[str, Any]


class NotReadable(ValueError):
    """Says why the file makes no sense, and where."""


def rows(file: TextIO) -> Iterator[Row]:
    """Every row, with `line` for where in the file it is, as far as that is known."""
    text = _Text(file)
    if text.peek() in ("{", "["):
        yield from _json(text)
    else:
        yield from _csv(text.lines())


def _csv(lines: Iterator[str]) -> Iterator[Row]:
    head = next(lines, "")
    mark = max(",;\t", key=head.count)
    heads = next(csv.reader([head], delimiter=mark), [])
    reader = csv.reader(lines, delimiter=mark)
    try:
        for cells in reader:
            if cells:
                yield dict(zip(heads, cells, strict=False))
    except csv.Error as error:
        raise NotReadable(f"line {reader.line_num + 1} is no CSV ({error})") from error


# ---------------------------------------------------------------- JSON


class _Text:
    """A file of which a piece is in memory."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._piece = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no space; nothing at the end."""
        while True:
            while self._at < len(self._piece):
                if not self._piece[self._at].isspace():
                    return self._piece[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, wanted: str) -> bool:
        """Whether the next character is this one, which is behind us then."""
        if self.peek() != wanted:
            return False
        self._at += 1
        return True

    def value(self) -> Any:
        """The JSON that comes next; `NotReadable` where there is none."""
        found, value = self.small()
        if not found:
            raise NotReadable("it is no JSON, or of a kind that is not known")
        return value

    def small(self) -> tuple[bool, Any]:
        """The JSON that comes next, unless it is larger than a piece; whether there was any."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._piece, self._at)
            except ValueError:
                if len(self._piece) - self._at > PIECE or not self._more():
                    return False, None
                continue
            if end == len(self._piece) and self._more():
                continue  # a number may go on
            self._at = end
            return True, value

    def lines(self) -> Iterator[str]:
        yield from _lines_from(self._piece[self._at :], self._file)

    def _more(self) -> bool:
        if not self._ended:
            came = self._file.read(PIECE)
            self._ended = not came
            self._piece, self._at = self._piece[self._at :] + came, 0
        return not self._ended


def _lines_from(begun: str, file: TextIO) -> Iterator[str]:
    *whole, rest = begun.split("\n")
    yield from (f"{line}\n" for line in whole)
    yield rest + file.readline()
    yield from file


def _json(text: _Text) -> Iterator[Row]:
    try:
        while mark := text.peek():
            if mark == "[":
                yield from _array(text, {})
            elif mark == "{":
                yield from _object(text, {})
            else:
                raise NotReadable("it is no JSON, or of a kind that is not known")
    except RecursionError as error:
        raise NotReadable("it is nested too deeply") from error


def _array(text: _Text, around: Mapping[str, Any]) -> Iterator[Row]:
    text.take("[")
    while not text.take("]"):
        if text.peek() == "{":
            yield from _object(text, around)
        else:
            text.value()
        if not text.take(",") and text.peek() != "]":
            raise NotReadable("an array in it does not end")


def _object(text: _Text, around: Mapping[str, Any]) -> Iterator[Row]:
    whole, value = text.small()
    if whole:
        yield from _inner(value, around)
    else:
        yield from _walked(text, around)


def _walked(text: _Text, around: Mapping[str, Any]) -> Iterator[Row]:
    """An object too large to be read at once: its lists are, one entry after the other."""
    known, is_row = dict(around), True
    text.take("{")
    while not text.take("}"):
        name = text.value()
        if not isinstance(name, str) or not text.take(":"):
            raise NotReadable("an object in it does not end")
        if name in LISTS and text.peek() == "[":
            is_row = False
            yield from _array(text, known)
        else:
            known |= _flat(name, text.value())
        if not text.take(",") and text.peek() != "}":
            raise NotReadable("an object in it does not end")
    if is_row:
        yield known


def _inner(value: Mapping[str, Any], around: Mapping[str, Any]) -> Iterator[Row]:
    known, lists = dict(around), []
    for name, one in value.items():
        if name in LISTS and isinstance(one, list):
            lists.append(one)
        else:
            known |= _flat(name, one)
    for entries in lists:
        for entry in entries:
            if isinstance(entry, dict):
                yield from _inner(entry, known)
    if not lists:
        yield known


def _flat(name: str, value: Any) -> Row:
    """`{"amount": {"value": 1}}` as `{"amount.value": 1}`."""
    if not isinstance(value, dict):
        return {name: value}
    found: Row = {}
    for inner, one in value.items():
        found |= _flat(f"{name}.{inner}", one)
    return found
