"""A price file: what the models of one platform cost, edition by edition, checked word by word.

    {"platform": "...", "currency": "USD", "editions": [
        {"from": "2026-11-01", "source": "where and when it was read", "models": {
            "model": {"input": "1.25", "output": "10", "above": {"200000": {...}}},
            "model-*": {"picture": {"1k": "0.05", "2k": "0.07"}}}}]}

Each edition is the whole list from its day on, 00:00 UTC. docs/prices.md has the fields.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from app.ledger.menu import ANY, Menu, read
from app.ledger.price import Price, Rates
from app.ledger.units import MOST_TOKENS
from app.money import MILLION

CURRENCY = "USD"
MOST = 1000  # dollars for one of anything, so that no sum outgrows what databases can hold

_TOKENS = frozenset({"input", "output", "cache_read", "cache_write", "reasoning"})
_MODEL = _TOKENS | {"above", "picture", "second", "request"}
_DECIMAL = re.compile(r"(\d{1,4})(?:\.(\d{1,6}))?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NAME = re.compile(r"[\w.:/@+*-]{1,128}", re.ASCII)
_TIER = re.compile(r"[1-9]\d{0,11}", re.ASCII)

T = TypeVar("T")


class BadPrices(ValueError):
    """A price file cannot be used; names the file and the field."""


@dataclass(frozen=True, slots=True)
class Edition:
    """What is in force from `since` until the next edition; `entries` as they were written."""

    day: str
    since: float
    source: str
    version: str
    entries: Mapping[str, Mapping[str, Any]]
    prices: Mapping[str, Price]
    patterns: tuple[str, ...]  # the longest first

    def entry(self, model: str) -> str | None:
        """The entry that counts: the model's own; otherwise the longest pattern that it fits."""
        if model in self.prices and model not in self.patterns:
            return model
        return next((one for one in self.patterns if fnmatchcase(model, one)), None)

    def find(self, model: str) -> Price | None:
        entry = self.entry(model)
        return None if entry is None else self.prices[entry]


@dataclass(frozen=True, slots=True)
class PriceFile:
    platform: str
    path: Path
    editions: tuple[Edition, ...]

    def at(self, moment: float) -> Edition | None:
        """The edition that is in force then; none before the first."""
        past = [one for one in self.editions if one.since <= moment]
        return past[-1] if past else None


def load(path: Path, platform: str) -> PriceFile:
    """The platform's file, if all of it can be used; `BadPrices` says what cannot."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadPrices(f"{path} cannot be read: {(error.strerror or '').lower()}") from error
    file = parse(content, path)
    if file.platform != platform:
        raise BadPrices(f"{path}: platform should be {platform!r}, not {file.platform!r}")
    return file


def parse(content: bytes, path: Path) -> PriceFile:
    """What the file at `path` says, whichever platform it is for."""
    try:
        given = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_once)
        return _file(given, path)
    except RecursionError as error:
        raise BadPrices(f"{path}: it is nested too deeply") from error
    except ValueError as error:  # of decoding, of JSON, or of a number with too many digits
        raise BadPrices(f"{path} is not JSON: {error}") from error
    except _Wrong as wrong:
        raise BadPrices(f"{path}: {wrong}") from wrong


class _Wrong(Exception):
    """Says which field is wrong, and how."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Wrong(f"{name!r} is given twice in one place")
        found[name] = value
    return found


def _file(given: Any, path: Path) -> PriceFile:
    fields = _object("the file", given)
    _only("the file", fields, frozenset({"platform", "currency", "editions"}))
    platform = _text("platform", fields.get("platform"))
    if fields.get("currency") != CURRENCY:
        raise _Wrong(f"currency should be {CURRENCY}, not {fields.get('currency')!r}")
    if not isinstance(fields.get("editions"), list):
        raise _Wrong("editions should be a list")
    editions = tuple(
        _edition(f"editions[{place}]", one) for place, one in enumerate(fields["editions"])
    )
    for place in range(1, len(editions)):
        if editions[place - 1].since >= editions[place].since:
            raise _Wrong(f"editions[{place}].from should be later than the edition before it")
    return PriceFile(platform, path, editions)


def _edition(at: str, given: Any) -> Edition:
    fields = _object(at, given)
    _only(at, fields, frozenset({"from", "source", "models"}))
    day = _day(f"{at}.from", fields.get("from"))
    since = datetime.combine(day, time.min, UTC).timestamp()
    source = _text(f"{at}.source", fields.get("source"))
    entries = _object(f"{at}.models", fields.get("models"))
    version = f"{day.isoformat()}-{_digest(entries)}"
    prices = {name: _price(f"{at}.models", name, one, version) for name, one in entries.items()}
    patterns = tuple(
        sorted((one for one in prices if "*" in one), key=lambda one: (-len(one), one))
    )
    return Edition(day.isoformat(), since, source, version, entries, prices, patterns)


