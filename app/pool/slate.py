"""Counters that all workers of a host share, without a service: a file mapped into memory.

A slot belongs to a credential with limits of its own. It counts requests and tokens of the present
minute and day, and in a column for each worker the calls that worker has going: where a worker was
killed, the next one to take its column clears it. A slot is held by a lock on its bytes of the file
for the few microseconds a change takes; the kernel lets go where a process dies.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from app.limits import Limits
from app.pool.hindrance import Hindrance
from app.process import began

SLOTS = 16384
WORKERS = 64
MINUTE, DAY = 60, 86400
_OWNER = struct.Struct("<IQ")  # a worker: its process and when that began
_HEAD = struct.Struct("<16sqqqqqq")  # whose, minute, its requests and tokens, day, its ...
_BUSY = struct.Struct(f"<{WORKERS}H")
_SLOT = 192
_SLOTS_AT = 1024
SIZE = _SLOTS_AT + SLOTS * _SLOT


class Full(Exception):
    """There are more credentials with limits than there are slots."""


@dataclass(slots=True)
class Count:
    """What a slot says. Minutes and days are whole numbers since 1970."""

    owner: bytes
    minute: int
    minute_requests: int
    minute_tokens: int
    day: int
    day_requests: int
    day_tokens: int

    def turn(self, now: float) -> None:
        """Begins anew where a minute or a day has."""
        minute, day = int(now // MINUTE), int(now // DAY)
        if minute != self.minute:
            self.minute, self.minute_requests, self.minute_tokens = minute, 0, 0
        if day != self.day:
            self.day, self.day_requests, self.day_tokens = day, 0, 0


class Slate:
    """The counters in this file; `column` is this worker's, once it has claimed one."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._fd).st_size != SIZE:
            os.ftruncate(self._fd, SIZE)
        self._map = mmap.mmap(self._fd, SIZE)
        self.column = -1

    def claim(self) -> None:
        """Takes a column that no living process has. What dead ones left behind is cleared."""
        with self._held(0, _SLOTS_AT):
            free = [column for column in range(WORKERS) if not self._is_alive(column)]
            if not free:
                raise Full("more workers than columns")
            self.column = free[0]
            for column in free:
                _OWNER.pack_into(self._map, column * _OWNER.size, 0, 0)
            me = os.getpid()
            _OWNER.pack_into(self._map, self.column * _OWNER.size, me, began(me))
            for at in range(_SLOTS_AT, SIZE, _SLOT):
                if any(self._map[at : at + 16]):
                    with self.held(at) as (_, busy):
                        for column in free:
                            busy[column] = 0

    def _is_alive(self, column: int) -> bool:
        """Whether another process that still runs has this column."""
        pid, since = _OWNER.unpack_from(self._map, column * _OWNER.size)
        return bool(pid) and pid != os.getpid() and since == began(pid)

    def slot(self, name: str) -> int:
        """Where the counters of this name are; makes room for them if there are none yet."""
        owner = blake2b(name.encode(), digest_size=16).digest()
        first = int.from_bytes(owner[:4], "little") % SLOTS
        with self._held(0, _SLOTS_AT):
            for step in range(SLOTS):
                at = _SLOTS_AT + (first + step) % SLOTS * _SLOT
                found = self._map[at : at + 16]
                if found == owner:
                    return at
                if found == bytes(16):
                    self._map[at : at + 16] = owner
                    return at
        raise Full("more credentials with limits than slots")

    @contextmanager
    def held(self, at: int) -> Iterator[tuple[Count, list[int]]]:
        """The counts of a slot, which are written back when the block is left."""
        with self._held(at, _SLOT):
            count, busy = self.read(at)
            yield count, busy
            _HEAD.pack_into(
                self._map,
                at,
                count.owner,
                count.minute,
                count.minute_requests,
                count.minute_tokens,
                count.day,
                count.day_requests,
                count.day_tokens,
            )
            _BUSY.pack_into(self._map, at + _HEAD.size, *busy)

    def read(self, at: int) -> tuple[Count, list[int]]:
        """The counts of a slot as they are at this moment."""
        count = Count(*_HEAD.unpack_from(self._map, at))
        return count, list(_BUSY.unpack_from(self._map, at + _HEAD.size))

    @contextmanager
    def _held(self, at: int, length: int) -> Iterator[None]:
        fcntl.lockf(self._fd, fcntl.LOCK_EX, length, at)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, length, at)

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)


class Use:
    """How much of its limits a credential has used, on this host."""

    def __init__(self, slate: Slate, name: str, limits: Limits) -> None:
        self._slate = slate
        self._limits = limits
        self._at = slate.slot(name)

    def hindrance(self, now: float) -> Hindrance | None:
        """The limit that is used up, if one is."""
        count, busy = self._slate.read(self._at)
        count.turn(now)
        return self._over(count, sum(busy), now)

    def begin(self, now: float) -> bool:
        """Counts a call, if there is still room for it."""
        with self._slate.held(self._at) as (count, busy):
            count.turn(now)
            if self._over(count, sum(busy), now) is not None:
                return False
            count.minute_requests += 1
            count.day_requests += 1
            busy[self._slate.column] = min(busy[self._slate.column] + 1, 65535)
            return True

    def end(self, tokens: int, now: float) -> None:
        with self._slate.held(self._at) as (count, busy):
            count.turn(now)
            count.minute_tokens += tokens
            count.day_tokens += tokens
            busy[self._slate.column] = max(busy[self._slate.column] - 1, 0)

    def _over(self, count: Count, busy: int, now: float) -> Hindrance | None:
        limits = self._limits
        minute, day = (now // MINUTE + 1) * MINUTE, (now // DAY + 1) * DAY
        for kind, used, most, until in (
            ("rpd", count.day_requests, limits.rpd, day),
            ("tpd", count.day_tokens, limits.tpd, day),
            ("rpm", count.minute_requests, limits.rpm, minute),
            ("tpm", count.minute_tokens, limits.tpm, minute),
            ("concurrency", busy, limits.concurrency, now),
        ):
            if most is not None and used >= most:
                return Hindrance(kind, f"{used} of {most} used", until)
        return None
