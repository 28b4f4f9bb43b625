"""A program that somebody watches on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Watched:
    """What stood on the terminal, what went elsewhere, and the exit code."""

    seen: str
    stdout: str
    returncode: int


def watch(
    words: list[str], environ: Mapping[str, str], folder: Path, *, whole: bool = False
) -> Watched:
    """Runs it with a terminal for its standard error; with `whole`, for its standard output too."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        words,
        env=dict(environ),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs if whole else (folder / "out").open("w"),
        stderr=theirs,
    )
    os.close(theirs)
    seen = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    code = child.wait(timeout=60)
    told = "" if whole else (folder / "out").read_text()
    return Watched(seen.decode().replace("\r\n", "\n"), told, code)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody else has the terminal open
        return b""
