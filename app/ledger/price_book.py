"""The price book: what every model of every platform costs, from files and from nowhere else.

A platform has the file that comes with the program, or one of the operator's own in its place.
All are read and checked before anything is served. Prices in force may change while calls are
under way: a call keeps the `Price` that it took when it began (R-066).
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from app.errors import PriceUnknown
from app.ledger.price import Price
from app.ledger.price_file import BadPrices, PriceFile, load

log = logging.getLogger(__name__)

MOST_REMEMBERED, LONGEST_REMEMBERED = 4096, 128  # callers choose the names of models


class _Term(NamedTuple):
    """From when until when a model has a price; None = nobody knows it."""

    since: float
    until: float
    price: Price | None


Remembered = dict[tuple[str, str], _Term]
Seen = Mapping[str, tuple[int, int, int]]


class PriceBook:
    """Prices by platform and model."""

    def __init__(self, bundled: Mapping[str, PriceFile], folder: Path | None) -> None:
        self._bundled = dict(bundled)
        self._folder = folder
        self._seen: Seen = {}
        self._complaint = ""
        # One value, so that nobody finds the prices of one set of files among another's.
        self._shelf: tuple[Mapping[str, PriceFile], Remembered] = (self._bundled, {})

    @classmethod
    def load(cls, bundled: Mapping[str, Path], own: Path | None) -> PriceBook:
        """The book, if all of it can be used; raises `BadPrices`."""
        book = cls({name: load(path, name) for name, path in bundled.items()}, own)
        book._take(book._look())
        return book

    @property
    def files(self) -> Mapping[str, PriceFile]:
        """The file in force for each platform."""
        return self._shelf[0]

    @property
    def bundled(self) -> Mapping[str, PriceFile]:
        """The files that come with the program."""
        return self._bundled

    def price(self, platform: str, model: str, at: float) -> Price | None:
        """What the platform's model costs at that time; None = unknown. Nothing is a price, too."""
        files, remembered = self._shelf
        term = remembered.get((platform, model))
        if term is not None and term.since <= at < term.until:
            return term.price
        term = _term(files.get(platform), model, at)
        if len(model) <= LONGEST_REMEMBERED:
            if len(remembered) >= MOST_REMEMBERED:
                remembered.clear()
            remembered[platform, model] = term
        return term.price

    def known(self, platform: str, model: str, at: float) -> Price:
        """The same for callers whose money is counted: to them, unknown is an error."""
        price = self.price(platform, model, at)
        if price is None:
            raise PriceUnknown(
                "the price of {model} is not known, and the licence has a limit in money",
                param="model",
                model=model,
            )
        return price

    def look(self) -> bool:
        """Takes the operator's files again where they have changed. What cannot be used is logged
        once, and changes nothing.
        """
        try:
            seen = self._look()
            if seen == self._seen:
                return False
            self._take(seen)
        except BadPrices as error:
            self._complain(str(error))
            return False
        self._complaint = ""
        log.warning("new prices are in force; own files: %s", ", ".join(seen) or "none")
        return True

    def _complain(self, words: str) -> None:
        if words != self._complaint:
            log.error("the former prices stay in force: %s", words)
        self._complaint = words

    def _take(self, seen: Seen) -> None:
        assert self._folder is not None or not seen
        own = {name: load(self._folder / f"{name}.json", name) for name in seen if self._folder}
        self._seen, self._shelf = seen, ({**self._bundled, **own}, {})

    def _look(self) -> Seen:
        """Which files there are in the folder, and what tells them from what they were."""
        return dict(sorted(self._entries())) if self._folder else {}

    def _entries(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        assert self._folder is not None
        try:
            for entry in os.scandir(self._folder):
                name, dot, kind = entry.name.rpartition(".")
                if kind != "json" or entry.name.startswith("."):
                    continue
                if name not in self._bundled:
                    raise BadPrices(f"{entry.path} is named after no platform of ours")
                found = entry.stat()
                yield name, (found.st_ino, found.st_mtime_ns, found.st_size)
        except FileNotFoundError:
            return  # no folder, or a file that went while we looked
        except OSError as error:
            why = (error.strerror or "").lower()
            raise BadPrices(f"{self._folder} cannot be read: {why}") from error


def _term(file: PriceFile | None, model: str, at: float) -> _Term:
    if file is None:
        return _Term(-math.inf, math.inf, None)
    later = [one.since for one in file.editions if one.since > at]
    until = later[0] if later else math.inf
    edition = file.at(at)
    if edition is None:
        return _Term(-math.inf, until, None)
    return _Term(edition.since, until, edition.find(model))
