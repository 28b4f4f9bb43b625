"""Two services on one database behind one nginx, as deploy/install.md has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.deploy.front import Certificate, Front
from tests.deploy.service import Service
from tests.stack import Simulators


class Pair:
    """`b` has less patience than `a` when it is told to stop. `spoilt` are lines of nginx's site."""

    def __init__(
        self,
        simulators: Simulators,
        folder: Path,
        certificate: Certificate,
        *,
        patience: int = 8,
        spoilt: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        self.a = Service(simulators, folder / "state", "a", **settings)
        stops = {"TOKENS_STOP_SECONDS": str(patience)}
        self.b = Service(simulators, folder / "state", "b", **stops, **settings)
        (folder / "nginx").mkdir()
        sockets = [self.a.socket_file, self.b.socket_file]
        self.front = Front(folder / "nginx", sockets, certificate, spoilt)
        self.a.front = self.b.front = self.front

    def stop(self) -> None:
        self.front.stop()
        self.a.stop()
        self.b.stop()
