"""Mishaps that a prompt orders for what comes after it: `poll=throttle`, `download=cut seconds=3`.

The wish itself goes well; the first poll, or the first download, of what was wished for does not.
"""

from __future__ import annotations

from app.simulators.directives import directives
from app.simulators.mishaps import KINDS, Mishap


class Later:
    """Remembers which of them have struck: each does so once."""

    def __init__(self) -> None:
        self._struck: set[tuple[str, str]] = set()

    def take(self, name: str, stage: str, prompt: str) -> Mishap | None:
        """What this stage of the job of this name meets now."""
        for each in directives(prompt):
            kind = each.settings.get(stage, "")
            if kind in KINDS and (name, stage) not in self._struck:
                self._struck.add((name, stage))
                return Mishap(
                    kind, seconds=each.number("seconds"), status=_status(each.number("status"))
                )
        return None


def _status(number: float) -> int:
    return int(number) if 400 <= number <= 599 else 0
