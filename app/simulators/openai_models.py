"""The models OpenAI serves, and which of them refuses what.

Only documented ids are served, so that a misspelt one is found out; their dated snapshots and
fine-tuned forms too. Models that draw are listed beside the others and take no part in chats.

What a model refuses is looked up by the first pattern that matches its id. Reasoning models refuse
sampling parameters unless their effort is `none`; from gpt-5.4 on Chat Completions refuses function
tools while the model reasons, which it does unless told otherwise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from app.simulators.openai_checks import Refused

_SNAPSHOT = re.compile(r"-\d{4}-\d\d-\d\d$", re.ASCII)
OWNER = "system"
CREATED = 1_775_000_000

LISTED: dict[str, str | None] = {
    "gpt-6-astra": None,
    "gpt-6.1-sol": None,
    "gpt-6.1-terra": None,
    "gpt-6-sol": None,
    "gpt-6-luna": None,
    "gpt-5.6-sol": None,
    "gpt-5.6-terra": None,
    "gpt-5.6-luna": None,
    "gpt-5.5": None,
    "gpt-5.4": None,
    "gpt-5.4-mini": None,
    "gpt-5.4-nano": None,
    "gpt-5.3-codex": None,
    "gpt-5.2": None,
    "gpt-5.2-pro": None,
    "gpt-5.1": None,
    "gpt-5": "2026-12-11",
    "gpt-5-mini": "2026-12-11",
    "gpt-5-nano": "2026-12-11",
    "gpt-5-pro": "2026-12-11",
    "o3": "2026-12-11",
    "o3-pro": "2026-12-11",
    "gpt-4o": "2027-01-14",
    "gpt-4o-mini": "2027-01-14",
    "gpt-4.1": "2027-01-14",
    "gpt-4.1-mini": "2027-01-14",
    "gpt-5-search-api": None,
}

PICTURES = (
    "gpt-image-2.6-sunburst",
    "gpt-image-2.6-flare",
    "gpt-image-2.5-sunburst",
    "gpt-image-2.5-sunburst-2026-09-08",
    "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08",
    "gpt-image-2",
    "gpt-image-2-2026-04-21",
    "gpt-image-1.5",
    "gpt-image-1-mini",
    "chatgpt-image-latest",
)

UNLISTED = frozenset(
    """chatgpt-4o-latest gpt-5-codex gpt-5.1-codex gpt-5.1-codex-max gpt-5.1-codex-mini
    gpt-5.2-codex""".split()
)  # served all the same


@dataclass(frozen=True, slots=True)
class Traits:
    """What a model is like. No efforts: it does not reason. `default` is what it does unasked."""

    efforts: tuple[str, ...] = ()
    default: str = "medium"
    chat_tools_while_reasoning: bool = True

    @property
    def reasons(self) -> bool:
        return bool(self.efforts)


_NEW = ("none", "low", "medium", "high", "xhigh", "max")
_TRAITS: tuple[tuple[str, Traits], ...] = (
    (r"chatgpt-|gpt-[34]|gpt-5-chat|gpt-5-search|gpt-audio|ft:gpt-[34]", Traits()),
    (r"gpt-6-astra|gpt-6\.1-sol", Traits(_NEW[1:], chat_tools_while_reasoning=False)),
    (r"gpt-(5\.6|[6-9])", Traits(_NEW, chat_tools_while_reasoning=False)),
    (r"gpt-5\.[45]", Traits(_NEW[:5], chat_tools_while_reasoning=False)),
    (r"gpt-5\.[23]|gpt-5\.1-codex-max|codex-", Traits(_NEW[:5])),
    (r"gpt-5\.1", Traits(_NEW[:4])),
    (r"gpt-5-pro", Traits(("high",), default="high")),
    (r"gpt-5", Traits(("minimal", "low", "medium", "high"))),
    (r"o\d", Traits(("low", "medium", "high"))),
)


def traits(model: str) -> Traits:
    """What to expect of this model."""
    for pattern, found in _TRAITS:
        if re.match(pattern, model):
            return found
    return Traits()


def known(model: str) -> bool:
    tuned, _, rest = model.partition(":")
    base = _SNAPSHOT.sub("", rest.partition(":")[0] if tuned == "ft" else model)
    return base in LISTED or base in UNLISTED


def draws(model: Any) -> bool:
    """Whether it makes pictures."""
    return model in PICTURES


def require_known(model: str) -> None:
    """Raises the vendor's 404 for a model it does not have."""
    if not known(model):
        raise Refused(
            f"The model `{model}` does not exist or you do not have access to it.",
            None,
            "model_not_found",
            status=404,
        )


def effort_of(model: str, asked: str | None, at: str) -> str:
    """The effort the model will spend, `none` for one that does not reason."""
    found = traits(model)
    if asked is None:
        return found.default if found.reasons else "none"
    if not found.reasons:
        raise Refused(
            f"Unsupported parameter: '{at}' is not supported with this model.",
            at,
            "unsupported_parameter",
        )
    if asked not in found.efforts:
        listed = ", ".join(f"'{each}'" for each in found.efforts)
        raise Refused(
            f"Unsupported value: '{at}' does not support '{asked}' with this model. "
            f"Supported values are: {listed}.",
            at,
            "unsupported_value",
        )
    return asked


def require_no_sampling(model: str, effort: str, body: dict[str, Any]) -> None:
    """Raises when a model that is reasoning is told how to sample."""
    if effort == "none":
        return
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1, 1.0):
            raise Refused(
                f"Unsupported value: '{name}' does not support {body[name]} with this model. "
                "Only the default (1) value is supported.",
                name,
                "unsupported_value",
            )
    for name in ("logprobs", "top_logprobs"):
        if body.get(name):
            raise Refused(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                name,
                "unsupported_parameter",
            )


def speaks_in_phases(model: str) -> bool:
    """Whether messages say if they are commentary or the final answer: gpt-5.3-codex and later."""
    return re.match(r"gpt-(5\.[3-9]|[6-9])", model) is not None


def listing() -> dict[str, Any]:
    return {"object": "list", "data": [described(model) for model in (*LISTED, *PICTURES)]}


def described(model: str) -> dict[str, Any]:
    """A model object. One that is served but not listed is described all the same."""
    return {
        "id": model,
        "object": "model",
        "created": CREATED,
        "owned_by": OWNER,
        "shutdown_date": LISTED.get(model),
    }
