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
from app.pool.condition import condition, ends, state
from app.pool.hindrance import NEVER
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
        word, until = state(rest, now, rules), ends(rest, now)
        yield _row(rest.model, rest.kind, word, rest.why, rest.since, until, rest.step + 1)


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
    word, until = condition(one, now, rules)
    return {"health": word, "until": _moment(until)}


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
