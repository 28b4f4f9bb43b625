"""A credential as one worker's pool knows it: what is held against it, and how busy it is."""

from __future__ import annotations

from collections import deque

from app.credential import Credential
from app.pool.hindrance import Hindrance, hindrance
from app.pool.purse import Purse
from app.pool.rest import Rest
from app.pool.tally import UNCOUNTED, Taken
from app.pool.use import Use

FAULTS = 5  # failures among the last `OF` calls, not older than `WITHIN` seconds, trip
OF = 10
WITHIN = 600.0


class Member:
    """One credential. `rests` are by model and kind, `let` how many calls each ramp let through."""

    __slots__ = ("credential", "rests", "let", "busy", "faults", "use", "purse")

    def __init__(self, credential: Credential, use: Use | None = None) -> None:
        self.credential = credential
        self.use = use
        self.purse: Purse | None = None
        self.rests: dict[tuple[str, str], Rest] = {}
        self.let: dict[tuple[str, str], int] = {}
        self.busy = 0
        self.faults: dict[str, deque[tuple[float, bool]]] = {}

    def hindrance(self, model: str, now: float) -> Hindrance | None:
        """What keeps it from serving this model, if anything does."""
        if self.purse is not None and (found := self.purse.hindrance(now)) is not None:
            return found
        if self.use is not None and (found := self.use.hindrance(now)) is not None:
            return found
        return hindrance(self.rests, self.let, model, now) if self.rests else None

    def spent(self, now: float) -> Hindrance | None:
        """The limit of its own that is used up, if one is."""
        found = self.purse.hindrance(now) if self.purse is not None else None
        return found or (self.use.hindrance(now) if self.use is not None else None)

    def due(self, model: str, now: float) -> list[Rest]:
        """The rests that the next call for this model probes."""
        if not self.rests:
            return []
        found = (rest for rest in self.rests.values() if rest.model in ("", model))
        return [rest for rest in found if rest.phase(now) == "due"]

    def begin(self, model: str, tokens: int, now: float) -> Taken | None:
        """A call goes out, unless another worker was quicker and a limit is used up. Gives what it took
        of the limits.
        """
        taken = UNCOUNTED if self.use is None else self.use.begin(tokens, now)
        if taken is None:
            return None
        self.busy += 1
        for key, rest in self.rests.items():
            if rest.model in ("", model) and rest.phase(now) == "ramping":
                self.let[key] = self.let.get(key, 0) + 1
        return taken

    def end(self) -> None:
        """A call is over."""
        self.busy -= 1

    def learn(self, rest: Rest) -> None:
        """Takes what is now held against it; what is over is forgotten on the way."""
        key = (rest.model, rest.kind)
        if rest.step < 0:
            self.rests.pop(key, None)
        else:
            self.rests[key] = rest
        self.let.pop(key, None)

    def trips(self, model: str, now: float) -> bool:
        """Notes a fault, and says whether there were too many of late."""
        calls = self.faults.setdefault(model, deque(maxlen=OF))
        calls.append((now, True))
        if sum(1 for at, bad in calls if bad and now - at <= WITHIN) < FAULTS:
            return False
        del self.faults[model]
        return True

    def went_well(self, model: str, now: float) -> None:
        """Notes that a call was accepted. Mostly there is nothing to weigh it against."""
        if self.faults and (calls := self.faults.get(model)) is not None:
            calls.append((now, False))
            if not any(bad for _, bad in calls):
                del self.faults[model]

    def sweep(self, now: float) -> None:
        """Forgets what has been over for long."""
        for key in [key for key, rest in self.rests.items() if rest.is_forgotten(now)]:
            del self.rests[key]
        for model in [model for model, calls in self.faults.items() if now - calls[-1][0] > WITHIN]:
            del self.faults[model]
