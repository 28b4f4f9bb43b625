"""Parameters of ours that ride along in a request: in the query, or in the body (C-118 to
C-137).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import BadRequest
from app.web.gateway import Defaults
from app.wire.dialect import ReasoningPlace

NAMES = frozenset(
    {
        "retry_attempt",
        "close_reasoning_content",
        "close_think_content",
        "return_reasoning_content",
        "thinking_budget",
        "resolution",
        "aspect_ratio",
        "strict",
    }
)
SHAPE = frozenset({"resolution", "aspect_ratio"})  # of what is made, where something is
TRUE = {"true": True, "1": True, "false": False, "0": False}
MOST_ATTEMPTS = 100
MOST_WHOLE = 2**53  # beyond this, JSON numbers are not exact


@dataclass(frozen=True, slots=True)
class Wishes:
    """How this one request should be treated."""

    retry_attempt: int
    reasoning: ReasoningPlace
    thinking_budget: int | None
    strict: bool


def read_wishes(query: Mapping[str, str], body: Mapping[str, Any], defaults: Defaults) -> Wishes:
    """The query wins over the body, and the body over the settings (C-120)."""
    given = {name: body[name] for name in NAMES & body.keys() if body[name] is not None}
    given.update((name, query[name]) for name in NAMES & query.keys())
    close = _boolean(given, "close_reasoning_content", None)
    if close is None:
        close = _boolean(given, "close_think_content", defaults.close_reasoning_content)
    apart = _boolean(given, "return_reasoning_content", defaults.return_reasoning_content)
    reasoning: ReasoningPlace = "none" if close else "field" if apart else "inline"
    attempts = _whole(given, "retry_attempt")
    if attempts is not None and not 0 <= attempts <= MOST_ATTEMPTS:
        raise BadRequest(
            "{field} must be a whole number from 0 to {most}",
            param="retry_attempt",
            field="retry_attempt",
            most=MOST_ATTEMPTS,
        )
    budget = _whole(given, "thinking_budget")
    if budget is not None and budget < -1:
        raise _not_whole("thinking_budget")
    attempts = defaults.retry_attempt if attempts is None else attempts
    return Wishes(attempts, reasoning, budget, bool(_boolean(given, "strict", False)))


def without_wishes(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that are not ours: what is asked of the platform."""
    return {name: value for name, value in body.items() if name not in NAMES - SHAPE}


def _boolean(given: Mapping[str, Any], name: str, default: bool | None) -> bool | None:
    if name not in given:
        return default
    value = given[name]
    found = value if isinstance(value, bool) else TRUE.get(str(value).strip().lower())
    if found is None:
        raise BadRequest("{field} must be true or false", param=name, field=name)
    return found


def _whole(given: Mapping[str, Any], name: str) -> int | None:
    if name not in given:
        return None
    value = given[name]
    if not isinstance(value, bool):
        try:
            number = float(value)
            if number == int(number) and abs(number) <= MOST_WHOLE:
                return int(number)
        except (TypeError, ValueError, OverflowError):
            pass  # told below, like every other value that is not a whole number
    raise _not_whole(name)


def _not_whole(name: str) -> BadRequest:
    return BadRequest("{field} must be a whole number", param=name, field=name)
