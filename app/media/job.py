"""A job as it is written down: JSON, and its files in a folder of its task."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from app.canonical.media import File, ImageJob, VideoJob

FOLDER_SECONDS = 3600.0  # younger folders may belong to a task that is just being added


class Folders:
    """Folders by the name of a task, readable by nobody else. Workers on several hosts must see the
    same ones.
    """

    def __init__(self, parent: Path | str) -> None:
        self.parent = Path(parent) / "tasks"

    def make(self, task: str) -> Path:
        folder = self.of(task)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def of(self, task: str) -> Path:
        return self.parent / task

    def remove(self, task: str) -> None:
        shutil.rmtree(self.of(task), ignore_errors=True)

    def older(self, moment: float) -> Iterator[str]:
        """The tasks whose folders have been as they are since then."""
        if not self.parent.is_dir():
            return
        for found in os.scandir(self.parent):
            try:
                if found.stat(follow_symlinks=False).st_mtime < moment:
                    yield found.name
            except FileNotFoundError:
                continue  # its task is just over


def written(job: ImageJob | VideoJob, folder: Path) -> dict[str, Any]:
    """The job as JSON. Its files are in the folder from now on too, under names of ours."""
    names = iter(range(1, 1 << 30))
    found = {one.name: getattr(job, one.name) for one in fields(job)}
    return {name: _written(value, folder, names) for name, value in found.items()}


def _written(value: Any, folder: Path, names: Iterator[int]) -> Any:
    match value:
        case File():
            kept = folder / f"in-{next(names)}"
            try:
                os.link(value.path, kept)  # at no cost, where both are on one disk
            except OSError:
                shutil.copyfile(value.path, kept)
            return {"file": kept.name, "media_type": value.media_type, "size": value.size}
        case tuple():
            return [_written(one, folder, names) for one in value]
        case Mapping():
            return dict(value)
        case _:
            return value


def read_image_job(kept: Mapping[str, Any], folder: Path) -> ImageJob:
    job = ImageJob(**kept)
    mask = None if job.mask is None else read_file(kept["mask"], folder)
    return replace(job, images=_files(kept["images"], folder), mask=mask)


def read_video_job(kept: Mapping[str, Any], folder: Path) -> VideoJob:
    return replace(VideoJob(**kept), references=_files(kept["references"], folder))


def _files(kept: list[Mapping[str, Any]], folder: Path) -> tuple[File, ...]:
    return tuple(read_file(one, folder) for one in kept)


def read_file(kept: Mapping[str, Any], folder: Path) -> File:
    return File(str(folder / kept["file"]), kept["media_type"], kept["size"])
