"""Why a credential cannot serve a call just now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.pool.rest import Rest

LOOK_AGAIN = 0.1  # seconds; a ramp makes room for more all the time
NEVER = float("inf")  # no time that passes ends it


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What hinders, and when to look again; `kind` is a rest's, or the name of a limit."""

    kind: str
    why: str
    until: float


def hindrance(
    rests: Mapping[tuple[str, str], Rest],
    let: Mapping[tuple[str, str], int],
    model: str,
    now: float,
) -> Hindrance | None:
    """The rest that keeps the longest from serving this model."""
    worst: Hindrance | None = None
    for key, rest in rests.items():
        if rest.model and rest.model != model:
            continue
        phase = rest.phase(now)
        if phase in ("over", "due"):
            continue
        if phase == "ramping" and let.get(key, 0) < rest.room(now):
            continue
        until = rest.next_look(now) if phase != "ramping" else now + LOOK_AGAIN
        if worst is None or until > worst.until:
            worst = Hindrance(rest.kind, f"{phase}: {rest.why}", until)
    return worst
