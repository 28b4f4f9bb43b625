"""xAI's models for pictures and films: which there are, what each takes and what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from app.simulators.grok_models import described
from app.simulators.openai_checks import Refused

USD = 10_000_000_000  # ticks

PICTURE_RATIOS = tuple("1:1 3:4 4:3 9:16 16:9 2:3 3:2 9:19.5 19.5:9 9:20 20:9 1:2 2:1 auto".split())
FILM_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3")
LINES = {"480p": 480, "720p": 720, "1080p": 1080}  # the short side
AREAS = {"1k": 2**20, "2k": 2**22}  # pixels in all, about

ALIASES = {
    "grok-imagine-video-beta": "grok-imagine-video",
    "grok-imagine-video-1.5-preview": "grok-imagine-video-1.5",
}


@dataclass(frozen=True, slots=True)
class Painter:
    """A model for pictures; `prices` in ticks, by resolution."""

    prices: dict[str, int]
    auto: bool = False  # may choose the ratio itself


@dataclass(frozen=True, slots=True)
class Director:
    """A model for films; `prices` in ticks for a second, by resolution."""

    prices: dict[str, int]
    voices: bool = False  # takes reference audios


PAINTERS: dict[str, Painter] = {
    "grok-imagine-image": Painter({"1k": USD // 50, "2k": USD // 50}),
    "grok-imagine-image-quality": Painter({"1k": USD // 20, "2k": USD * 7 // 100}),
    "grok-imagine-image-2.0": Painter({"1k": USD // 20, "2k": USD * 7 // 100}, auto=True),
}
_FIRST = Director({"480p": USD // 20, "720p": USD * 7 // 100})
DIRECTORS: dict[str, Director] = {
    "grok-imagine-video": _FIRST,
    "grok-imagine-video-1.5": Director({**_FIRST.prices, "1080p": USD // 5}, voices=True),
    "grok-imagine-video-1.5-lite": replace(_FIRST),
}


def painter(model: str) -> Painter:
    """Raises the vendor's 404 where there is none."""
    if model not in PAINTERS:
        raise _unknown(model)
    return PAINTERS[model]


def described_painter(model: str) -> dict[str, Any]:
    """As `/image-generation-models` tells of it: the price is in cents for a picture."""
    return described(model) | {
        "fingerprint": "fp_0123456789",
        "version": "1.0",
        "input_modalities": ["text", "image"],
        "output_modalities": ["image"],
        "prompt_text_token_price": 0,
        "prompt_image_token_price": 0,
        "image_price": PAINTERS[model].prices["1k"] * 100 // USD,
        "max_prompt_length": 8000,
        "aliases": [],
    }


def director(model: str) -> Director:
    """Raises the vendor's 404 where there is none."""
    if ALIASES.get(model, model) not in DIRECTORS:
        raise _unknown(model)
    return DIRECTORS[ALIASES.get(model, model)]


def picture_size(width: float, height: float, resolution: str) -> tuple[int, int]:
    """Sides of this proportion, multiples of 16, of about as many pixels as the resolution has."""
    across = math.sqrt(AREAS[resolution] * width / height)
    return _sixteenth(across), _sixteenth(across * height / width)


def film_size(ratio: str, resolution: str) -> tuple[int, int]:
    across, down = (int(side) for side in ratio.split(":"))
    short = LINES[resolution]
    long = round(short * max(across, down) / min(across, down) / 2) * 2
    return (long, short) if across > down else (short, long)


def proportion(ratio: str) -> tuple[float, float]:
    across, _, down = ratio.partition(":")
    return float(across), float(down)


def _sixteenth(side: float) -> int:
    return max(16, round(side / 16) * 16)


def _unknown(model: str) -> Refused:
    return Refused(
        f"The model {model} does not exist or your team does not have access to it.",
        code="Some requested entity was not found",
        status=404,
    )
