"""What a caller sees of a job that is done in the background (C-190, C-199)."""

from __future__ import annotations

from typing import Any, Literal

from app.canonical.task import State
from app.storage.tasks import Task

Status = Literal["queued", "in_progress", "completed", "failed"]

_SEEN: dict[State, Status] = {
    "queued": "queued",
    "submitting": "in_progress",
    "running": "in_progress",
    "storing": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "lost": "failed",
    "cancelled": "failed",
}


def status(task: Task) -> Status:
    return _SEEN[task.state]


def progress(task: Task) -> int:
    """In percent: a hundred when it is done, and never before; where it failed, how far it came."""
    return 100 if task.state == "completed" else min(max(task.progress, 0), 99)


def error(task: Task) -> dict[str, Any] | None:
    """Why it failed; None where it has not."""
    if status(task) != "failed":
        return None
    return {"code": task.code, "message": task.message}


def length_of(task: Task) -> int:
    """Of a film, in seconds: as it was made, or as it will be; 0 where nobody knows."""
    return task.result.get("seconds") or task.job.get("seconds") or 0


def size_of(task: Task) -> str:
    """WIDTHxHEIGHT of a film, told the same way; nothing where nobody knows."""
    return str(task.result.get("size") or task.job.get("size") or "")
