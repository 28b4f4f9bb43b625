"""A PostgreSQL of a test's own, which may be killed, stopped in its tracks, and begun again with all it had."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg

from tests.stack import free_port, missing, until

OWNER = "postgres"


def _binaries() -> Path:
    """Where the newest of its programs are; Debian has them in no PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    path = shutil.which("initdb") or (found[-1] if found else None)
    if path is None:
        missing("a PostgreSQL server")
    return Path(str(path)).parent


class PostgresServer:
    """It will not run as root, so its folder is where anybody gets to."""

    def __init__(self) -> None:
        self._binaries, self._folder = _binaries(), Path(mkdtemp(prefix="tokens-postgres-"))
        self._as: dict[str, Any] = {}
        if not os.geteuid():
            shutil.chown(self._folder, OWNER)
            self._as = {"user": OWNER, "group": OWNER, "extra_groups": []}
        self.port, self._listens = free_port(), ["-h", "127.0.0.1"]
        self.url = f"postgresql://{OWNER}@127.0.0.1:{self.port}/postgres"
        words = ["initdb", "--auth", "trust", "--username", OWNER, "--no-sync", "--no-locale"]
        subprocess.run(
            self._command(*words, "-E", "UTF8"), check=True, stdout=subprocess.DEVNULL, **self._as
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _command(self, program: str, *words: str) -> list[str]:
        return [str(self._binaries / program), "-D", str(self._folder / "data"), *words]

    def start(self) -> None:
        """With all that was committed."""
        words = ["-p", str(self.port), *self._listens, "-k", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command("postgres", *words), stdout=log, stderr=log, **self._as
            )
        assert until(self._answers, 30.0), (self._folder / "log").read_text()

    def _answers(self) -> bool:
        try:
            self.tell("SELECT 1")
            return True
        except psycopg.OperationalError:
            return False

    def tell(self, command: str) -> None:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=2) as connection:
            connection.execute(command)

    def set_up(self, files: dict[str, bytes]) -> None:
        """Begins again with these files among its data, which say where it listens as well."""
        self.kill()
        for name, content in files.items():
            file = self._folder / "data" / name
            file.write_bytes(content)
            file.chmod(0o600)
            if self._as:
                shutil.chown(file, OWNER, OWNER)
        self._listens = []
        self.start()

    def kill(self) -> None:
        """In the midst of everything; it recovers from its log when it starts."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait()

    def freeze(self) -> None:
        """It takes connections, and answers nobody."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        pid = self._process.pid
        os.kill(pid, number)  # first: then there are no more children
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), number)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder)
