"""The operator's days, which may begin at another hour than midnight in UTC, and their months."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from app.account import month_of

DAY = 86400


@dataclass(frozen=True, slots=True)
class Days:
    """Days are numbered since 1970; each begins so many seconds after midnight."""

    starts: float = 0.0

    def day(self, now: float) -> int:
        return int((now - self.starts) // DAY)

    def day_ends(self, day: int) -> float:
        return (day + 1) * DAY + self.starts

    def month_ends(self, day: int) -> float:
        """When the month of this day is over."""
        year, month = divmod(month_of(day) + 1, 12)
        first = datetime.datetime(year, month + 1, 1, tzinfo=datetime.timezone.utc)
        return first.timestamp() + self.starts
