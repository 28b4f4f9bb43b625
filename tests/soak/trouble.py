"""The simulators, behind a door at which some answers come to grief.

What is done to an answer stands in its prompt, beside what the simulators read there: `trouble:
number=17 at=0.4 end=reset`. Without such words a platform answers as ever. Of an answer with a number
there are lines in the notes: when it was asked for, whether what went out had in it what clients take
for the end, and when the other side closed the connection before.
"""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tests.stack import AccessLog, Simulators

ENDS = (
    "close",
    "reset",
    "clean",  # of the transfer, as if the answer were whole
    "hold",  # nothing more comes, until the gateway has had enough
)
FRAMES = ("chunked", "length", "close")

_WORDS = re.compile(rb"trouble: ((?:[a-z]+=[a-z0-9.]+ ?)+)")


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is done to one answer. `at` is how much of it gets out, `swell` how often each of its words is
    said, `huge` megabytes of nothing in it.
    """

    number: int
    at: float = 1.0
    end: str = ""
    frame: str = "chunked"
    pack: str = ""
    pace: float = 0.0
    huge: int = 0
    swell: int = 1

    def __str__(self) -> str:
        """As it stands in a prompt."""
        given = {name: value for name, value in asdict(self).items() if value not in ("", 0)}
        words = (f"{value:.6f}" if isinstance(value, float) else value for value in given.values())
        return "trouble: " + " ".join(f"{name}={word}" for name, word in zip(given, words))


_KINDS = {one.name: type(one.default) for one in fields(Trouble)} | {"number": int}


def told(body: bytes) -> Trouble | None:
    """The trouble that the prompt asks for."""
    found = _WORDS.search(body)
    if found is None:
        return None
    pairs = [word.split("=") for word in found[1].decode().split()]
    return Trouble(**{name: _KINDS[name](value) for name, value in pairs})


def much(number: int) -> Trouble:
    """More than anybody keeps for a caller who does not read: 7 MB where 600 words are asked for."""
    return Trouble(number, at=0.9, end="hold", swell=2000)


class TroubledSimulators(Simulators):
    """All simulators in one process, with trouble at the door."""

    def __init__(self, folder: Path) -> None:
        notes = folder / "notes"
        notes.touch()
        self._notes, self._lock = AccessLog(notes), threading.Lock()
        super().__init__("tests.soak.door", str(notes))

    def notes(self) -> dict[int, list[dict[str, Any]]]:
        """What was written down, by the numbers of the troubles."""
        found: dict[int, list[dict[str, Any]]] = {}
        with self._lock:
            lines = self._notes.lines()
        for line in lines:
            found.setdefault(line["request"], []).append(line)
        return found