def _price(at: str, name: str, given: Any, version: str) -> Price:
    at = f"{at}.{name}"
    if not _NAME.fullmatch(name):
        raise _Wrong(f"{at} should be the name of a model, or a pattern with * as in gpt-5*")
    fields = _object(at, given)
    _only(at, fields, _MODEL)
    if not fields:
        raise _Wrong(f"{at} says nothing; leave it out if its price is not known")
    return Price(
        version,
        CURRENCY,
        _all_rates(at, fields),
        _optional(f"{at}.picture", fields, _menu),
        _optional(f"{at}.second", fields, _menu),
        _optional(f"{at}.request", fields, _micro) or 0,
    )


def _all_rates(at: str, fields: Mapping[str, Any]) -> tuple[Rates, ...]:
    if "above" not in fields and not _TOKENS & fields.keys():
        return ()
    tiers = _object(f"{at}.above", fields.get("above", {}))
    rates = [_rates(at, {name: fields[name] for name in _TOKENS & fields.keys()})]
    for above, tier in tiers.items():
        where = f"{at}.above.{above}"
        if not _TIER.fullmatch(above) or int(above) > MOST_TOKENS:
            raise _Wrong(f"{where} should be a number of input tokens")
        _only(where, _object(where, tier), _TOKENS)
        rates.append(_rates(where, tier, int(above)))
    return tuple(sorted(rates, key=lambda one: one.above))


def _rates(at: str, fields: Mapping[str, Any], above: int = 0) -> Rates:
    """Cached input costs what input does, and thought what output does, where nothing is said."""
    for name in ("input", "output"):
        if name not in fields:
            raise _Wrong(f'{at}.{name} is missing; write "0" if it is free')
    micro = {name: _micro(f"{at}.{name}", value) for name, value in fields.items()}
    standing = {
        "cache_read": micro["input"],
        "cache_write": micro["input"],
        "reasoning": micro["output"],
    }
    return Rates(**{**standing, **micro}, above=above)


def _menu(at: str, given: Any) -> Menu:
    if isinstance(given, str):
        return Menu(((read(ANY), _micro(at, given)),))
    lines: dict[Any, int] = {}
    for line, value in _object(at, given).items():
        try:
            words = read(line)
        except ValueError as error:
            raise _Wrong(f"{at} has a line {line!r}; write a quality, a size, or both") from error
        if words in lines:
            raise _Wrong(f"{at} has two lines that say {line!r}")
        lines[words] = _micro(f"{at}.{line}", value)
    if not lines:
        raise _Wrong(f"{at} says nothing")
    return Menu(tuple(sorted(lines.items())))


def _micro(at: str, given: Any) -> int:
    """Dollars as micro-dollars. Numbers of JSON are refused: they go through floats elsewhere."""
    found = _DECIMAL.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise _Wrong(f'{at} should be dollars such as "1.25", not {_shown(given)}')
    micro = int(found[1]) * MILLION + int((found[2] or "").ljust(6, "0"))
    if micro > MOST * MILLION:
        raise _Wrong(f"{at} should be at most {MOST} dollars")
    return micro


def _day(at: str, given: Any) -> date:
    try:
        if not isinstance(given, str) or not _DAY.fullmatch(given):
            raise ValueError
        return date.fromisoformat(given)
    except ValueError as error:
        raise _Wrong(f"{at} should be a day such as 2026-11-01, not {_shown(given)}") from error


def _object(at: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _Wrong(f"{at} should be an object")
    return given


def _only(at: str, fields: Mapping[str, Any], known: frozenset[str]) -> None:
    if strangers := sorted(fields.keys() - known):
        raise _Wrong(f"{at} has no field {strangers[0]!r}; it may have {', '.join(sorted(known))}")


def _text(at: str, given: Any) -> str:
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        raise _Wrong(f"{at} should be a line of text")
    return given


def _optional(at: str, fields: Mapping[str, Any], make: Callable[[str, Any], T]) -> T | None:
    name = at.rpartition(".")[2]
    return make(at, fields[name]) if name in fields else None


def _shown(given: Any) -> str:
    return repr(given) if len(repr(given)) <= 40 else "that"


def _digest(entries: Mapping[str, Any]) -> str:
    written = json.dumps(entries, sort_keys=True)
    return hashlib.sha256(written.encode()).hexdigest()[:8]
