"""Cursor's list of models, which depends on the account and changes often.

It has had three shapes: objects with aliases, plain strings, and strings under another name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.upstream.platform import Model

CONTEXT, MOST_OUTPUT = 200_000, 32_000  # Cursor does not say; clients want numbers
RELEASED = 1_782_864_000  # 2026-07-01, for the same reason


def listed(told: Any) -> tuple[Model, ...]:
    """The models and their aliases."""
    return tuple(_models(told))


def _models(told: Any) -> Iterator[Model]:
    entries = told.get("items") or told.get("models") or () if isinstance(told, dict) else ()
    for entry in entries:
        if isinstance(entry, str):
            yield _model(entry, entry)
        elif isinstance(entry, dict) and isinstance(entry.get("id"), str):
            name = str(entry.get("displayName") or entry["id"])
            for one in (entry["id"], *(entry.get("aliases") or ())):
                yield _model(str(one), name)


def _model(name: str, title: str) -> Model:
    return Model(name, title, CONTEXT, MOST_OUTPUT, RELEASED)
