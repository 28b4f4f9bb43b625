"""Why a credential serves or does not: everything that is held against it, or the worst of it in a
word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.cli.pooled import looking
from app.cli.words import Complaint, moment, said
from app.config import Settings
from app.platforms import PLATFORMS
from app.pool.choice import Candidate, Wanted
from app.pool.hindrance import NEVER
from app.pool.rest import Rest, Rules

WORST = ("retired", "resting", "probing", "ramping")


def reasons(chosen: Settings, name: str) -> list[dict[str, Any]]:
    """A line for each thing that is held against the credential of this name or label, or that was
    of late; one line that says so if there is nothing.
    """
    with looking(chosen) as pool:
        found = pool.find(name)
        if found is None:
            raise Complaint(
                f"there is no credential {said(name)}; `tokens credential list` shows all"
            )
        rows = list(_rows(found[1], pool.clock.now(), pool.rules))
    return rows or [_row("", "", "ready", "nothing is held against it")]


def _rows(one: Candidate, now: float, rules: Rules) -> Iterator[dict[str, Any]]:
    if not one.credential.enabled:
        yield _row("", "", "off", "it is switched off: `tokens credential enable` switches it on")
    if one.spent is not None:
        yield _row("", one.spent.kind, "at its limit", one.spent.why, until=one.spent.until)
    for rest in sorted(one.rests.values(), key=lambda rest: rest.since):
        state, until = _state(rest, now, rules), _until(rest, now)
        yield _row(rest.model, rest.kind, state, rest.why, rest.since, until, rest.step + 1)


def healths(chosen: Settings) -> dict[str, dict[str, str | None]]:
    """The worst that is held against each credential, by name, and until when if that is known."""
    with looking(chosen) as pool:
        now = pool.clock.now()
        return {
            one.credential.id: _health(one, now, pool.rules)
            for platform in PLATFORMS
            for one in pool.candidates(platform, Wanted(""))
        }


def _health(one: Candidate, now: float, rules: Rules) -> dict[str, str | None]:
    """What keeps it from serving any model comes before what keeps it from one; what only waits for a
    call to try it comes last.
    """
    held = [(rest, _state(rest, now, rules)) for rest in one.rests.values()]
    worst = min(
        ((rest, state) for rest, state in held if state in WORST),
        key=lambda found: (bool(found[0].model), WORST.index(found[1]), -found[0].until),
        default=None,
    )
    if one.spent is not None and (worst is None or worst[0].model):
        return {"health": "at its limit", "until": _moment(one.spent.until)}
    if worst is None:
        due = any(state == "due" for _, state in held)
        return {"health": "due" if due else "ready", "until": None}
    rest, state = worst
    return {
        "health": f"partly {state}" if rest.model else state,
        "until": _moment(_until(rest, now)),
    }


def _state(rest: Rest, now: float, rules: Rules) -> str:
    phase = rest.phase(now)
    return "retired" if rest.is_retired(rules) and phase != "over" else phase


def _until(rest: Rest, now: float) -> float | None:
    return rest.until if rest.phase(now) == "resting" else None


def _moment(seconds: float | None) -> str | None:
    """Rounded up: by then it is over."""
    return moment(int(seconds + 0.999)) if seconds and seconds != NEVER else None


def _row(
    model: str,
    kind: str,
    state: str,
    why: str,
    since: float | None = None,
    until: float | None = None,
    failures: int | None = None,
) -> dict[str, Any]:
    return {
        "model": model or "all",
        "kind": kind,
        "state": state,
        "why": why,
        "since": moment(int(since)) if since else None,
        "until": _moment(until),
        "failures": failures,
    }
