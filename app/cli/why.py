"""Why a credential serves or does not: everything that is held against it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.cli.pooled import looking
from app.cli.words import Complaint, moment, said
from app.config import Settings
from app.pool.choice import Candidate
from app.pool.rest import Rules


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
        state = (
            "retired" if rest.is_retired(rules) and rest.phase(now) != "over" else rest.phase(now)
        )
        until = rest.until if rest.phase(now) == "resting" else None
        yield _row(rest.model, rest.kind, state, rest.why, rest.since, until, rest.step + 1)


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
        "until": moment(int(until + 0.999)) if until else None,
        "failures": failures,
    }
