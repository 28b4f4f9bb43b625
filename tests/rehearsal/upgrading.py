"""The section `A new version`: up, back, and back by the backup alone."""

from __future__ import annotations

import re
import subprocess

from app.storage.database import HEAD
from tests.rehearsal.books import the_ledger
from tests.rehearsal.disturbing import disturbed
from tests.rehearsal.page import REPOSITORY, Page
from tests.rehearsal.report import Report
from tests.rehearsal.server import SERVICES, Server
from tests.releases import NEXT, advance
from tests.stack import until

SECTION = "A new version"
IDENTITY = ("-c", "user.name=Rehearsal", "-c", "user.email=rehearsal@localhost")


def publish(server: Server) -> None:
    """The next version, in the repository that the machine clones from."""
    folder = server.machine.folder / "next"
    there = server.machine.root / REPOSITORY.lstrip("/")
    git = ["git", "-C", str(folder)]
    subprocess.run(["git", "clone", "--quiet", there, folder], check=True)
    advance(folder)
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, *IDENTITY, "commit", "--quiet", "-m", "The next version"], check=True)
    subprocess.run([*git, "push", "--quiet"], check=True)


def runs_from(server: Server, folder: str) -> bool:
    """Whether all three do."""
    lines = (server.machine.path(f"/proc/{server.main_pid(one)}/cmdline") for one in SERVICES)
    return all(folder in str(line.read_bytes()) for line in lines)


def up_and_back(server: Server, page: Page, report: Report, calls: int) -> None:
    machine = server.machine
    said: list[str] = []

    def up() -> str:
        said.append(machine.do(page.block(SECTION, 1)))
        assert runs_from(server, "/opt/tokens-2/"), "the old version still runs"
        return ""

    def back() -> str:
        machine.do(page.block(SECTION, 3))
        assert runs_from(server, "/opt/tokens-1/"), "the new version still runs"
        return ""

    with report.act("a new version: installed beside the old, and looked at"):
        publish(server)
        checked = machine.do(page.block(SECTION))
        assert "all of it can be done while the gateway runs" in checked, checked
    disturbed(server, report, f"up to it, from migration {HEAD} to {NEXT}", up, calls=calls)
    disturbed(server, report, "the way back, on the new form of the database", back, calls=calls)
    the_ledger(server, report)
    server.told.clear()  # what was written since the backup will be gone
    with report.act("back by the backup alone"):
        (backup,) = set(re.findall(r"/var/lib/tokens/\S+at-\w+", said[0]))
        machine.do(page.block(SECTION, 4, **{"THE-BACKUP": backup}))
        assert until(server.answers), "no call is answered"
    with report.act("up once more, as where the gateway has to end for it"):
        machine.do(page.block(SECTION, 2))
        assert runs_from(server, "/opt/tokens-2/") and until(server.answers)
