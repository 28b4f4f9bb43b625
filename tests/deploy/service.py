"""A gateway as the systemd unit starts it: on a unix socket, with nginx to reach it by."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.front import Certificate, Front
from tests.metrics.reading import Reading
from tests.stack import TOKENS, Simulators, Stack


class Service(Stack):
    """Two of them may share a folder, as they do on a server. `front` is set once nginx runs."""

    command, background = [TOKENS, "serve"], [TOKENS, "worker"]
    front: Front

    def __init__(
        self, simulators: Simulators, folder: Path, name: str = "a", **settings: str
    ) -> None:
        self.socket_file = folder / f"{name}.sock"
        super().__init__(simulators, folder, TOKENS_SOCKET_FILE=str(self.socket_file), **settings)

    def url(self, platform: str = "") -> str:
        return f"{self.front.url}/{platform}" if platform else self.front.url

    def terminate(self) -> subprocess.Popen[bytes]:
        """Asks it to stop, as systemd does, and does not wait for it."""
        self._process.send_signal(signal.SIGTERM)
        return self._process

    def begin(self) -> None:
        self._process = self._started()

    @property
    def workers(self) -> list[int]:
        pid = self.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    @property
    def lost(self) -> float:
        """How many of its processes have died before their time, by its metrics."""
        line = OverSocket(self.socket_file)
        line.request("GET", "/metrics")
        told = Reading(line.getresponse().read().decode())
        line.close()
        return told.value("tokens_processes_lost_total")

    def _answers(self) -> bool:
        line = OverSocket(self.socket_file)
        try:
            line.request("GET", "/health")
            return line.getresponse().status == 200
        except OSError:
            return False
        finally:
            line.close()


@contextmanager
def fronted(
    simulators: Simulators,
    folders: pytest.TempPathFactory,
    certificate: Certificate,
    kind: type[Service] = Service,
    spoilt: Mapping[str, str] | None = None,
    **settings: str,
) -> Iterator[Service]:
    """A service with an nginx of its own."""
    running = kind(simulators, folders.mktemp("service"), **settings)
    running.front = Front(folders.mktemp("nginx"), [running.socket_file], certificate, spoilt)
    yield running
    running.front.stop()
    running.stop()


class OverSocket(http.client.HTTPConnection):
    """A connection to a unix socket, by which nobody but nginx comes."""

    def __init__(self, file: Path) -> None:
        super().__init__("localhost", timeout=15)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(15)
        self.sock.connect(str(self._file))


def opened(front: Front, address: str = "127.0.0.1", seconds: float = 15) -> ssl.SSLSocket:
    """A bare connection through nginx, of a caller at this address of the loopback."""
    there = ("127.0.0.1", front.port)
    sock = socket.create_connection(there, timeout=seconds, source_address=(address, 0))
    return front.trust.wrap_socket(sock, server_hostname="localhost")


def worked(pid: int) -> float:
    """How many seconds of a processor the process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
