"""What becomes of a job that is done in the background: its states, and the moves between them.

    queued ──► submitting ──► running ──► storing ──► completed
                                                        failed, lost, cancelled

A film goes through all of them. A picture is made while it is `submitting`, because its platform has
no job to look after: the answer is the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

State = Literal[
    "queued", "submitting", "running", "storing", "completed", "failed", "lost", "cancelled"
]
Kind = Literal["image", "video"]

_MOVES: Mapping[State, tuple[State, ...]] = {
    "queued": ("submitting", "failed", "cancelled"),
    # Back to `queued` only where the platform has certainly not taken it.
    "submitting": ("queued", "running", "storing", "failed", "lost", "cancelled"),
    "running": ("storing", "failed", "cancelled"),
    "storing": ("completed", "failed", "cancelled"),
    "completed": (),
    "failed": (),
    "lost": (),
    "cancelled": (),
}
STATES: tuple[State, ...] = get_args(State)
LIVE: frozenset[State] = frozenset(one for one, moves in _MOVES.items() if moves)
OVER: frozenset[State] = frozenset(_MOVES) - LIVE


class IllegalMove(Exception):
    """Nobody may move a job like that: a mistake of ours."""

    def __init__(self, before: State, after: State) -> None:
        super().__init__(f"a task that is {before} cannot become {after}")


def check_move(before: State, after: State) -> None:
    """Raises `IllegalMove`. What is not over may stay as it is."""
    if after not in _MOVES[before] and (before != after or before in OVER):
        raise IllegalMove(before, after)


def outcome(state: State) -> str:
    """What is settled when a job is over: only what was handed over is paid for."""
    if state in LIVE:
        return ""
    return "charged" if state == "completed" else "released"
