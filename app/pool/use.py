"""What a credential has used of its own limits."""

from __future__ import annotations

from dataclasses import replace

from app.limits import Limits
from app.pool.hindrance import LOOK_AGAIN, Hindrance
from app.pool.tally import Draw, Taken, Tally, over
from app.pool.window import SLIDING

SOON = 1.0  # seconds after which tokens that are held may be free again
LEAST = Draw(1, 0, 1)


class Use:
    """One for each credential with limits, in each worker."""

    def __init__(self, tally: Tally, name: str, limits: Limits) -> None:
        self._tally = tally
        self._name = name
        self.limits = limits
        self._refused: tuple[float, Hindrance] | None = None  # until when that is believed

    def hindrance(self, now: float) -> Hindrance | None:
        """The limit that is used up, if one is, as far as that is known without asking anybody."""
        if self._refused is not None:
            until, found = self._refused
            if now < until:
                return found
            self._refused = None
        short = over(self._tally.used(self._name, now), LEAST, self.limits, now)
        if short is not None and short.kind in ("rpm", "tpm") and self._tally.window is SLIDING:
            return replace(short, until=min(short.until, now + SOON))  # it may slide out any moment
        return short

    def begin(self, tokens: int, now: float) -> Taken | None:
        """Counts a call, if there is still room for it and for so many tokens."""
        found = self._tally.take(self._name, Draw(1, tokens, 1), self.limits, now)
        if isinstance(found, Taken):
            return found
        if found.kind in ("tpm", "tpd"):
            found = replace(found, until=min(found.until, now + SOON))
        self._refused = now + LOOK_AGAIN, found
        return None
