"""Where bodies go that are too large for memory: files in a folder that is gone with its owner."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from app.turn import give_way

PIECE = 3 << 16  # a multiple of three, so that pieces of base64 can be strung together


class Spool:
    """A folder for one request or one job, readable by nobody else."""

    def __init__(self, parent: Path | str) -> None:
        Path(parent).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(dir=parent))
        self._made = 0

    def new(self) -> Path:
        """A name that nothing has yet. It is ours: nobody's words are in it."""
        self._made += 1
        return self.folder / str(self._made)

    def keep(self, data: bytes) -> Path:
        path = self.new()
        path.write_bytes(data)
        return path

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Whole:
    """A file as it is, inside a body. Whoever reads it gives way to others after each piece (R-048)."""

    def __init__(self, path: Path | str) -> None:
        self._path = path
        self._size = os.path.getsize(path)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        with open(self._path, "rb") as file:
            while piece := file.read(PIECE):
                yield piece
                give_way()


class Base64:
    """A file as base64 text, inside a body."""

    def __init__(self, path: Path | str) -> None:
        self._whole = Whole(path)

    def __len__(self) -> int:
        return (len(self._whole) + 2) // 3 * 4

    def __iter__(self) -> Iterator[bytes]:
        return map(base64.b64encode, self._whole)


class Pieces:
    """A body of known length in pieces, some of which are files. It can be sent more than once."""

    def __init__(self, *parts: bytes | Whole | Base64) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from part


def json_pieces(value: Any) -> Pieces:
    """A JSON body in which each `Base64` is the text of a file, and never in memory."""
    mark, files = secrets.token_hex(16), list[Base64]()

    def set_apart(one: Any) -> str:
        if not isinstance(one, Base64):
            raise TypeError
        files.append(one)
        return mark

    first, *rest = orjson.dumps(value, default=set_apart).split(mark.encode())
    parts: list[bytes | Whole | Base64] = [first]
    for file, text in zip(files, rest, strict=True):
        parts += file, text
    return Pieces(*parts)
