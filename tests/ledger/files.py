"""Price files for tests, from as little as a test has to say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.ledger.price import Price
from app.ledger.price_file import PriceFile, parse

DAY = "2026-11-01"
NOON = 1793534400.0  # of that day

Json = dict[str, Any]


def content(models: Json, *, platform: str = "codex", **more: Any) -> Json:
    """A file with one edition; `more` are fields of the file."""
    edition = {"from": DAY, "source": "a test", "models": models}
    return {"platform": platform, "currency": "USD", "editions": [edition], **more}


def editions(*pairs: tuple[str, Json]) -> list[Json]:
    return [{"from": day, "source": "a test", "models": models} for day, models in pairs]


def written(folder: Path, given: Any, name: str = "codex") -> Path:
    """The file of that name in the folder, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(given if isinstance(given, str) else json.dumps(given), encoding="utf-8")
    return path


def read(given: Json) -> PriceFile:
    return parse(json.dumps(given).encode(), Path("prices.json"))


def price(**entry: Any) -> Price:
    """The price of a model whose entry says this."""
    found = read(content({"model": entry})).editions[0].find("model")
    assert found is not None
    return found
