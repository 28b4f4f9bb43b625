"""What could not be written to the ledger is written here, until it can be.

A line of JSON for each row, in a file that all workers of a host append to. Whoever takes it in
takes the file away first, so that no line is taken in twice at the same time; and taking one in
again changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from app.storage.ledger import Closing

_PIECE = 1 << 20  # bytes


class Journal:
    """The lines in this file, which need not be there."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._taken = file.with_name(f"{file.name}.taken")

    def add(self, closing: Closing) -> None:
        """Comes back when the line is on the disk; raises OSError where it cannot be."""
        line = orjson.dumps({"row": closing.row, "opened": dict(closing.opened)}) + b"\n"
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line)
            os.fsync(fd)
        finally:
            os.close(fd)

    def take_in(self, write: Callable[[Sequence[Closing]], None]) -> int:
        """Has all lines written where they belong, and how many that were. What cannot be written
        stays for the next time.
        """
        taken = self._taken
        if not taken.exists():
            try:
                os.rename(self._file, taken)
            except FileNotFoundError:
                return 0
        closings = list(_read(taken))
        if closings:
            write(closings)
        taken.unlink(missing_ok=True)
        return len(closings)

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
        found.append(Closing(said["row"], said["opened"]))
    return found
