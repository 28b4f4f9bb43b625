"""How a credential stands, in a word."""

from __future__ import annotations

from app.pool.choice import Candidate
from app.pool.rest import Rest, Rules

WORST = ("retired", "resting", "probing", "ramping")


def condition(one: Candidate, now: float, rules: Rules) -> tuple[str, float | None]:
    """The worst that is held against it, and until when if that is known. What keeps it from serving any
    model comes before what keeps it from one; what only waits for a call to try it comes last.
    """
    held = [(rest, state(rest, now, rules)) for rest in one.rests.values()]
    worst = min(
        ((rest, word) for rest, word in held if word in WORST),
        key=lambda found: (bool(found[0].model), WORST.index(found[1]), -found[0].until),
        default=None,
    )
    if one.spent is not None and (worst is None or worst[0].model):
        return "at its limit", one.spent.until
    if worst is None:
        return "due" if any(word == "due" for _, word in held) else "ready", None
    rest, word = worst
    return f"partly {word}" if rest.model else word, ends(rest, now)


def state(rest: Rest, now: float, rules: Rules) -> str:
    phase = rest.phase(now)
    return "retired" if rest.is_retired(rules) and phase != "over" else phase


def ends(rest: Rest, now: float) -> float | None:
    """When a rest does that lasts; None where that is not known."""
    return rest.until if rest.phase(now) == "resting" else None
