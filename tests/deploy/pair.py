"""Two services on one database behind one nginx, as deploy/install.md has them."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.front import Certificate, Front
from tests.deploy.service import Service
from tests.stack import Simulators


class Pair:
    """`b` has less patience than `a` when it is told to stop."""

    def __init__(
        self, simulators: Simulators, folder: Path, certificate: Certificate, **settings: str
    ) -> None:
        self.a = Service(simulators, folder / "state", "a", **settings)
        self.b = Service(simulators, folder / "state", "b", TOKENS_STOP_SECONDS="8", **settings)
        (folder / "nginx").mkdir()
        sockets = [self.a.socket_file, self.b.socket_file]
        self.front = self.a.front = self.b.front = Front(folder / "nginx", sockets, certificate)

    def stop(self) -> None:
        self.front.stop()
        self.a.stop()
        self.b.stop()
