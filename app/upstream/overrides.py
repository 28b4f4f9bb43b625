"""What an operator knows of models that we do not: a file that changes the catalogues.

It has the form of the data files beside the platforms, one such object for each platform it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from app.upstream.platform import Platform

LISTS = frozenset({"models", "aliases", "suffixes", "rules"})


def with_overrides(platforms: Mapping[str, Platform], path: Path) -> dict[str, Platform]:
    """The platforms with their catalogues changed; `ValueError` says what is wrong with the file."""
    try:
        given = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ValueError("should be an object with a platform's name for each key")
    if strangers := sorted(given.keys() - platforms.keys()):
        raise ValueError(f"names no platform of ours: {strangers[0]!r}")
    changed = {name: _changed(platforms[name], given[name]) for name in given}
    return {**platforms, **changed}


def _changed(platform: Platform, given: Any) -> Platform:
    if not isinstance(given, dict) or given.keys() - LISTS:
        raise ValueError(f"{platform.name} may have the lists {', '.join(sorted(LISTS))}")
    try:
        return replace(platform, catalogue=platform.catalogue.changed(given))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{platform.name} has an entry that cannot be used: {error}") from error
