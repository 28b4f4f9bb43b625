"""deploy/install.md, done as it says on a bare Debian 12 under systemd. See README.md in this folder."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.rehearsal.books import the_ledger
from tests.rehearsal.coming_back import power_cut, reboot
from tests.rehearsal.disturbing import by_accident, by_the_administrator, with_little_patience
from tests.rehearsal.installing import install, look_round
from tests.rehearsal.machine import Machine, lacking
from tests.rehearsal.page import Page
from tests.rehearsal.report import Report
from tests.rehearsal.scarcity import out_of_memory
from tests.rehearsal.server import Server
from tests.rehearsal.shut_in import tried_from_inside
from tests.rehearsal.upgrading import up_and_back

CALLS = int(os.environ.get("REHEARSAL_CALLS", "300"))
FILES = os.environ.get("REHEARSAL_FILES")


def rehearse(machine: Machine, report: Report) -> None:
    page, server = Page(), Server(machine)
    with report.act("a bare Debian 12"):
        machine.make(Path(FILES) if FILES else None)
    with report.act("its first boot") as found:
        found.append(machine.boot())
    install(server, page, report)
    if report.failed:
        return
    look_round(server, page, report)
    tried_from_inside(server, report)
    by_the_administrator(server, page, report)
    by_accident(server, report)
    with_little_patience(server, page, report)
    up_and_back(server, page, report, CALLS)
    reboot(server, report)
    out_of_memory(server, report)
    power_cut(server, report)
    the_ledger(server, report)
    with report.act("left out of the page") as found:
        left = page.left()
        assert all("certbot" in one for one in left), left
        found.append("; ".join(left).strip())


def main() -> int:
    if words := lacking():
        print("a rehearsal needs " + ", ".join(words), file=sys.stderr)
        print("on Debian: apt-get install debootstrap systemd-container git", file=sys.stderr)
        return 2
    report = Report()
    machine = Machine(Path(tempfile.mkdtemp(prefix="rehearsal-", dir="/var/tmp")))
    try:
        rehearse(machine, report)
    finally:
        machine.remove()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
