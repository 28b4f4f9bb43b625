"""The page from its first heading to `Look at it`, on a bare Debian."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

from tests.rehearsal.machine import Machine
from tests.rehearsal.page import CERTIFICATE, NAME, REPOSITORY, Page
from tests.rehearsal.report import Report
from tests.rehearsal.server import SERVICES, SETTINGS, Server
from tests.stack import ROOT

# Whose they are, and who may do what with them.
OWNERS = {
    "/opt/tokens-1": "root:root 755",
    "/etc/tokens": "root:root 700",
    SETTINGS: "root:root 600",
    "/var/lib/tokens": "tokens:tokens 700",
    "/var/lib/tokens/tokens.db": "tokens:tokens 600",
    "/run/tokens-web-a": "tokens:tokens 750",
    "/run/tokens-web-a/web.sock": "tokens:tokens 660",
    "/var/log/nginx/tokens.log": "root:root 640",
    "/var/log/nginx/tokens.error.log": "root:root 640",
}

# What certbot would put there, and who gives out certificates would ask for.
PROOF = "word-of-certbot"
ASK_FOR_PROOF = f"""install -d /var/www/html/.well-known/acme-challenge
echo {PROOF} > /var/www/html/.well-known/acme-challenge/name
curl --no-progress-meter http://{NAME}/.well-known/acme-challenge/name"""


def give_repository(machine: Machine) -> None:
    """A copy of what is committed here, in the machine."""
    there = machine.root / REPOSITORY.lstrip("/")
    subprocess.run(["git", "clone", "--quiet", "--bare", ROOT, there], check=True)
    shutil.rmtree(there / "hooks", ignore_errors=True)


def install(server: Server, page: Page, report: Report) -> None:
    """What fails here ends the rehearsal: there is nothing to go on with."""
    machine = server.machine
    with report.act("1. The program"):
        give_repository(machine)
        machine.do(page.block("The program"))
        assert list(machine.root.glob("opt/tokens-1/app/__pycache__")), "nothing is compiled"
    with report.act("2. Its user and its settings") as found:
        lines = server.simulate()
        (machine.root / "root/keys").write_text(lines)
        typed = f"cat /root/keys >> {SETTINGS} #"
        said = machine.do(page.block("Its user and its settings", editor=typed))
        licences = re.findall(r"tok-\S+", said)
        assert len(licences) == 1 and " wrong " not in said, said
        server.licence = licences[0]
        found.append(f"`tokens doctor` has {len(re.findall(' ok ', said))} ok, none wrong")
    with report.act("3. The services") as found:
        said = machine.do(page.block("The services"))
        assert '"status":"ok"' in said, said
        found.append(_times(server))
    with report.act("4. The certificate, one of our own"):
        assert PROOF in machine.do(ASK_FOR_PROOF)
        machine.do(page.in_passing("list-timers") + " | grep certbot.service")
        machine.do(page.block("The certificate", 1))
        server.trust()
    with report.act("5. nginx"):
        machine.do(page.block("nginx"))
        assert PROOF in machine.do(ASK_FOR_PROOF)
    with report.act("6. Look at it") as found:
        said = machine.do(
            page.block(
                "Look at it",
                **{
                    "tok-...": server.licence,
                    "tokens doctor": f"tokens doctor --ca-file {CERTIFICATE}",
                    "curl ": f"curl --no-progress-meter --cacert {CERTIFICATE} ",
                },
            )
        )
        assert said.rstrip().endswith("data: [DONE]") and " wrong " not in said, said
        found.append(f"`tokens doctor --url` has {len(re.findall(' ok ', said))} ok, none wrong")


def _times(server: Server) -> str:
    """How long systemd waited for each of the two."""
    took = []
    for one in SERVICES[:2]:
        begun, ready = (
            int(server.shown(one, name))
            for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        )
        took.append((ready - begun) / 1e6)
    return f"ready after {took[0]:.1f} and {took[1]:.1f} s, both at once"


def look_round(server: Server, page: Page, report: Report) -> None:
    """What an administrator sees of it."""
    machine = server.machine
    with report.act("owners and modes") as found:
        said = machine.do(f"stat -c '%n %U:%G %a' {' '.join(OWNERS)}").splitlines()
        other = [line for line in said if line.partition(" ")[2] != OWNERS[line.split()[0]]]
        assert not other, other
        wide = machine.do("find /var/lib/tokens /etc/tokens -perm /077").split()
        strangers = machine.do("find /opt/tokens-1 ! -user root").split()
        assert not wide and not strangers, (wide, strangers)
        found.append(f"{len(OWNERS)} as they should be, all of the state for its user alone")
    with report.act("the journal") as found:
        said = machine.do("journalctl -u 'tokens-*' -o json --no-pager").splitlines()
        entries = [json.loads(line) for line in said]
        ours = [one["MESSAGE"] for one in entries if one.get("SYSLOG_IDENTIFIER") == "tokens"]
        lines = [json.loads(one) for one in ours]
        assert lines and all("request" in line for line in lines)
        assert server.licence not in "".join(said), "a licence stands in it"
        found.append(f"{len(lines)} lines of ours, each the JSON of one call; no licence")
    with report.act("a copy of the database"):
        command = page.in_passing("tokens backup")
        machine.do(command)
        kept = machine.root / command.split()[-1].lstrip("/")
        assert kept.stat().st_mode & 0o777 == 0o600
    with report.act("systemd-analyze security") as found:
        for one in ("tokens-web@a", "tokens-worker"):
            said = machine.do(f"systemd-analyze security --no-pager {one}")
            level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
            assert level is not None and float(level[1]) < 2.0, said
            found.append(f"{one} {level[1]}")
