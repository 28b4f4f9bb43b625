"""What there is to know about a task, beyond its object (C-178, C-201)."""

from __future__ import annotations

from typing import Any

from app.storage.tasks import Task


def described(task: Task) -> dict[str, Any]:
    return {
        "state": task.state,
        "engine": task.engine,
        "engine_model": task.job.get("model"),
        "started_at": seconds(task.started_at),
        "deadline": seconds(task.deadline),
        "looks": task.looks,
        "settled": task.settled,
    }


def seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
