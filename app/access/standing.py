"""What is left of the limits that a call has met, as its answer says."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Allotment:
    """How much of something there is until it begins anew in so many seconds."""

    limit: int
    used: int
    seconds: float

    @property
    def left(self) -> int:
        return max(self.limit - self.used, 0)


class Standing:
    """Of the limits of a minute and of a day, the one that is nearer to its end."""

    __slots__ = ("requests", "tokens")

    def __init__(self) -> None:
        self.requests: Allotment | None = None
        self.tokens: Allotment | None = None

    def meet_requests(self, found: Allotment) -> None:
        self.requests = _tighter(self.requests, found)

    def meet_tokens(self, found: Allotment) -> None:
        self.tokens = _tighter(self.tokens, found)

    def headers(self) -> dict[str, str]:
        """What there is, what is left of it, and when it begins anew (C-243)."""
        found: dict[str, str] = {}
        for of, one in (("requests", self.requests), ("tokens", self.tokens)):
            if one is not None:
                found[f"x-ratelimit-limit-{of}"] = str(one.limit)
                found[f"x-ratelimit-remaining-{of}"] = str(one.left)
                found[f"x-ratelimit-reset-{of}"] = span(one.seconds)
        return found


def _tighter(known: Allotment | None, found: Allotment) -> Allotment:
    """Of two that leave as little, the one that does so for longer."""
    if known is None or (found.left, -found.seconds) < (known.left, -known.seconds):
        return found
    return known


def span(seconds: float) -> str:
    """A time as OpenAI writes it: `6m0s`."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
    )
