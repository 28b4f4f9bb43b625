"""Rows of the ledger as commands tell them: days and moments in words, money in dollars."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

from app.days import FIRST
from app.money import dollars


def day_said(day: int) -> str:
    return (FIRST + timedelta(days=day)).isoformat()


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A sum of the ledger."""
    found = {**row, "charge": dollars(row["charge"]), "seconds": round(row["seconds"], 3)}
    if "day" in row:
        found["day"] = day_said(row["day"])
    return found


def told_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the ledger, with all that it holds."""
    found = told(row)
    for name in ("opened_at", "closed_at"):
        found[name] = None if row[name] is None else _instant(row[name])
    found["total_ms"] = None if row["closed_at"] is None else row["closed_at"] - row["opened_at"]
    return found


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def write_csv(rows: Iterable[dict[str, Any]], heads: Sequence[str], file: TextIO) -> None:
    """With a line of heads, whether there are rows or not."""
    writer = csv.DictWriter(file, heads)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _inert(value) for name, value in row.items()})


def _inert(value: Any) -> Any:
    """Callers choose the names of models: none is to be a formula in somebody's table (R-131)."""
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULAS else value


_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
