"""What a credential has spent of the money that it may spend."""

from __future__ import annotations

from dataclasses import dataclass

from app.days import Days, month_of
from app.limits import Allowance
from app.money import dollars
from app.pool.hindrance import NEVER, Hindrance

BUDGETS = ("credit", "budget_total", "budget_month", "budget_day")


@dataclass(frozen=True, slots=True)
class Spent:
    """What the ledger has charged for a credential, as of this day."""

    day: int = 0
    of_day: int = 0
    of_month: int = 0
    total: int = 0


class Purse:
    """One for each credential with budgets, in each worker. What the ledger said last counts, and what
    this worker has charged since: `own`.
    """

    __slots__ = ("allowance", "own", "_days", "_spent")

    def __init__(self, allowance: Allowance, days: Days) -> None:
        self.allowance = allowance
        self.own = 0
        self._days = days
        self._spent = Spent()

    def hindrance(self, now: float) -> Hindrance | None:
        """The budget that is spent, if one is."""
        allowance, spent = self.allowance, self._spent
        if allowance.credit_until is not None and now >= allowance.credit_until:
            return Hindrance("credit", "its time is over", NEVER)
        today = self._days.day(now)
        is_today = spent.day >= today
        is_month = is_today or month_of(spent.day) == month_of(today)
        for kind, had, most in (
            ("credit", spent.total, allowance.credit),
            ("budget_total", spent.total, allowance.total),
            ("budget_month", spent.of_month if is_month else 0, allowance.month),
            ("budget_day", spent.of_day if is_today else 0, allowance.day),
        ):
            if most is not None and had + self.own >= most:
                why = f"{dollars(had + self.own)} of {dollars(most)} dollars spent"
                return Hindrance(kind, why, self._ends(kind, max(today, spent.day)))
        return None

    def _ends(self, kind: str, day: int) -> float:
        if kind == "budget_day":
            return self._days.day_ends(day)
        return self._days.month_ends(day) if kind == "budget_month" else NEVER

    def hear(self, spent: Spent, own: int) -> None:
        """What the ledger says by now. So much of our own it knew before it was asked."""
        self._spent = spent
        self.own = max(self.own - own, 0)
