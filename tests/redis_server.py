"""A Redis of a test's own, which may be killed, stopped in its tracks, and begun again with nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import redis

from tests.stack import free_port, program, until


class RedisServer:
    """`file` says how it is set up, where that matters; it may ask for a password then."""

    def __init__(self, folder: Path, file: Path | None = None, password: str = "") -> None:
        self._program = program("redis-server")
        self._folder = folder
        self._settings = ["--bind", "127.0.0.1"] if file is None else []
        self._file = [] if file is None else [str(file)]
        self.port = free_port()
        user = f":{password}@" if password else ""
        self.url = f"redis://{user}127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """With nothing in it."""
        words = [self._program, *self._file, "--port", str(self.port), *self._settings]
        words += ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        assert until(self._answers)

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def _answers(self) -> bool:
        try:
            return bool(redis.Redis.from_url(self.url, socket_timeout=1).ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """It takes connections, and answers nobody."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)
