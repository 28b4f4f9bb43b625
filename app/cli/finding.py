"""One thing that `tokens doctor` looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, note or wrong; only wrong makes the command fail."""

    check: str
    state: str
    what: str
    do: str = ""
