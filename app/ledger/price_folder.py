"""The folder of the operator's own price files, as commands change it."""

from __future__ import annotations

import os
from pathlib import Path

from app.key_file import sync


class PriceFolder:
    """One file a platform. Who reads finds a whole one, the former or the new."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, platform: str) -> Path:
        return self._folder / f"{platform}.json"

    def before(self, platform: str) -> Path:
        """Where the file that was there before is kept."""
        return self._folder / f"{platform}.json.before"

    def put(self, platform: str, content: bytes) -> None:
        """Puts a file in the place of the one that is there, if any, which is kept."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self.path(platform)
        if file.exists():
            self._write(self.before(platform), file.read_bytes())
        self._write(file, content)

    def remove(self, platform: str) -> None:
        """Takes the file out of force; it is kept."""
        os.replace(self.path(platform), self.before(platform))
        sync(self._folder)

    def _write(self, file: Path, content: bytes) -> None:
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with open(fresh, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(fresh, file)
        finally:
            fresh.unlink(missing_ok=True)
        sync(self._folder)
