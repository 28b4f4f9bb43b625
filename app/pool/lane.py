"""Whose turn it is. A lane holds the credentials that may serve one kind of call, in tiers of equal
priority. Within a tier each comes in turn as often as its weight says; of those whose turn it is at
the same time, the least busy one serves.

A turn is a whole number that grows by a stride, which is shorter the more weight there is, so the
shares are exact. A credential that cannot serve is set aside until there is news of it, and takes up
with the others where they are by then: it does not catch up on what it missed.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from zlib import crc32

from app.pool.member import Member

STRIDE = 720_720  # divides evenly by every weight up to 16
MOST_TIED = 4  # of those whose turn it is, how many are compared
MOST_DRAWS = 16  # for a session, before it is served like any other call


@dataclass(slots=True)
class Place:
    """A member's place in a tier. `extra` are strides of calls that came out of turn."""

    turn: int
    order: int
    member: Member
    stride: int
    extra: int = 0


class Tier:
    """The members of one priority."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.places = [
            Place(0, order, member, STRIDE // member.credential.weight)
            for order, member in enumerate(members)
        ]
        self.turn = 0  # of the call before
        self._waiting = [(0, place.order, place) for place in self.places]  # a heap by turn
        self._aside: list[tuple[float, int, Place]] = []  # a heap by when to look again
        self._ends: list[int] = []

    def pick(self, model: str, now: float, but: Collection[str]) -> Member | None:
        """The member whose turn it is, among those that can serve and are not in `but`."""
        tied, hindered, left_out = list[Place](), list[Place](), list[Place]()
        while self._aside and self._aside[0][0] <= now:
            self._put_back(heapq.heappop(self._aside)[2])
        while len(tied) < MOST_TIED and (place := self._next(tied)) is not None:
            hindrance = place.member.hindrance(model, now)
            if hindrance is not None and hindrance.until > now:
                heapq.heappush(self._aside, (hindrance.until, place.order, place))
            elif hindrance is not None:
                hindered.append(place)
            elif place.member.credential.id in but:
                left_out.append(place)
            else:
                tied.append(place)
        best = min(tied, key=lambda place: place.member.busy, default=None)
        if best is not None:
            self.turn = best.turn
            best.turn += best.stride
        for place in hindered:
            self._put_back(place)
        for place in (*left_out, *tied):
            heapq.heappush(self._waiting, (place.turn, place.order, place))
        return best.member if best is not None else None

    def _next(self, tied: list[Place]) -> Place | None:
        """Takes out the next place whose turn is that of the tied ones, if any are."""
        waiting = self._waiting
        while waiting and not (tied and waiting[0][0] != tied[0].turn):
            place = heapq.heappop(waiting)[2]
            if not place.extra:
                return place
            place.turn, place.extra = place.turn + place.extra, 0
            heapq.heappush(waiting, (place.turn, place.order, place))
        return None

    def draw(self, session: bytes, model: str, now: float, but: Collection[str]) -> Member | None:
        """A member for a new session: the same in every worker, whatever their turns."""
        if not self._ends:
            self._ends = list(accumulate(place.member.credential.weight for place in self.places))
        for attempt in range(MOST_DRAWS):
            point = crc32(session, attempt * 2654435761 % 2**32) % self._ends[-1]
            place = self.places[bisect_right(self._ends, point)]
            member = place.member
            if member.credential.id not in but and member.hindrance(model, now) is None:
                place.extra += place.stride
                return member
        return None

    def turns(self) -> list[tuple[Place, int]]:
        """Every place with the turn it would have if it were looked at now."""
        aside = {place.order for _, _, place in self._aside}
        return [
            (
                place,
                (max(place.turn, self.turn) if place.order in aside else place.turn) + place.extra,
            )
            for place in self.places
        ]

    def wake(self) -> None:
        """Looks at everyone again: something is no longer held against somebody."""
        for _, _, place in self._aside:
            self._put_back(place)
        self._aside.clear()

    def _put_back(self, place: Place) -> None:
        place.turn = max(place.turn, self.turn)
        heapq.heappush(self._waiting, (place.turn, place.order, place))


class Lane:
    """The tiers, highest priority first. A lower one serves where nobody in a higher one can."""

    def __init__(self, members: Iterable[Member]) -> None:
        found: dict[int, list[Member]] = {}
        for member in members:
            found.setdefault(member.credential.priority, []).append(member)
        self.tiers = [Tier(found[priority]) for priority in sorted(found, reverse=True)]

    def pick(
        self, model: str, now: float, but: Collection[str] = (), session: bytes = b""
    ) -> Member | None:
        for tier in self.tiers:
            if session and (member := tier.draw(session, model, now, but)) is not None:
                return member
            if (member := tier.pick(model, now, but)) is not None:
                return member
        return None

    def wake(self) -> None:
        for tier in self.tiers:
            tier.wake()

    def turns(self) -> Iterator[tuple[Place, int]]:
        for tier in self.tiers:
            yield from tier.turns()
