"""xAI's models: which there are, and what each of them takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from app.simulators.openai_checks import Refused

CREATED = 1_760_000_000
OWNER = "xai"
LISTED = (
    "grok-4.7",
    "grok-4.6",
    "grok-4.5",
    "grok-4.3",
    "grok-4.20-0309-reasoning",
    "grok-4.20-0309-non-reasoning",
    "grok-4.20-multi-agent-0309",
    "grok-build-0.1",
)
ALIASES = {
    "grok-latest": "grok-4.7",
    "grok-4.5-latest": "grok-4.5",
    "grok-4.3-latest": "grok-4.3",
    "grok-4.20": "grok-4.20-0309-reasoning",
    "grok-4.20-0309": "grok-4.20-0309-reasoning",
    "grok-4.20-reasoning": "grok-4.20-0309-reasoning",
    "grok-4.20-reasoning-latest": "grok-4.20-0309-reasoning",
    "grok-4.20-non-reasoning": "grok-4.20-0309-non-reasoning",
    "grok-4.20-non-reasoning-latest": "grok-4.20-0309-non-reasoning",
    "grok-4.20-multi-agent": "grok-4.20-multi-agent-0309",
}
_THREE = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Traits:
    """`efforts` that may be asked for, none = the parameter itself is refused. `discloses` = the
    words of its thoughts are told.
    """

    reasons: bool = True
    efforts: tuple[str, ...] = ()
    discloses: bool = True


_TRAITS: tuple[tuple[str, Traits], ...] = (
    (r"grok-4\.20.*non-reasoning", Traits(reasons=False)),
    (r"grok-4\.20-multi-agent", Traits(efforts=(*_THREE, "xhigh"))),
    (r"grok-4\.7", Traits(efforts=(*_THREE, "xhigh"), discloses=False)),
    (r"grok-4\.6", Traits(efforts=(*_THREE, "xhigh"))),
    (r"grok-4\.5", Traits(efforts=_THREE)),
    (r"grok-4\.3", Traits(efforts=("none", *_THREE))),
    (r"grok", Traits()),
)


def resolved(model: str) -> str:
    """The model behind a name; raises the vendor's 404 where there is none."""
    found = ALIASES.get(model, model)
    if found not in LISTED:
        raise Refused(
            f"The model {model} does not exist or your team does not have access to it.",
            code="Some requested entity was not found",
            status=404,
        )
    return found


def traits(model: str) -> Traits:
    return next(found for pattern, found in _TRAITS if re.match(pattern, model))


def described(model: str) -> dict[str, Any]:
    return {"id": model, "created": CREATED, "object": "model", "owned_by": OWNER}


def language_model(model: str) -> dict[str, Any]:
    """As `/language-models` tells of it: with prices, in cents for a hundred million tokens."""
    return described(model) | {
        "fingerprint": "fp_0123456789",
        "version": "1.0",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "prompt_text_token_price": 20000,
        "cached_prompt_text_token_price": 5000,
        "prompt_image_token_price": 20000,
        "completion_text_token_price": 60000,
        "search_price": 2500,
        "aliases": sorted(name for name, meant in ALIASES.items() if meant == model),
    }
