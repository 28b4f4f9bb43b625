"""A file mapped into memory that the processes of a host share, with a column of it for each.

Which column is whose stands at the head of the file. A column belongs to a process until it gives
it up; where it died before, the next one that wants a column takes it over.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.process import began

COLUMNS = 64
_OWNER = struct.Struct("<IQ")  # a process: its number and when it began
OWNERS = COLUMNS * _OWNER.size  # bytes at the head


class Full(Exception):
    """There are more processes than columns."""


class Columns:
    """The file, made if it is not there, with so many columns. `mine` is this process's, once it has
    claimed one; `lost` is how many processes had died until then with one that they had not given up.
    """

    def __init__(self, file: Path, size: int, count: int = COLUMNS) -> None:
        self._count = count
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._fd).st_size != size:
            os.ftruncate(self._fd, size)
        self.map = mmap.mmap(self._fd, size)
        self.mine, self.lost = -1, 0

    @contextmanager
    def claimed(self) -> Iterator[list[int]]:
        """Takes a column that no living process has, the first of the free ones that this gives. Nobody
        else takes one until what dead processes left in them has been seen to.
        """
        with self.locked(0, OWNERS):
            free = [column for column in range(self._count) if not self._is_anothers(column)]
            if not free:
                raise Full("more processes than columns")
            self.mine, me = free[0], os.getpid()
            for column in free:
                self.lost += self._owner(column)[0] not in (0, me)
                self._set_owner(column, 0, 0)
            self._set_owner(self.mine, me, began(me))
            yield free

    def give_up(self) -> None:
        """This process has come to its end."""
        self._set_owner(self.mine, 0, 0)

    def living(self) -> list[int]:
        """The columns of processes that run."""
        return [one for one in range(self._count) if one == self.mine or self._is_anothers(one)]

    def _is_anothers(self, column: int) -> bool:
        """Whether another process that still runs has this column."""
        pid, since = self._owner(column)
        return pid != os.getpid() and _runs(pid, since)

    def _owner(self, column: int) -> tuple[int, int]:
        pid, since = _OWNER.unpack_from(self.map, column * _OWNER.size)
        return pid, since

    def _set_owner(self, column: int, pid: int, since: int) -> None:
        _OWNER.pack_into(self.map, column * _OWNER.size, pid, since)

    @contextmanager
    def locked(self, at: int, length: int) -> Iterator[None]:
        """Holds these bytes against other processes."""
        self.lock(at, length)
        try:
            yield
        finally:
            self.unlock(at, length)

    def lock(self, at: int, length: int) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_EX, length, at)

    def unlock(self, at: int, length: int) -> None:
        fcntl.lockf(self._fd, fcntl.LOCK_UN, length, at)

    def close(self) -> None:
        self.map.close()
        os.close(self._fd)


def is_deserted(file: Path) -> bool:
    """Whether no process that runs has a column of the file."""
    with file.open("rb") as head:
        return not any(_runs(*owner) for owner in _OWNER.iter_unpack(head.read(OWNERS)))


def _runs(pid: int, since: int) -> bool:
    return bool(pid) and since == began(pid)
