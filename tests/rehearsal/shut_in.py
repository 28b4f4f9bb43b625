"""What the units shut the services in with, tried from inside."""

from __future__ import annotations

import json
import resource

from tests.rehearsal.report import Report
from tests.rehearsal.server import Server

INSTANCE = "tokens-web@probe"
DROP_IN = """[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/opt/tokens/.venv/bin/python /opt/tokens/tests/rehearsal/probe.py {stranger} {service}
"""
FILES = 65536  # LimitNOFILE
NOTHING = "0000000000000000"


def tried_from_inside(server: Server, report: Report) -> None:
    """S-064. A third service, with `probe.py` in the gateway's place."""
    machine = server.machine
    with report.act("shut in") as found:
        folder = machine.root / f"etc/systemd/system/{INSTANCE}.service.d"
        folder.mkdir()
        service = server.main_pid("tokens-web@a")
        stranger = machine.do("systemctl show -P MainPID nginx").strip()
        (folder / "probe.conf").write_text(DROP_IN.format(stranger=stranger, service=service))
        machine.do("touch /home/somebody /root/something")
        machine.do(f"systemctl daemon-reload; systemctl start {INSTANCE}")
        said = machine.do(f"journalctl -u {INSTANCE} -o cat --no-pager").splitlines()
        (line,) = [json.loads(one) for one in said if one.startswith("{")]

        assert line["written"] == line["managed"] == [], line
        assert len(line["writable"]) == 3 and line["seen"] == ["True"], line
        status = line["status"]
        assert status["CapEff"] == status["CapBnd"] == NOTHING and status["Uid"] != "0", status
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status
        found.append(f"{line['tried']} things tried, none managed; no capability is left")
        here = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        assert line["files"] == FILES or line["files"] == here < FILES, line
        found.append(f"{line['files']} files" + (", all that this place gives" * (here < FILES)))
        limits = [server.shown("tokens-web@a", one) for one in ("MemoryMax", "TasksMax")]
        assert limits == [str(2 << 30), "512"], limits
