"""What was done and what came of it, as it comes and once more at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Report:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self.failed = 0

    @contextmanager
    def act(self, what: str) -> Iterator[list[str]]:
        """One thing that is done; the block says in words what it found. What it raises is told, and counts."""
        found: list[str] = []
        began = time.monotonic()
        try:
            yield found
            state = "ok"
        except Exception as error:  # whatever it is: the next act may go well
            self.failed += 1
            state = "FAILED"
            found.append(f"{type(error).__name__}: {error}")
        took = time.monotonic() - began
        print(f"{state:6} {took:6.1f} s  {what}: {'; '.join(found) or 'as it should'}", flush=True)

    def close(self) -> int:
        """The last line, and the exit code."""
        took = time.monotonic() - self._began
        print(f"{self.failed} failed, {took:.0f} s" if self.failed else f"all well, {took:.0f} s")
        return 1 if self.failed else 0
