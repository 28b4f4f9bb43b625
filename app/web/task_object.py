"""Tasks as callers know them. `accept` is what the caller says of languages."""

from __future__ import annotations

from typing import Any

from app.media.task import error, length_of, progress, size_of, status
from app.storage.tasks import Task
from app.web.failures import prefers_chinese
from app.web.retold import in_chinese
from app.wire.openai_videos import write_video


def told(task: Task) -> dict[str, Any]:
    return told_video(task) if task.kind == "video" else told_images(task)


def told_video(task: Task, accept: str = "") -> dict[str, Any]:
    return write_video(
        id=task.id,
        model=task.model,
        status=status(task),
        progress=progress(task),
        created_at=int(task.created_at),
        completed_at=seconds(task.completed_at) if status(task) == "completed" else None,
        expires_at=seconds(task.expires_at),
        prompt=str(task.job.get("prompt", "")),
        seconds=length_of(task),
        size=size_of(task),
        remixed_from=task.source,
        error=_failure(task, accept),
    )


def told_images(task: Task, accept: str = "") -> dict[str, Any]:
    return {
        "id": task.id,
        "object": "image.task",
        "model": task.model,
        "status": status(task),
        "progress": progress(task),
        "created_at": int(task.created_at),
        "completed_at": seconds(task.completed_at) if status(task) == "completed" else None,
        "expires_at": seconds(task.expires_at),
        "error": _failure(task, accept),
    }


def _failure(task: Task, accept: str) -> dict[str, Any] | None:
    """Why it failed, in the language that `accept` prefers (C-186)."""
    found = error(task)
    if found is not None and prefers_chinese(accept):
        found["message"] = in_chinese(found["message"])
    return found


def described(task: Task) -> dict[str, Any]:
    """What there is to know beyond that (C-178, C-201)."""
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
