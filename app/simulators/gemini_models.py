"""The models Gemini serves, and which of them refuses what.

Only documented ids are served, so that a misspelt one is found out; what a model refuses is looked
up by the first pattern that matches its id. Some names are aliases or are routed to a newer model, which a reply
tells in `modelVersion`. A model that was shut down is a 404, with words of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from app.simulators.gemini_checks import Refused

GONE = re.compile(r"gemini-2\.5-flash-image|imagen-|veo-")

ROUTED: dict[str, str] = {
    "gemini-3.7-flash": "gemini-3.8-flash",
    "gemini-3.5-flash": "gemini-3.6-flash",
    "gemini-flash-latest": "gemini-3.8-flash",
    "gemini-pro-latest": "gemini-3.1-pro-preview",
}

LISTED: dict[str, str] = {
    "gemini-4-argon": "Gemini 4 Argon",
    "gemini-3.8-flash": "Gemini 3.8 Flash",
    "gemini-3.6-flash": "Gemini 3.6 Flash",
    "gemini-3.5-flash-lite": "Gemini 3.5 Flash-Lite",
    "gemini-3.1-pro-preview": "Gemini 3.1 Pro Preview",
    "gemini-3.1-flash-lite": "Gemini 3.1 Flash-Lite",
    "gemini-2.5-pro": "Gemini 2.5 Pro",
    "gemini-2.5-flash": "Gemini 2.5 Flash",
    "gemini-2.5-flash-lite": "Gemini 2.5 Flash-Lite",
    "gemini-flash-latest": "Gemini Flash Latest",
    "gemini-pro-latest": "Gemini Pro Latest",
    "gemini-nano-banana-2.1": "Nano Banana 2.1",
    "gemini-3-pro-image": "Nano Banana Pro",
    "gemini-3.1-flash-lite-image": "Nano Banana 2 Lite",
}

UNLISTED = frozenset("""gemini-2.0-flash gemini-3-pro-preview gemini-3.1-flash-image
    gemini-3.1-pro-preview-customtools gemma-3-27b-it""".split())  # served all the same

RATIOS = tuple("1:1 1:4 4:1 1:8 8:1 2:3 3:2 3:4 4:3 4:5 5:4 9:16 16:9 21:9".split())
TEN_RATIOS = tuple("1:1 2:3 3:2 3:4 4:3 4:5 5:4 9:16 16:9 21:9".split())
LOW_UP = ("LOW", "MEDIUM", "HIGH")
MINIMAL_UP = ("MINIMAL", *LOW_UP)


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model is like; the defaults are those of Gemini 3.6.

    `levels` are the thinking levels it takes, `budget` the least and greatest thinking budget,
    `can_stop` whether a budget of 0 turns thinking off, and `signed` whether function calls come
    with ids and with signatures that must come back. `hop` is the most output of one request,
    streamed and not, for a model whose answers can be continued. `shows_thoughts` is whether thoughts
    come unasked.
    """

    levels: tuple[str, ...] = MINIMAL_UP
    budget: tuple[int, int] | None = (0, 65_536)
    can_stop: bool = False
    thinks: bool = True
    thinks_unasked: bool = True
    shows_thoughts: bool = False
    signed: bool = True
    ends_with_user: bool = True
    mixes_tools: bool = True
    many_candidates: bool = False
    penalties: bool = False
    sizes: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ()
    most_images: int = 0
    hop: tuple[int, int] | None = None
    window: int = 1_048_576
    output: int = 65_536

    @property
    def draws(self) -> bool:
        return bool(self.sizes)


_NEW = Traits()
_THREE = replace(_NEW, ends_with_user=False)
_OLD = Traits(
    levels=(),
    budget=(0, 24_576),
    can_stop=True,
    signed=False,
    ends_with_user=False,
    mixes_tools=False,
    many_candidates=True,
    penalties=True,
)
_DRAWS = Traits(
    levels=("MINIMAL", "MEDIUM", "HIGH"),
    signed=False,
    sizes=("1K", "2K", "4K"),
    ratios=RATIOS,
    most_images=14,
    window=131_072,
    output=32_768,
)

_TRAITS: tuple[tuple[str, Traits], ...] = (
    (r"gemini-nano-banana", _DRAWS),
    (
        r"gemini-3-pro-image",
        replace(_DRAWS, levels=LOW_UP, ratios=TEN_RATIOS, shows_thoughts=True),
    ),
    (r"gemini-3\.1-flash-lite-image", replace(_DRAWS, levels=("MINIMAL",), sizes=("1K",))),
    (
        r"gemini-.*-image",
        replace(_DRAWS, levels=("MINIMAL", "HIGH"), sizes=("512", "1K", "2K", "4K")),
    ),
    (r"gemini-4", replace(_NEW, levels=LOW_UP, hop=(65_536, 32_768))),
    (r"gemini-3\.[89]", replace(_NEW, levels=LOW_UP)),
    (r"gemini-3\.(6|5-flash-lite)", _NEW),
    (r"gemini-3.*pro", replace(_THREE, levels=LOW_UP)),
    (r"gemini-3", _THREE),
    (r"gemini-2\.5-pro", replace(_OLD, budget=(128, 32_768), can_stop=False)),
    (r"gemini-2\.5-flash-lite", replace(_OLD, budget=(512, 24_576), thinks_unasked=False)),
    (r"gemini-2\.5", _OLD),
    (r"gemini-[012]|gemma|learnlm", replace(_OLD, budget=None, thinks=False)),
)


def resolved(model: str, version: str = "v1beta") -> str:
    """The model that answers; raises the vendor's 404 for one it does not have."""
    if GONE.match(model):
        raise Refused(
            f"models/{model} is no longer available. Please update your code to use a newer model "
            "for the latest features and improvements.",
            "NOT_FOUND",
        )
    found = ROUTED.get(model, model)
    if found not in LISTED and found not in UNLISTED:
        raise Refused(
            f"models/{model} is not found for API version {version}, or is not supported for "
            "generateContent. Call ListModels to see the list of available models and their "
            "supported methods.",
            "NOT_FOUND",
        )
    return found


def traits(model: str) -> Traits:
    """What to expect of this model."""
    for pattern, found in _TRAITS:
        if re.match(pattern, model):
            return found
    return _NEW


def described(model: str) -> dict[str, Any]:
    """A model as the models route shows it."""
    found = traits(ROUTED.get(model, model))
    return {
        "name": f"models/{model}",
        "version": model.removeprefix("gemini-").partition("-")[0],
        "displayName": LISTED.get(model, model),
        "description": f"The offline simulator of {LISTED.get(model, model)}",
        "inputTokenLimit": found.window,
        "outputTokenLimit": found.output,
        "supportedGenerationMethods": ["generateContent", "countTokens", "batchGenerateContent"],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
        "maxTemperature": 2,
        **({"thinking": True} if found.thinks else {}),
    }


def listing(size: int, token: str, more: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """One page of the models; the token of the next one is a number in disguise."""
    models = [*(described(model) for model in LISTED), *more]
    try:
        start = int(token.removeprefix("page-")) if token else 0
    except ValueError:
        raise Refused("Invalid value for page_token.") from None
    following = {"nextPageToken": f"page-{start + size}"} if start + size < len(models) else {}
    return {"models": models[start : start + size], **following}
