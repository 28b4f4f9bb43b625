"""A vendor's own account of what was used, summed by day and model, to be held against the ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from app.days import DAY, FIRST
from app.ledger.statement_rows import NotReadable

LATEST = (date.max - FIRST).days
EARLIEST = (date(2015, 1, 1) - FIRST).days  # before there were such vendors
MOST_SUMS = 100_000  # days and models
MOST = Decimal(10) ** 18
MEASURES = ("calls", "input", "output", "tokens", "cost")
NEEDED = ("day", "model")

LINE_ITEM = "line_item"  # `gpt-4o, input`: one of the things that a model's costs are made of
CURRENCIES = ("amount.currency", "amount_currency", "currency")

_CACHED = """usage_input_tokens_cache_read usage_input_tokens_cache_write_5m
    usage_input_tokens_cache_write_1h cache_read_input_tokens cache_creation_input_tokens
    cache_creation_5m_input_tokens cache_creation_1h_input_tokens
    cache_creation.ephemeral_5m_input_tokens cache_creation.ephemeral_1h_input_tokens""".split()
# Columns by the names that they usually have: the first that is there counts. What follows it on its
# line is added, where that is there too: such a vendor counts apart what came from a cache.
_USUAL: dict[str, tuple[tuple[str, ...], ...]] = {
    "day": (
        *(("day",), ("date",), ("usage_date",), ("usage_date_utc",), ("date_utc",)),
        *(("start_time_iso",), ("start_time",), ("starting_at",), ("bucket_start",)),
        *(("timestamp",), ("datetime",), ("time",), ("created_at",), ("created",)),
    ),
    "model": (
        *(("model",), ("model_version",), ("model_name",), ("model_id",), ("snapshot_id",)),
        (LINE_ITEM,),
    ),
    "calls": (
        *(("num_model_requests",), ("n_requests",), ("num_requests",), ("request_count",)),
        *(("requests",), ("total_requests",), ("calls",)),
    ),
    "input": (
        ("uncached_input_tokens", *_CACHED),
        ("usage_input_tokens_no_cache", *_CACHED),
        ("input_tokens", *_CACHED),
        *(("prompt_tokens",), ("n_context_tokens_total",), ("input",)),
    ),
    "output": (
        *(("output_tokens",), ("completion_tokens",), ("usage_output_tokens",)),
        *(("n_generated_tokens_total",), ("output",)),
    ),
    "tokens": (("total_tokens",), ("tokens",)),
    "cost": (
        *(("cost_usd",), ("cost_in_usd",), ("cost",), ("total_cost",), ("amount_value",)),
        *(("amount.value",), ("amount_usd",), ("amount",), ("spend",), ("charge",)),
    ),
}

Columns = Mapping[str, tuple[str, ...]]


@dataclass(slots=True)
class Statement:
    """What the vendor says. `chosen` are names of columns that the operator knows better, `plain` is
    what a model's name is compared as, `cents` says that costs are not in dollars, `latest` is the last
    day that anybody can speak of.
    """

    chosen: Mapping[str, str] = field(default_factory=dict)
    plain: Callable[[str], str] = str
    cents: bool = False
    latest: int = LATEST
    sums: dict[tuple[int, str], dict[str, Decimal]] = field(default_factory=dict)
    columns: Columns = field(default_factory=dict)
    passed_over: int = 0
    _known: dict[tuple[str, ...], Columns] = field(default_factory=dict)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[int]:
        """Adds all rows up, and says after each how many that were."""
        for number, row in enumerate(rows, 1):
            try:
                self._add(row)
            except ValueError as error:
                raise NotReadable(f"row {number}: {error}") from error
            yield number

    @property
    def measures(self) -> tuple[str, ...]:
        """What it counts."""
        return tuple(one for one in MEASURES if one in self.columns)

    def _add(self, row: Mapping[str, Any]) -> None:
        names = tuple(row)
        columns = self._known.get(names)
        if columns is None:
            if len(self._known) >= MOST_SUMS:
                raise NotReadable("there is no end of columns")
            columns = self._known[names] = found(names, self.chosen)
            if not self.columns:
                _check(columns, names)
            self.columns = {**columns, **self.columns}
        key = self._key(row, columns)
        if key is None:
            self.passed_over += 1
            return
        if (sums := self.sums.get(key)) is None:
            if len(self.sums) >= MOST_SUMS:
                raise NotReadable(f"there are more than {MOST_SUMS} days and models")
            sums = self.sums[key] = dict.fromkeys(MEASURES, Decimal(0))
        for measure in MEASURES:
            for name in columns.get(measure, ()):
                sums[measure] += _counted(row, name, measure)

    def _key(self, row: Mapping[str, Any], columns: Columns) -> tuple[int, str] | None:
        """The day and the model of a row; None where it does not have both."""
        when, model = _words(row, columns, "day"), _words(row, columns, "model")
        if not when or not model:
            return None
        on = day(when)
        if not EARLIEST <= on <= self.latest:
            raise ValueError(f"{when[:40]!r} is a day of which nobody can say what was used")
        if _plain(columns["model"][0]) == LINE_ITEM:
            model = model.partition(",")[0].strip()
        return on, self.plain(model)

    def found(self, key: tuple[int, str], measure: str) -> int:
        """What it says of that day and model, money in millionths of a dollar."""
        sums = self.sums.get(key)
        if sums is None:
            return 0
        if measure != "cost":
            return int(sums[measure])
        return round(sums["cost"] * (10_000 if self.cents else 1_000_000))


def found(names: Sequence[str], chosen: Mapping[str, str]) -> Columns:
    """Which columns say what."""
    by_plain = {_plain(name): name for name in reversed(names)}
    columns: dict[str, tuple[str, ...]] = {}
    for what, usual in _USUAL.items():
        if what in chosen:
            usual = ((_plain(chosen[what]),),)
        for first, *more in usual:
            if first in by_plain:
                columns[what] = tuple(by_plain[one] for one in (first, *more) if one in by_plain)
                break
    if "tokens" not in chosen and columns.keys() & {"input", "output"}:
        columns.pop("tokens", None)
    return columns


def _check(columns: Columns, names: Sequence[str]) -> None:
    if missing := [what for what in NEEDED if what not in columns]:
        raise NotReadable(
            f"no column is known to be the {missing[0]}; say --{missing[0]}-column NAME, "
            f"of {_some(names)}"
        )
    if not any(what in columns for what in MEASURES):
        options = ", ".join(f"--{what}-column" for what in MEASURES)
        raise NotReadable(f"no column is known to count anything; say {options}, of {_some(names)}")


def _counted(row: Mapping[str, Any], name: str, measure: str) -> Decimal:
    """What a cell counts. Money may be given back; what was used cannot be."""
    found = number(row[name], name)
    if measure == "cost":
        _check_currency(row)
    elif found < 0:
        raise ValueError(f"{str(row[name])[:40]!r} is less than nothing, in {name[:40]}")
    return found


def _check_currency(row: Mapping[str, Any]) -> None:
    for name in CURRENCIES:
        if str(row.get(name) or "usd").lower() != "usd":
            raise ValueError(f"{str(row[name])[:40]!r} is not dollars, in {name}")


def _some(names: Sequence[str]) -> str:
    return ", ".join(name[:40] for name in names[:30]) or "none"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_")


def _words(row: Mapping[str, Any], columns: Columns, what: str) -> str:
    value = row[columns[what][0]] if what in columns else None
    return "" if value is None else str(value).strip()


@lru_cache(maxsize=4096)
def day(words: str) -> int:
    """The day in UTC, by number: of a date, of a moment, of seconds or of milliseconds."""
    if re.fullmatch(r"[0-9]{9,14}(\.[0-9]+)?", words):
        seconds = float(words)
        return int(seconds // (DAY * 1000 if seconds > 10**11 else DAY))
    text = words.removesuffix("UTC").strip()
    if re.match(r"\d{4}/", text):
        text = text.replace("/", "-")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{words[:40]!r} is no day; they are read as 2026-11-29") from error
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return (moment.date() - FIRST).days


def number(value: Any, name: str) -> Decimal:
    """What a cell counts; nothing where it is empty."""
    if value is None or value == "":
        return Decimal(0)
    words = str(value).strip().replace(",", "").removeprefix("$")
    try:
        found = Decimal(words or "0")
    except InvalidOperation as error:
        raise ValueError(f"{str(value)[:40]!r} is no number, in {name[:40]}") from error
    if not found.is_finite() or not -MOST < found < MOST:
        raise ValueError(f"{str(value)[:40]!r} is no number that can be, in {name[:40]}")
    return found


# ---------------------------------------------------------------- beside the ledger


@dataclass(frozen=True, slots=True)
class Difference:
    """One number of a day and a model, as the vendor has it and as the ledger has it."""

    day: int
    model: str
    of: str
    vendor: int
    ledger: int

    @property
    def by(self) -> int:
        return self.ledger - self.vendor

    @property
    def percent(self) -> float | None:
        """Of what the vendor says; None where that is nothing."""
        return round(100 * self.by / self.vendor, 2) if self.vendor else None

    def is_gap(self, tolerance: float) -> bool:
        return abs(self.by) * 100 > abs(self.vendor) * tolerance


def differences(
    statement: Statement, ours: Mapping[tuple[int, str], Mapping[str, int]]
) -> Iterator[Difference]:
    """Every number of both sides, by day and model."""
    for key in sorted({*statement.sums, *ours}):
        for of in statement.measures:
            mine = ours.get(key, {}).get(of, 0)
            yield Difference(*key, of, statement.found(key, of), mine)
