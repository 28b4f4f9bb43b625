"""How much memory another process holds, as the kernel counts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack import Stack

MEGABYTE = 1 << 20


class Memory:
    """Of one process. Pages of files that it has mapped count like any others."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def __str__(self) -> str:
        proportional = self.proportional >> 20
        return f"RSS {self.now >> 20} MB, PSS {proportional} MB, highest {self.highest >> 20} MB"

    @property
    def now(self) -> int:
        return self._kilobytes("status", "VmRSS") << 10

    @property
    def proportional(self) -> int:
        """Pages that others have too, by their number."""
        return self._kilobytes("smaps_rollup", "Pss") << 10

    @property
    def highest(self) -> int:
        """Since `forget`."""
        return self._kilobytes("status", "VmHWM") << 10

    def forget(self) -> None:
        (self._folder / "clear_refs").write_text("5")

    def _kilobytes(self, file: str, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB", (self._folder / file).read_text(), re.MULTILINE)
        assert found is not None
        return int(found[1])


class Rise:
    """By how many bytes a process grew at most."""

    bytes = 0

    def __repr__(self) -> str:
        return f"{self.bytes / MEGABYTE:.1f} MB more"


@contextmanager
def rise(memory: Memory) -> Iterator[Rise]:
    """Known when the block is over."""
    memory.forget()
    before, found = memory.now, Rise()
    yield found
    found.bytes = memory.highest - before


def serving(stack: Stack) -> Memory:
    """Of the one worker that serves this gateway."""
    arbiter = stack.pid
    (child,) = Path(f"/proc/{arbiter}/task/{arbiter}/children").read_text().split()
    return Memory(int(child))
