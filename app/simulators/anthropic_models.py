"""The models Anthropic serves, and which of them refuses what.

Only documented ids are served, so that a misspelt one is found out; what a model refuses is looked
up by the first pattern that matches its id. An alias is answered with the dated id it stands for, so the model in
a reply is not always the one that was asked for. A retired model is as unknown as a wrong one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from app.simulators.anthropic_checks import Refused

CREATED = "2026-01-01T00:00:00Z"

ALIASES: dict[str, str] = {
    "claude-haiku-4-5": "claude-haiku-4-5-20251001",
    "claude-sonnet-4-5": "claude-sonnet-4-5-20250929",
    "claude-opus-4-5": "claude-opus-4-5-20251101",
}

LISTED: dict[str, str] = {
    "claude-haiku-5-5": "Claude Haiku 5.5",
    "claude-sonnet-5-5": "Claude Sonnet 5.5",
    "claude-opus-5-5": "Claude Opus 5.5",
    "claude-fable-5-1": "Claude Fable 5.1",
    "claude-mythos-5": "Claude Mythos 5",
    "claude-fable-5": "Claude Fable 5",
    "claude-opus-5": "Claude Opus 5",
    "claude-sonnet-5": "Claude Sonnet 5",
    "claude-opus-4-8": "Claude Opus 4.8",
    "claude-opus-4-7": "Claude Opus 4.7",
    "claude-sonnet-4-6": "Claude Sonnet 4.6",
    "claude-opus-4-6": "Claude Opus 4.6",
    "claude-opus-4-5-20251101": "Claude Opus 4.5",
    "claude-haiku-4-5-20251001": "Claude Haiku 4.5",
    "claude-sonnet-4-5-20250929": "Claude Sonnet 4.5",
}

FIVE = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model is like; the defaults are those of the newest generation.

    `unasked` tells whether it thinks when `thinking` is left out. `disabled` is yes, no, or
    `calm`: only at an effort of high or less. `sampling` is free, default (only the default value
    may be sent) or none. `bound` thinking blocks go back to the model that made them only.
    """

    window: int = 1_000_000
    output: int = 128_000
    unasked: bool = True
    enabled: bool = False
    adaptive: bool = True
    disabled: str = "calm"
    between_tools: bool = False
    sampling: str = "none"
    forced: bool = True
    prefill: bool = False
    efforts: tuple[str, ...] = FIVE
    shows_thoughts: bool = False
    system_turns: bool = True
    bound: bool = False
    cache_from: int = 512

    @property
    def always_thinks(self) -> bool:
        return self.unasked and self.disabled == "no" and not self.between_tools


_NEW = Traits()
_PLAIN = Traits(unasked=False, disabled="yes", system_turns=False, cache_from=1024)
_FOUR_SIX = replace(
    _PLAIN,
    enabled=True,
    sampling="free",
    efforts=("low", "medium", "high", "max"),
    shows_thoughts=True,
)
_FOUR_FIVE = replace(
    _FOUR_SIX, window=200_000, output=64_000, adaptive=False, prefill=True, efforts=()
)
_ALWAYS = replace(_NEW, disabled="no")

_TRAITS: tuple[tuple[str, Traits], ...] = (
    (r"claude-3", replace(_FOUR_FIVE, enabled=False)),
    (r"claude-haiku-4", replace(_FOUR_FIVE, cache_from=4096)),
    (r"claude-(sonnet-4-5|(opus|sonnet)-4(-2|$))", _FOUR_FIVE),
    (r"claude-opus-4-5", replace(_FOUR_FIVE, efforts=FIVE[:3], cache_from=4096)),
    (r"claude-(opus|sonnet)-4-6", _FOUR_SIX),
    (r"claude-opus-4-7", _PLAIN),
    (r"claude-opus-4-8", replace(_PLAIN, system_turns=True)),
    (
        r"claude-sonnet-5(?!-5)",
        replace(_NEW, disabled="yes", sampling="default", system_turns=False),
    ),
    (r"claude-(fable|mythos)-5(?!-1)", replace(_ALWAYS, system_turns=False)),
    (r"claude-(fable-5-1|opus-5-5)", replace(_ALWAYS, forced=False, bound=True)),
    (
        r"claude-sonnet-5-5",
        replace(_NEW, disabled="no", between_tools=True, forced=False, bound=True),
    ),
)


def resolved(model: str) -> str:
    """The id an alias stands for; raises the vendor's 404 for a model it does not have."""
    found = ALIASES.get(model, model)
    if found not in LISTED:
        raise Refused(f"model: {model}", 404, "not_found_error")
    return found


def traits(model: str) -> Traits:
    """What to expect of this model."""
    for pattern, found in _TRAITS:
        if re.match(pattern, model):
            return found
    return _NEW


def described(model: str) -> dict[str, Any]:
    """A model as the models route shows it."""
    found = traits(model)
    thinking = {
        "enabled": found.enabled,
        "adaptive": found.adaptive,
        "disabled": found.disabled != "no",
        "between_tools": found.between_tools,
    }
    return {
        "type": "model",
        "id": model,
        "display_name": LISTED.get(model, model),
        "created_at": CREATED,
        "lifecycle": "active",
        "max_input_tokens": found.window,
        "max_tokens": found.output,
        "capabilities": {
            **{name: _can(True) for name in ("batch", "citations", "code_execution")},
            "context_management": _can(True),
            "effort": {
                **_can(bool(found.efforts)),
                **{each: _can(each in found.efforts) for each in FIVE},
            },
            **{name: _can(True) for name in ("image_input", "pdf_input", "structured_outputs")},
            "server_tools": {**_can(True), "code_execution": _can(True), "web_search": _can(True)},
            "thinking": {
                **_can(True),
                "types": {name: _can(able) for name, able in thinking.items()},
            },
        },
    }


def listing(limit: int, after: str | None, before: str | None) -> dict[str, Any]:
    """One page of the models; raises for a cursor that names no model."""
    ids = list(LISTED)
    for name, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in ids:
            raise Refused(f"{name}: no model has the id {cursor}")
    if after is not None:
        rest = ids[ids.index(after) + 1 :]
        page = rest[:limit]
    elif before is not None:
        rest = ids[: ids.index(before)]
        page = rest[-limit:]
    else:
        rest, page = ids, ids[:limit]
    return {
        "data": [described(model) for model in page],
        "has_more": len(page) < len(rest),
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }


def _can(able: bool) -> dict[str, Any]:
    return {"supported": able}
