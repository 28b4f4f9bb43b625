"""`GET /v1/usage`: what a licence has used, and what is left of what it may."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, g

from app.account import Account
from app.days import month_begins, month_of
from app.errors import NoAccess
from app.limits import Allowance
from app.money import dollars
from app.storage.licences import Licence
from app.web.access import require_access
from app.web.gateway import Gateway, gateway
from app.web.models import as_json

COUNTS = (
    "calls",
    "failed",
    "input",
    "output",
    "cached",
    "reasoning",
    "pictures",
    "seconds",
    "estimated",
    "unpriced",
)


def mount_usage(bp: Blueprint) -> None:
    @bp.get("/v1/usage")
    @require_access()
    def usage() -> Response:
        licence, hub = own_licence(), gateway()
        response = as_json(told(hub, licence.name, licence.allowance))
        response.headers["Cache-Control"] = "no-store"
        return response


def own_licence() -> Licence:
    """The licence that asks, where it is asked about itself."""
    found: Licence | None = g.caller.licence
    if found is None:
        raise NoAccess("a licence is required: put it in the Authorization header")
    return found


def told(hub: Gateway, licence: str, allowance: Allowance) -> dict[str, Any]:
    """Days as the operator has them begin; money in dollars."""
    now = hub.clock.now()
    today = hub.ledger.days.day(now)
    month = month_begins(today)
    spans = {"today": (today, today), "month": (month, today), "total": (0, today)}
    only = {"licence": licence}
    return {
        "object": "usage",
        "licence": licence,
        "as_of": int(now),
        **{name: _sum(hub, first, last, only) for name, (first, last) in spans.items()},
        "by_model": [
            _counted(row) | {"platform": row["platform"], "model": row["model"]}
            for row in hub.ledger_reading.report(("platform", "model"), month, today, only)
        ],
        "limits": _limits(hub, licence, allowance, today),
    }


def _sum(hub: Gateway, first: int, last: int, only: dict[str, str]) -> dict[str, Any]:
    rows = hub.ledger_reading.report((), first, last, only)
    return _counted(rows[0] if rows else dict.fromkeys((*COUNTS, "charge"), 0))


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in COUNTS} | {"charge": dollars(row["charge"])}


def _limits(hub: Gateway, licence: str, allowance: Allowance, today: int) -> dict[str, Any]:
    """What there is a limit of. `remaining` leaves out what is held back for calls on their way."""
    limits = allowance.limits
    account = hub.ledger.account(licence) if allowance.keeps_account else None
    account = account or Account(day=today, month=month_of(today))
    account.turn(today)
    plain = {
        "requests_per_minute": limits.rpm,
        "tokens_per_minute": limits.tpm,
        "concurrent_requests": limits.concurrency,
        "context_tokens": allowance.context,
        "output_tokens": allowance.output,
    }
    found: dict[str, Any] = {
        name: {"limit": most} for name, most in plain.items() if most is not None
    }
    ends = {"resets_at": _at(hub.ledger.days.day_ends(today))}
    if limits.rpd is not None:
        found["requests_per_day"] = _left(limits.rpd, account.day_calls, 0) | ends
    if limits.tpd is not None:
        found["tokens_per_day"] = _left(limits.tpd, account.day_tokens, account.held_tokens) | ends
    return found | _money(allowance, account, ends, _at(hub.ledger.days.month_ends(today)))


def _money(
    allowance: Allowance, account: Account, day: dict[str, str], month_ends: str
) -> dict[str, Any]:
    until = allowance.credit_until
    purses: tuple[tuple[str, int | None, int, dict[str, str]], ...] = (
        ("budget_per_day", allowance.day, account.day_money, day),
        ("budget_per_month", allowance.month, account.month_money, {"resets_at": month_ends}),
        ("budget", allowance.total, account.total_money, {}),
        (
            "credit",
            allowance.credit,
            account.total_money,
            {"expires_at": _at(until)} if until else {},
        ),
    )
    return {
        name: {word: dollars(sum_) for word, sum_ in _left(most, used, account.held_money).items()}
        | ends
        for name, most, used, ends in purses
        if most is not None
    }


def _left(most: int, used: int, held: int) -> dict[str, int]:
    return {"limit": most, "used": used, "remaining": max(most - used - held, 0)}


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
