"""What somebody may use, as columns and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.limits import AMOUNTS, BOUNDLESS, RATES, Allowance


def allowance_columns(allowance: Allowance) -> dict[str, int | None]:
    rates = {name: getattr(allowance.limits, name) for name in RATES}
    return rates | {name: getattr(allowance, name) for name in AMOUNTS}


def read_allowance(values: Mapping[Any, Any]) -> Allowance:
    return BOUNDLESS.changed({name: values[name] for name in (*RATES, *AMOUNTS)})
