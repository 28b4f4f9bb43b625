"""What runs on the machine once the page has been followed: where it is called, and what it says of itself."""

from __future__ import annotations

import csv
import http.client
import io
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from app.platforms import PLATFORMS
from tests.deploy.load import Load, ask, is_good
from tests.deploy.service import OverSocket
from tests.rehearsal.machine import Machine
from tests.rehearsal.page import CERTIFICATE, NAME
from tests.stack import Simulators, until

SERVICES = ("tokens-web@a", "tokens-web@b", "tokens-worker")
SETTINGS = "/etc/tokens/tokens.env"
KEY = "sk-simulated"
UNIT = """[Unit]
Description=What stands for the platforms
[Service]
Type=exec
ExecStart=/opt/tokens-1/.venv/bin/tokens simulate
DynamicUser=yes
[Install]
WantedBy=multi-user.target
"""


class Elsewhere(Simulators):
    """Simulators that somebody else has begun."""

    def __init__(self, bases: dict[str, str]) -> None:
        self.bases = bases


class Server:
    """Called as `tests.deploy.load` calls a gateway."""

    simulators: Elsewhere
    licence: str

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.told: Counter[str] = Counter()  # the ids of all answers that callers had whole
        self.crowd = ThreadPoolExecutor(64)

    def url(self, platform: str = "") -> str:
        return f"https://{NAME}/{platform}" if platform else f"https://{NAME}"

    def simulate(self) -> str:
        """Begins what stands for the platforms, and gives the settings that lead there."""
        (self.machine.root / "etc/systemd/system/simulators.service").write_text(UNIT)
        self.machine.do("systemctl enable --now simulators")

        def lines() -> list[str]:
            said = self.machine.do("journalctl -b -u simulators -o cat --no-pager").splitlines()
            found = [one.strip() for one in said if "_BASE_URL=" in one]
            return found if len(found) == len(PLATFORMS) else []

        addresses = until(lines, 60)
        assert addresses, "the simulators have not begun"
        pairs = [one.partition("_BASE_URL=") for one in addresses]
        self.simulators = Elsewhere({one[0][7:].lower(): one[2] for one in pairs})
        keys = [f"{one[0]}_KEYS={KEY}" for one in pairs]
        return "".join(f"{line}\n" for line in (*addresses, *keys))

    def trust(self) -> None:
        """For `requests`, whoever calls it."""
        os.environ["REQUESTS_CA_BUNDLE"] = str(self.machine.root / CERTIFICATE.lstrip("/"))

    def remember(self, loading: Load) -> None:
        self.told.update(loading.good)

    def answers(self) -> bool:
        """Whether a chat through nginx is answered in full."""
        try:
            heard = ask(self, "simulate: words=3", timeout=5)
        except OSError:
            return False
        if is_good(heard):
            self.told[heard.headers["x-request-id"]] += 1
            return True
        return False

    def is_well(self, service: str) -> bool:
        """Whether this one of the two says so, by its own socket."""
        try:
            line = OverSocket(self.machine.path(f"/run/tokens-web-{service}/web.sock"))
            line.request("GET", "/health")
            return line.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False

    def shown(self, service: str, name: str) -> str:
        """What systemd knows of it."""
        return self.machine.do(f"systemctl show -P {name} {service}").strip()

    def main_pid(self, service: str) -> int:
        return int(self.shown(service, "MainPID"))

    def workers(self, service: str) -> set[int]:
        pid = self.main_pid(service)
        file = self.machine.path(f"/proc/{pid}/task/{pid}/children")
        try:
            return set(map(int, file.read_text().split()))
        except FileNotFoundError:
            return set()

    def set(self, *lines: str) -> None:
        """As somebody does who changes the settings and restarts one service after the other."""
        file = self.machine.root / SETTINGS.lstrip("/")
        text = file.read_text()
        names = tuple(one.partition("=")[0] + "=" for one in lines)
        kept = [one for one in text.splitlines() if not one.startswith(names)]
        kept += [one for one in lines if not one.endswith("=")]
        file.write_text("\n".join(kept) + "\n")

    def ledger(self) -> dict[str, tuple[str, str]]:
        """The state and the outcome of each call in it."""
        text = self.machine.do("tokens ledger export - 2>/dev/null")
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(text)))
        found = {row["id"]: (row["state"], row["outcome"]) for row in rows}
        assert len(found) == len(rows), "a call stands in the ledger twice"
        return found
