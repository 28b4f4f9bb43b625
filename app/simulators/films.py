"""Films that anybody can open: one small MP4, whatever was asked for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "assets" / "film.mp4"


@cache
def _whole() -> bytes:
    return _FILE.read_bytes()


def film(width: int, height: int, seconds: float, words: str) -> bytes:
    """An MP4 of a few seconds. Shape, length and words are the asker's wishes; nobody draws them
    here, so they change nothing.
    """
    return _whole()
