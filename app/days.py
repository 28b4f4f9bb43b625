"""The operator's days, which may begin at another hour than midnight in UTC, and their months."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

DAY = 86400
FIRST = datetime.date(1970, 1, 1)  # the day of number 0


def month_of(day: int) -> int:
    """The month that a day is in. Both are numbered: days since 1970 begin, months since the year 0."""
    date = FIRST + datetime.timedelta(days=day)
    return date.year * 12 + date.month - 1


def month_begins(day: int) -> int:
    """The first day of the month that a day is in."""
    return day - (FIRST + datetime.timedelta(days=day)).day + 1


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
