"""Counting what a worker does, where every worker of the host can read it.

Each worker has a column of numbers in a file mapped into memory, and is the only one that writes
there: to count is to add, without a lock. What a worker has counted outlives it, and whoever takes
its column over goes on from there; what it had going when it died is nobody's any more.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Mapping
from operator import add
from pathlib import Path
from typing import Any

from app.canonical.events import Usage
from app.columns import COLUMNS, OWNERS, Columns, Full, is_deserted
from app.metrics.blame import PASSED_ON, blame_of, kind_of
from app.metrics.family import (
    ATTEMPTS,
    ERRORS,
    FAILED_ATTEMPTS,
    FIRST_BYTE_SECONDS,
    IN_FLIGHT,
    LEDGER_BATCHES,
    LEDGER_ROWS,
    LEDGER_WRITTEN,
    LOST,
    NONE,
    REQUEST_SECONDS,
    REQUESTS,
    RETRIES,
    STREAMS,
    TOKENS,
)
from app.metrics.layout import Layout, observe

log = logging.getLogger(__name__)

_NUMBER = 8  # bytes
_CLASSES = ("2xx", "2xx", "2xx", "3xx", "4xx", "5xx")


class Meter:
    """One per process. Until it has started it counts for itself alone, and so it does where the file
    cannot be used: nothing is refused for want of a metric.
    """

    def __init__(self, file: Path, layout: Layout) -> None:
        self._file = file
        self.layout = layout
        self._columns: Columns | None = None
        self._width = layout.size + 1  # the last says that somebody has counted there
        self._values: memoryview[float] = memoryview(bytearray(self._width * _NUMBER)).cast("d")
        self._requests = layout.of(REQUESTS)
        self._seconds = layout.of(REQUEST_SECONDS)
        self._first = layout.of(FIRST_BYTE_SECONDS)
        self._errors = layout.of(ERRORS)
        self._tokens = layout.of(TOKENS)
        self._attempts = layout.of(ATTEMPTS)
        self._retries = layout.of(RETRIES)
        self._failed = layout.of(FAILED_ATTEMPTS)
        self._in_flight = layout.of(IN_FLIGHT)[()]
        self._streams = layout.of(STREAMS)[()]
        self._going = self._in_flight, self._streams
        self._batches = layout.of(LEDGER_BATCHES)[()]
        self._rows = layout.of(LEDGER_ROWS)[()]
        self._written = layout.of(LEDGER_WRITTEN)[()]
        self._lost = layout.of(LOST)[()]

    def start(self) -> None:
        """Takes a column, in the process that counts."""
        try:
            columns = Columns(self._place(), OWNERS + COLUMNS * self._width * _NUMBER)
            with columns.claimed() as free:
                for column in free:
                    for at in self._going:
                        self._column(columns, column)[at] = 0.0
        except (OSError, Full) as error:
            log.error("metrics are of one process alone", extra={"why": str(error)})
            return
        self._columns, self._values = columns, self._column(columns, columns.mine)
        self._values[-1] = 1.0
        self._values[self._lost] += columns.lost
        atexit.register(columns.give_up)

    def _place(self) -> Path:
        """The file for this layout. Those of former versions are removed once they count no more."""
        place = self._file.with_name(f"{self._file.name}-{self.layout.name}")
        for other in self._file.parent.glob(f"{self._file.name}-{'[0-9a-f]' * 8}"):
            if other != place and is_deserted(other):
                other.unlink(missing_ok=True)
        return place

    def _column(self, columns: Columns, column: int) -> memoryview[float]:
        width = self._width * _NUMBER
        first = OWNERS + column * width
        return memoryview(columns.map)[first : first + width].cast("d")

    # ------------------------------------------------------------ counting

    def begun(self) -> None:
        """A request has come."""
        self._values[self._in_flight] += 1.0

    def streaming(self) -> None:
        """Its answer goes out piece by piece."""
        self._values[self._streams] += 1.0

    def streamed(self) -> None:
        self._values[self._streams] -= 1.0

    def over(self, record: Mapping[str, Any], seconds: float) -> None:
        """A request is over. `record` is its access line to be."""
        values, status = self._values, record.get("status", 500)
        platform, spoken = record.get("platform"), record.get("spoken")
        if platform not in self.layout.platforms:
            platform = NONE
        if spoken not in self.layout.dialects:
            spoken = NONE
        values[self._in_flight] -= 1.0
        values[self._requests[platform, spoken, _CLASSES[min(status // 100, 5)]]] += 1.0
        streamed = "true" if record.get("stream") else "false"
        observe(values, self._seconds[platform, streamed], seconds)
        if (first := record.get("first_ms")) is not None:
            observe(values, self._first[platform,], first / 1000)
        if attempts := record.get("attempts"):
            values[self._attempts[platform,]] += attempts
            if attempts > 1:
                values[self._retries[platform,]] += attempts - 1
        if (usage := record.get("usage")) is not None:
            self._count_tokens(platform, usage)
        outcome = record.get("outcome", "ok" if status < 400 else PASSED_ON)
        if outcome != "ok":
            blame = blame_of(outcome, status)
            values[self._errors[platform, kind_of(outcome), blame]] += 1.0
        for failed in record.get("failed", ()):
            values[self._failed[platform, kind_of(failed["outcome"])]] += 1.0

    def wrote(self, rows: int, now: float) -> None:
        """So many rows of the ledger are written."""
        values = self._values
        values[self._batches] += 1.0
        values[self._rows] += rows
        values[self._written] = now

    def _count_tokens(self, platform: str, usage: Usage) -> None:
        values, tokens = self._values, self._tokens
        values[tokens[platform, "input"]] += usage.input
        values[tokens[platform, "output"]] += usage.output
        if usage.cached:
            values[tokens[platform, "cached"]] += usage.cached
        if usage.reasoning:
            values[tokens[platform, "reasoning"]] += usage.reasoning

    # ------------------------------------------------------------ reading

    def living(self) -> int:
        """How many processes count."""
        return 1 if self._columns is None else len(self._columns.living())

    def read(self) -> list[float]:
        """All numbers, of all processes there ever were."""
        columns = self._columns
        if columns is None:
            return list(self._values[:-1])
        living = set(columns.living())
        total, written = [0.0] * self.layout.size, 0.0
        for one in range(COLUMNS):
            values = self._column(columns, one)
            if not values[-1]:
                continue
            going = {at: total[at] for at in self._going}
            total = list(map(add, total, values[:-1]))
            if one not in living:
                for at, before in going.items():
                    total[at] = before
            written = max(written, values[self._written])
        total[self._written] = written
        return total
