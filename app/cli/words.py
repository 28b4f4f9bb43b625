"""How commands read settings and talk: complaints in one sentence, lists as tables or as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.config import BadSetting, Settings

if TYPE_CHECKING:
    from app.ledger.price_book import PriceBook
    from app.upstream.platform import Platform

CALENDAR_END = 253402300799  # Python knows no year after 9999
MOST_SAID = 16  # characters; tokens and licences are longer
_BREAK = re.compile(r"[\t-\r\x85\u2028\u2029]+")  # what would tear a table
_RUN = re.compile(r"[A-Za-z0-9_-]{16,}")
_PIECE = re.compile(r"[A-Za-z0-9]+")
_LONG_RUN = 30
_LONG_PIECE, _MIXED_PIECE = 16, 8  # characters between hyphens


class Complaint(Exception):
    """Says in one sentence why a command cannot be done, and what to do about it."""


def settings() -> Settings:
    """The settings in the environment, all platforms included."""
    from app.platforms import PLATFORMS

    try:
        chosen = Settings.from_env(os.environ, list(PLATFORMS.values()))
    except BadSetting as error:
        raise Complaint(str(error)) from error
    for name, platform in platforms(chosen).items():  # their file is as much a setting as the rest
        if platform.equip is not None:
            try:
                platform.equip(platform, chosen.platforms[name].options, None)
            except ValueError as error:
                raise Complaint(f"TOKENS_{name.upper()}_{error}") from error
    return chosen


def platforms(chosen: Settings) -> dict[str, Platform]:
    """All platforms, with what the operator's own file says of their models."""
    from app.platforms import PLATFORMS
    from app.upstream.overrides import with_overrides

    if not chosen.models_file:
        return PLATFORMS
    try:
        return with_overrides(PLATFORMS, Path(chosen.models_file))
    except ValueError as error:
        raise Complaint(f"TOKENS_MODELS_FILE {chosen.models_file} {error}") from error


def prices(chosen: Settings) -> PriceBook:
    """What everything costs, the operator's own files included."""
    from app.ledger.price_book import PriceBook
    from app.ledger.price_file import BadPrices
    from app.platforms import PRICES

    try:
        return PriceBook.load(PRICES, Path(chosen.prices_folder) if chosen.prices_folder else None)
    except BadPrices as error:
        raise Complaint(f"TOKENS_PRICES_FOLDER: {error}") from error


def said(word: str) -> str:
    """A word for a complaint to repeat; an ellipsis where it is long enough to be a token that was put in
    the wrong place (S-008).
    """
    return word if len(word) <= MOST_SAID else "…"


def file_said(name: str) -> str:
    """A file for a complaint to name, unless it is none and may be a token."""
    return name if os.path.exists(name) or not looks_secret(name) else "…"


def looks_secret(text: str) -> bool:
    """Whether there is a word in it that looks like a token: long, with digits among the letters, as
    they are made and words, dates, versions and UUIDs are not.
    """
    return any(
        len(piece) >= _LONG_PIECE
        and _is_mixed(piece)
        or len(run) >= _LONG_RUN
        and len(piece) >= _MIXED_PIECE
        and _is_mixed(piece)
        and piece not in (piece.lower(), piece.upper())
        for run in _RUN.findall(text)
        for piece in _PIECE.findall(run)
    )


def _is_mixed(piece: str) -> bool:
    return not piece.isalpha() and not piece.isdigit()


def show(
    rows: Sequence[dict[str, Any]], *, as_json: bool, if_none: str = "nothing to show"
) -> None:
    """Prints rows: as JSON for programs, as a table for people."""
    if as_json:
        print(json.dumps(list(rows), indent=2, ensure_ascii=False))
        return
    if not rows:
        print(if_none, file=sys.stderr)
        return
    heads = list(rows[0])
    cells = [heads, *([_cell(row[head]) for head in heads] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    for line in cells:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return printable(",".join(map(str, value))) or "-"
    return printable(_BREAK.sub(" ", str(value))) if value != "" else "-"


def printable(text: str) -> str:
    """What a terminal shows and does not obey: callers choose some of the words (R-131)."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in text)


def moment(seconds: int | None) -> str | None:
    """Unix seconds as people write them; the calendar's end for what lies beyond it."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(seconds, CALENDAR_END), UTC).isoformat()
