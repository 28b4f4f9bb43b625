"""Seals of other platforms, where chat completions have room for them.

A sealed thought is told once more in `reasoning_details`, beside its seal; the seal of a call sits
where Google's own compatible endpoint puts it. Clients that echo what they were given bring both
back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.canonical.parts import Opaque, Thinking, carry, uncarry

_PLACE = ("extra_content", "google", "thought_signature")


def write_call_seal(opaque: Opaque) -> dict[str, Any]:
    """The field that goes into a call."""
    return {"extra_content": {"google": {"thought_signature": carry(opaque)}}}


def read_call_seal(call: Mapping[str, Any]) -> Opaque | None:
    if _PLACE[0] not in call:
        return None
    found: Any = call
    for name in _PLACE:
        found = found.get(name) if isinstance(found, Mapping) else None
    return uncarry(found) if isinstance(found, str) else None


def write_detail(words: str, opaque: Opaque) -> dict[str, Any]:
    """An entry of `reasoning_details`."""
    return {"type": "reasoning.text", "text": words, "signature": carry(opaque)}


def read_details(message: Mapping[str, Any]) -> list[Thinking]:
    """The sealed thoughts of a message. Only those are of use to anybody; bare `reasoning_content`
    is not.
    """
    details = message.get("reasoning_details")
    thoughts: list[Thinking] = []
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and isinstance(seal := detail.get("signature"), str):
            words = detail.get("text")
            if (opaque := uncarry(seal)) is not None:
                thoughts.append(Thinking(words if isinstance(words, str) else "", opaque))
    return thoughts
