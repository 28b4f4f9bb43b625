"""A file that a command writes: whole under its name, or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.cli.words import Complaint, file_said
from app.key_file import sync


def check(file: Path, *, force: bool) -> None:
    """Complains where it could not get its name, before any work is done."""
    if file.is_dir():
        raise Complaint("that is a folder; name a file in it")
    if file.exists() and not force:
        raise Complaint("there is such a file; name another one, or say --force")


@contextmanager
def written(file: Path, *, force: bool) -> Iterator[Path]:
    """An empty file beside it that nobody else may read. It gets the name when all has gone well, and is
    gone otherwise.
    """
    making = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        os.close(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield making
        if force:
            os.replace(making, file)
        else:
            os.link(making, file)  # overwrites nothing, whoever was quicker
        sync(file.parent)
    except OSError as error:
        raise Complaint(f"cannot write {file_said(str(file))}: {error.strerror}") from error
    finally:
        making.unlink(missing_ok=True)
