"""Counters that all workers of a host share, without a service: a file mapped into memory.

A slot belongs to a name with limits: a credential's, or a licence's. It counts requests and tokens of
the present minute and day, and in a column for each worker the calls that worker has going: where a
worker was killed, the next one to take its column clears it.

A slot is held by a lock on its bytes of the file for the few microseconds a change takes; the kernel
lets go where a process dies. Nothing is done under it but arithmetic, so a worker may wait for it in C,
which its greenlets could not see: within one worker nobody else can be at it, and another worker is
through before a switch would be. Workers that start look through all slots, and hold them one by one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from app.columns import Columns
from app.days import DAY
from app.pool.window import MINUTE

SLOTS = 16384
NEAR = 64  # slots that may be a name's; of these it is in one, or nowhere
WORKERS = 56
_HEAD = struct.Struct(
    "<16s8q"
)  # whose; minute, its requests and tokens, those before; day, its ...
_SLOT = 192
_SLOTS_AT = 1024
_PLACES = (768, 256)  # what is held to take a slot
SIZE = _SLOTS_AT + SLOTS * _SLOT
_NOBODY = bytes(16)
_LAYOUT_AT, _LAYOUT = 1016, b"minutes2"  # what is counted in another way is not understood


@dataclass(slots=True)
class Count:
    """What a slot says, of a minute, the one before it and a day. Minutes and days are whole numbers
    since 1970.
    """

    owner: bytes
    minute: int
    minute_requests: int
    minute_tokens: int
    requests_before: int
    tokens_before: int
    day: int
    day_requests: int
    day_tokens: int

    def turn(self, now: float) -> None:
        """Begins anew where a minute or a day has. Whoever looked at the clock just before that counts
        with the others all the same; only a clock that was set back begins anew too.
        """
        minute, day = int(now // MINUTE), int(now // DAY)
        if not 0 <= self.minute - minute <= 1:
            follows = minute == self.minute + 1
            self.requests_before = self.minute_requests if follows else 0
            self.tokens_before = self.minute_tokens if follows else 0
            self.minute, self.minute_requests, self.minute_tokens = minute, 0, 0
        if not 0 <= self.day - day <= 1:
            self.day, self.day_requests, self.day_tokens = day, 0, 0


class Slate:
    """The counters in this file; `column` is this worker's, once it has claimed one."""

    def __init__(self, file: Path) -> None:
        self._columns = Columns(file, SIZE, WORKERS)
        self._map = self._columns.map
        self._words = memoryview(self._map).cast("H")  # where calls are counted
        self._known: dict[str, tuple[int, bytes]] = {}  # slots by name, and whose they are then

    @property
    def column(self) -> int:
        return self._columns.mine

    def claim(self) -> None:
        """Takes a column that no living process has. What dead ones left behind is cleared."""
        with self._columns.claimed() as free:
            if self._map[_LAYOUT_AT:_SLOTS_AT] != _LAYOUT:
                self._map[_SLOTS_AT:] = bytes(SIZE - _SLOTS_AT)
                self._map[_LAYOUT_AT:_SLOTS_AT] = _LAYOUT
            for at in range(_SLOTS_AT, SIZE, _SLOT):
                if any(self._map[at : at + 16]):
                    with self._columns.locked(at, _SLOT):
                        busy = self._busy(at)
                        for column in free:
                            busy[column] = 0

    @contextmanager
    def held(self, name: str, now: float) -> Iterator[tuple[Count, memoryview]]:
        """The counts of this name, which are written back when the block is left. There is room made
        for them if there are none yet.
        """
        at, owner = self._known.get(name) or self._place(name)
        while True:
            self._columns.lock(at, _SLOT)
            try:
                count = Count(*_HEAD.unpack_from(self._map, at))
                if count.owner == owner:
                    count.turn(now)
                    yield count, self._busy(at)
                    # Not `pack_into`: that puts zeros there first, and who looks for a place just then
                    # takes this one for empty.
                    self._map[at : at + _HEAD.size] = _HEAD.pack(
                        owner,
                        count.minute,
                        count.minute_requests,
                        count.minute_tokens,
                        count.requests_before,
                        count.tokens_before,
                        count.day,
                        count.day_requests,
                        count.day_tokens,
                    )
                    return
            finally:
                self._columns.unlock(at, _SLOT)
            at, owner = self._place(name)  # nobody asked for it in days, and another took it

    def look(self, name: str, now: float) -> tuple[Count, int] | None:
        """The counts of this name as they are at this moment, if there are any, and its calls."""
        owner, known = _owner(name), self._known.get(name)
        for at in (known[0],) if known else _near(owner):
            count = Count(*_HEAD.unpack_from(self._map, at))
            if count.owner == owner:
                count.turn(now)
                return count, sum(self._busy(at))
        return None

    def _place(self, name: str) -> tuple[int, bytes]:
        """Where this name's counts are from now on: where they were, or an empty slot, or that of
        whoever needs it least.
        """
        if len(self._known) >= SLOTS:
            self._known.clear()
        owner = _owner(name)
        with self._columns.locked(*_PLACES):
            near = _near(owner)
            at = next((at for at in near if self._map[at : at + 16] == owner), None)
            if at is None:
                at = min(near, key=self._need)
                with self._columns.locked(at, _SLOT):
                    self._map[at : at + _SLOT] = owner + bytes(_SLOT - len(owner))
        self._known[name] = at, owner
        return at, owner

    def _busy(self, at: int) -> memoryview:
        """The calls that each worker has going."""
        first = (at + _HEAD.size) // 2
        return self._words[first : first + WORKERS]

    def _need(self, at: int) -> tuple[bool, bool, int]:
        """How much a slot is needed: an empty one not at all, one with calls going the most."""
        owner, minute, *_ = _HEAD.unpack_from(self._map, at)
        return any(self._busy(at)), owner != _NOBODY, minute

    def close(self) -> None:
        self._words.release()
        self._columns.close()


def _owner(name: str) -> bytes:
    return blake2b(name.encode(), digest_size=16).digest()


def _near(owner: bytes) -> list[int]:
    first = int.from_bytes(owner[:4], "little")
    return [_SLOTS_AT + (first + step) % SLOTS * _SLOT for step in range(NEAR)]
