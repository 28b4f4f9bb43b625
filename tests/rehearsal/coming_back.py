"""The machine goes, and comes back with everything that is on it."""

from __future__ import annotations

import time

from tests.deploy.load import held_open, is_broken
from tests.rehearsal.disturbing import FIFTEEN_SECONDS, STREAMS
from tests.rehearsal.report import Report
from tests.rehearsal.server import SERVICES, Server
from tests.stack import until

AWAY_SECONDS = 120


def reboot(server: Server, report: Report) -> None:
    """Into a machine in which memory can run out."""
    machine = server.machine
    with report.act("a reboot, nobody calling") as found:
        took = machine.power_off()
        found.append(f"off after {took:.1f} s; {_back(server, for_memory=True)}")


def power_cut(server: Server, report: Report) -> None:
    """Nobody takes what breaks off for whole. Connections outlive the machine's processes nowhere."""
    machine = server.machine
    with report.act(f"a power cut, with {STREAMS} streams open") as found:
        streams = held_open(server, server.crowd, STREAMS, FIFTEEN_SECONDS)
        machine.cut()
        assert all(map(is_broken, streams)), "a stream looks whole"
        found.append(f"all broke off; {_back(server)}")


def _back(server: Server, *, for_memory: bool = False) -> str:
    machine = server.machine
    began = time.monotonic()
    state = machine.boot(for_memory=for_memory)
    assert until(server.answers, AWAY_SECONDS), "no call is answered"
    took = time.monotonic() - began
    states = {server.shown(one, "ActiveState") for one in (*SERVICES, "nginx")}
    assert (state, states) == ("running", {"active"}), (state, states)
    restarts = [server.shown(one, "NRestarts") for one in SERVICES]
    assert restarts == ["0"] * len(SERVICES), restarts
    return f"the first call was answered {took:.1f} s after the start of the boot"
