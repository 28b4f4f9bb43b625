"""How far something has come, for people who watch it."""

from __future__ import annotations

import sys
from types import TracebackType

WIDTH = 40


class Progress:
    """A bar on a terminal, which ends its line whatever happens; nothing where standard error is none."""

    def __init__(self, of: int) -> None:
        self._of = of
        self._shown = of > 0 and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Progress:
        self.at(0)
        return self

    def at(self, done: int) -> None:
        if self._shown:
            filled = WIDTH * done // self._of
            bar = "#" * filled + "." * (WIDTH - filled)
            print(f"\r[{bar}] {done} of {self._of}", end="", file=sys.stderr, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            print(file=sys.stderr, flush=True)
