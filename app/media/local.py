"""A folder on this host's disk.

A file is written beside its place, synced, and then given its name, so that whoever finds the name
finds all of it. Folders are opened one below the other and no link is followed on the way, except
that the folder itself may be one (S-050). Under gevent disks are waited for in threads: a slow one
must not hold up the streams of a worker.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from gevent import get_hub
from gevent.threadpool import ThreadPool

from app.errors import NotFound, StorageFull, StorageTrouble
from app.media.place import NOTHING, PIECE, checked

T = TypeVar("T")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_THREADS = 4


class Local:
    """Files in folders named for the first two letters of what is in them."""

    def __init__(self, folder: Path | str, *, off_hub: bool = False) -> None:
        self._folder = Path(folder)
        self._off_hub = off_hub
        self._pool: ThreadPool | None = None

    def put(self, name: str, path: str) -> str:
        try:
            return self._run(lambda: self._copy(checked(name), path))
        except OSError as error:
            if error.errno in _FULL:
                raise StorageFull("there is no room left for what would be made") from error
            raise StorageTrouble("files cannot be kept just now") from error

    def open(self, name: str, size: int, start: int, end: int) -> Iterator[bytes]:
        file = self._run(lambda: self._opened(checked(name), size))
        return self._pieces(file, start, end)

    def remove(self, name: str) -> None:
        def work() -> None:
            checked(name)
            try:
                folder = self._inner(name)
            except FileNotFoundError:
                return
            try:
                for one in (_unfinished(name), name):
                    try:
                        os.unlink(one, dir_fd=folder)
                    except FileNotFoundError:
                        continue
            finally:
                os.close(folder)

        try:
            self._run(work)
        except OSError as error:
            raise StorageTrouble("files cannot be kept just now") from error

    def free(self) -> int | None:
        self._make()
        return self._run(lambda: shutil.disk_usage(self._folder).free)

    def _copy(self, name: str, path: str) -> str:
        self._make()
        folder = self._inner(name, make=True)
        try:
            digest = _write(folder, _unfinished(name), path)
            os.rename(_unfinished(name), name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            return digest
        except BaseException:
            _forget(folder, _unfinished(name))
            raise
        finally:
            os.close(folder)

    def _opened(self, name: str, size: int) -> IO[bytes]:
        """The file, if it is one and as long as it was: none is given out that is not whole (R-086)."""
        try:
            folder = self._inner(name)
            try:
                descriptor = os.open(
                    name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder
                )
            finally:
                os.close(folder)
        except OSError as error:
            raise NotFound(NOTHING) from error
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            os.close(descriptor)
            raise NotFound(NOTHING)
        return open(descriptor, "rb", buffering=0)

    def _pieces(self, file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
        with file:
            file.seek(start)
            while start < end:
                most = min(PIECE, end - start)
                piece = self._run(lambda: file.read(most))
                if not piece:
                    raise OSError(errno.EIO, "a file became shorter while it was read")
                start += len(piece)
                yield piece

    def _inner(self, name: str, *, make: bool = False) -> int:
        """The folder the file belongs into, opened."""
        outer = os.open(self._folder, _FOLDER)
        try:
            if make:
                try:
                    os.mkdir(name[:2], 0o700, dir_fd=outer)
                    os.fsync(outer)
                except FileExistsError:
                    pass  # nearly always
            return os.open(name[:2], _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
        finally:
            os.close(outer)

    def _make(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _run(self, work: Callable[[], T]) -> T:
        if not self._off_hub:
            return work()
        if self._pool is None:  # made in the worker: one from before the fork has no threads there
            self._pool = ThreadPool(_THREADS, hub=get_hub())
        result: T = self._pool.apply(work)
        return result


def _unfinished(name: str) -> str:
    return f".{name}"


def _write(folder: int, name: str, path: str) -> str:
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    with open(path, "rb") as given, open(descriptor, "wb", buffering=0) as taken:
        while piece := given.read(PIECE):
            digest.update(piece)
            rest = memoryview(piece)
            while rest:
                rest = rest[taken.write(rest) :]
        os.fsync(taken.fileno())
    return digest.hexdigest()


def _forget(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return  # the sweep comes by again
