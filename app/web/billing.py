"""OpenAI's former billing endpoints, by which chat clients show what is left (K-019): what a licence may
spend, and what it has spent, from the ledger.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Blueprint, Response, request

from app.days import FIRST, month_begins
from app.errors import BadRequest
from app.limits import Allowance
from app.money import MILLION
from app.storage.licences import Licence
from app.web.access import require_access
from app.web.gateway import Gateway, gateway
from app.web.models import as_json
from app.web.usage import own_licence

UNLIMITED = 100_000_000.0  # dollars; what servers of this kind tell where there is no limit
START = "start_date"
OF_CENT = MILLION // 100


def mount_billing(bp: Blueprint, platform: str = "") -> None:
    """The whole licence's, whatever the platform."""

    @bp.get("/v1/dashboard/billing/subscription")
    @require_access(platform)
    def subscription() -> Response:
        return _told(_subscription(gateway(), own_licence()))

    @bp.get("/v1/dashboard/billing/usage")
    @require_access(platform)
    def costs() -> Response:
        return _told(_costs(gateway(), own_licence().name))


def _told(found: dict[str, Any]) -> Response:
    response = as_json(found)
    response.headers["Cache-Control"] = "no-store"
    return response


def _subscription(hub: Gateway, licence: Licence) -> dict[str, Any]:
    most = _most(licence.allowance)
    ends = [one for one in (licence.allowance.credit_until, licence.expires_at) if one is not None]
    return {
        "object": "billing_subscription",
        "has_payment_method": True,
        "soft_limit_usd": most,
        "hard_limit_usd": most,
        "system_hard_limit_usd": most,
        "access_until": int(min(ends, default=0)),
    }


def _most(allowance: Allowance) -> float:
    """In dollars: of all that may ever be spent, or else in a month, or else in a day."""
    ever = [one for one in (allowance.total, allowance.credit) if one is not None]
    for found in (*sorted(ever)[:1], allowance.month, allowance.day):
        if found is not None:
            return found / MILLION
    return UNLIMITED


def _costs(hub: Gateway, licence: str) -> dict[str, Any]:
    """In cents, by day and model: of the days that are named, the last of which is not part of it; of this
    month if none are, or of the last one's.
    """
    today = hub.ledger.days.day(hub.clock.now())
    last = _day("end_date", today + 1) - 1
    first = _day(START, month_begins(last) if last > 0 else last)
    if first > last + 1:
        raise BadRequest("{field} must not be after end_date", param=START, field=START)
    rows = hub.ledger_reading.report(("day", "model"), first, last, {"licence": licence})
    days: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        line = {"name": row["model"], "cost": row["charge"] / OF_CENT}
        days.setdefault(row["day"], []).append(line)
    return {
        "object": "list",
        "total_usage": sum(row["charge"] for row in rows) / OF_CENT,
        "daily_costs": [
            {"timestamp": hub.ledger.days.day_ends(day - 1), "line_items": lines}
            for day, lines in days.items()
        ],
    }


def _day(name: str, usual: int) -> int:
    words = request.args.get(name)
    if not words:
        return usual
    try:
        return (date.fromisoformat(words[:10]) - FIRST).days
    except ValueError as error:
        raise BadRequest("{field} must be a day, as 2026-11-29", param=name, field=name) from error
