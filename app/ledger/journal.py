"""What could not be written to the ledger is written here, until it can be.

A line of JSON for each row, in a file that all workers of a host append to. One of them at a time takes
it in, and takes the file away first; taking a line in again changes nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from app.storage.ledger import Closing, closed_row

_PIECE = 1 << 20  # bytes


class Journal:
    """The lines in this file, which need not be there."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._folder = file.parent
        self._taken = file.with_name(f"{file.name}.taken")

    def add(self, closing: Closing) -> None:
        """Comes back when the line is on the disk; raises OSError where it cannot be."""
        line = orjson.dumps({"row": closing.row, "opened": dict(closing.opened)})
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while not self._added(b"\n" + line + b"\n"):  # what was cut off before it is no part of it
            pass

    def _added(self, line: bytes) -> bool:
        """Whether it is where it will be found: the file may have been taken away meanwhile."""
        fd = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(fd, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
            with self._opened_folder() as folder:
                os.fsync(folder)  # or a new file has no name after a power cut
            with suppress(FileNotFoundError):
                return os.path.samestat(os.fstat(fd), os.stat(self._file))
            return False
        finally:
            os.close(fd)

    def take_in(self, write: Callable[[Sequence[Closing]], None]) -> int | None:
        """Has all lines written where they belong, and how many that were; None where another is about
        it. What cannot be written stays for the next time.
        """
        if not self._folder.exists():
            return 0
        with self._opened_folder() as folder:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until it is closed
            except BlockingIOError:
                return None
            return self._taken_in(write)

    def _taken_in(self, write: Callable[[Sequence[Closing]], None]) -> int:
        taken = self._taken
        if not taken.exists():
            try:
                os.rename(self._file, taken)
            except FileNotFoundError:
                return 0
        closings = list(_read(taken))
        if closings:
            write(closings)
        taken.unlink()
        return len(closings)

    @contextmanager
    def _opened_folder(self) -> Iterator[int]:
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)

    def rows(self) -> int:
        """How many lines wait to be taken in."""
        return sum(_lines(one) for one in (self._file, self._taken))


def _lines(file: Path) -> int:
    try:
        with file.open("rb") as lines:
            return sum(piece.count(b"\n") for piece in iter(lambda: lines.read(_PIECE), b""))
    except FileNotFoundError:
        return 0


def _read(file: Path) -> Sequence[Closing]:
    """A line that was cut off, because the disk was full, is none."""
    found = []
    for line in file.read_bytes().split(b"\n"):
        try:
            said = orjson.loads(line)
        except ValueError:
            continue
        blank = closed_row("", "", "", 0)  # an older version may know fewer columns
        found.append(Closing(blank | said["row"], said["opened"]))
    return found
