"""Prices as commands list and compare them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.errors import BadRequest
from app.ledger.price_file import Edition, PriceFile
from app.upstream.platform import Platform

UNKNOWN = "unknown"


def unknown(platform: Platform, file: PriceFile, at: float) -> list[str]:
    """The models that we list and the file has no price for."""
    edition = file.at(at)
    names = [model.id for model in platform.catalogue.models]
    return [name for name in names if edition is None or edition.entry(name) is None]


def listed(platform: Platform, file: PriceFile, at: float) -> Iterator[dict[str, Any]]:
    """A row for each entry that is in force, and for each model of ours without one."""
    edition = file.at(at)
    for name in edition.entries if edition else ():
        yield _row(file, name, name, edition)
    for name in unknown(platform, file, at):
        yield _row(file, name, None, edition)


def asked(platform: Platform, file: PriceFile, name: str, at: float) -> Iterator[dict[str, Any]]:
    """A row for the model that goes by this name, where the platform has it or a price for it."""
    try:
        model = platform.catalogue.names.read(name).model
    except BadRequest:
        return
    edition = file.at(at)
    entry = edition.entry(model) if edition else None
    if entry is not None or any(one.id == model for one in platform.catalogue.models):
        yield _row(file, model, entry, edition)


def changes(was: PriceFile, becomes: PriceFile, now: float) -> Iterator[dict[str, Any]]:
    """A row for each price that would be another one, now or from a day to come."""
    days = {one.since: one.day for file in (was, becomes) for one in file.editions}
    moments = [now, *sorted(since for since in days if since > now)]
    last: list[dict[str, Any]] = []
    for moment in moments:
        found = list(_differences(was.platform, was.at(moment), becomes.at(moment)))
        yield from ({"from": days.get(moment, "now"), **row} for row in found if row not in last)
        last = found


def flat(entry: Mapping[str, Any]) -> dict[str, str]:
    """`{"picture": {"1k": "0.050"}}` as `{"picture 1k": "0.05"}`."""
    found: dict[str, str] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping):
            found |= {f"{name} {inner}": text for inner, text in flat(value).items()}
        else:
            found[name] = value.rstrip("0").rstrip(".") if "." in value else value
    return found


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as people read it; where its price is from stands once, in `sources`."""
    price = row["price"]
    words = ", ".join(f"{name} {text}" for name, text in flat(price).items()) if price else UNKNOWN
    return {
        "platform": row["platform"],
        "model": row["model"],
        "price": words,
        "entry": row["entry"],
        "version": row["version"],
    }


def sources(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Where the prices in these rows are from, each edition once."""
    kept = ("platform", "version", "file", "source")
    found = {(row["platform"], row["version"]): row for row in rows if row["version"]}
    return [{name: row[name] for name in kept} for row in found.values()]


def _row(file: PriceFile, model: str, entry: str | None, edition: Edition | None) -> dict[str, Any]:
    known = edition if entry is not None else None
    return {
        "platform": file.platform,
        "model": model,
        "price": known.entries[entry] if known and entry else None,
        "entry": entry or "",
        "version": known.version if known else "",
        "file": str(file.path),
        "source": known.source if known else "",
    }


def _differences(
    platform: str, was: Edition | None, becomes: Edition | None
) -> Iterator[dict[str, Any]]:
    old, new = _texts(was), _texts(becomes)
    for model, field in dict.fromkeys([*old, *new]):
        before, after = old.get((model, field)), new.get((model, field))
        if before != after:
            yield {
                "platform": platform,
                "model": model,
                "price": field,
                "was": before,
                "becomes": after,
            }


def _texts(edition: Edition | None) -> dict[tuple[str, str], str]:
    entries = edition.entries if edition else {}
    return {
        (model, field): text
        for model, entry in entries.items()
        for field, text in flat(entry).items()
    }
