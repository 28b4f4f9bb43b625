"""Flow: Google's engines for films and pictures, under the names that they go by.

What Google calls Flow has no API, but its engines do. Some names stand for engines that have ended;
then another answers, and the answer says so. A size stands for a shape alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from app.platforms import google
from app.platforms.google_images import GoogleImages
from app.platforms.google_videos import GoogleVideos
from app.upstream.platform import Catalogue, Memory, Option, Platform

ENGINES = ("omni", "veo")
CATALOGUE = Catalogue.load(Path(__file__).with_suffix(".json"))
VEO = orjson.loads(Path(__file__).with_name("flow_veo.json").read_bytes())
SHAPES = ("3:2", "2:3", "1:1")


def shape(width: int, height: int, ratios: tuple[str, ...]) -> str:
    """C-180."""
    return SHAPES[0] if width > height else SHAPES[1] if width < height else SHAPES[2]


def _equipped(platform: Platform, options: Mapping[str, Any], memory: Memory | None) -> Platform:
    if (engine := options.get("ENGINE", ENGINES[0])) not in ENGINES:
        raise ValueError(f"ENGINE is {engine!r}; there are {' and '.join(ENGINES)}")
    catalogue = platform.catalogue
    if engine == "veo":
        catalogue = _with_veo(catalogue)
    return replace(
        platform,
        catalogue=catalogue,
        images=GoogleImages(catalogue.facts, shape),
        videos=GoogleVideos(catalogue.facts),
    )


def _with_veo(catalogue: Catalogue) -> Catalogue:
    """Veo behind its own names, as far as the operator has put nothing else there."""
    ours = {alias.name: alias for alias in CATALOGUE.names.aliases}
    now = {alias.name: alias for alias in catalogue.names.aliases}
    aliases = [one for one in VEO["aliases"] if now[one["name"]] == ours[one["name"]]]
    return catalogue.changed({"aliases": aliases})


_BARE = Platform(
    name="flow",
    title="Flow",
    base_url=google.BASE_URL,
    key_variables=google.KEY_VARIABLES,
    owner="google",
    chat=google.GENERATE,
    catalogue=CATALOGUE,
    options=(
        Option(
            "ENGINE",
            ENGINES[0],
            "what is behind the names of Veo: `omni`, or `veo` where the base address has it",
        ),
    ),
    equip=_equipped,
)
PLATFORM = _equipped(_BARE, {}, None)
