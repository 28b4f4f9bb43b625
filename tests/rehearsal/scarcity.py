"""A service that needs more memory than it may have: the kernel's part is played by the kernel (R-050)."""

from __future__ import annotations

import base64
import threading
from contextlib import suppress

import requests

from tests.deploy.load import CHAT, load
from tests.rehearsal.disturbing import CALLERS, counted
from tests.rehearsal.report import Report
from tests.rehearsal.server import SERVICES, Server
from tests.stack import until

MOST, USUAL = "256M", "2G"
KILLS, EATERS = 3, 6
PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(12 << 20)).decode()
SHOWN = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
HUNGRY = {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": [SHOWN] * 4}]}
SAID = "was sent SIGKILL! Perhaps out of memory?"


def out_of_memory(server: Server, report: Report) -> None:
    """Both have as little, since nobody says which of the two a call goes to."""
    machine = server.machine
    web = SERVICES[:2]
    began = machine.do("date +%s").strip()
    enough = threading.Event()

    def eat() -> None:
        while not enough.is_set():
            with suppress(requests.RequestException):
                asked = ("/v1/chat/completions", HUNGRY)
                CHAT.call(server.url("claude_api"), asked, server.licence, timeout=60)

    def kills() -> int:
        """As the journal has them."""
        said = machine.do(f"journalctl -u 'tokens-web@*' --since @{began} -o cat --no-pager")
        return said.count(SAID)

    with report.act(f"memory runs out, with MemoryMax={MOST}") as found:
        mains = [server.main_pid(one) for one in web]
        for one in web:
            machine.do(f"systemctl set-property --runtime {one} MemoryMax={MOST}")
        with load(server, server.crowd, CALLERS) as loading:
            eating = [server.crowd.submit(eat) for _ in range(EATERS)]
            try:
                assert until(lambda: kills() >= KILLS, 120), "nobody was killed"
            finally:
                enough.set()
                for call in eating:
                    call.result()
        server.remember(loading)
        count = kills()
        found.append(f"the kernel killed {count} workers; {counted(loading)}")
        for one in web:
            machine.do(f"systemctl set-property --runtime {one} MemoryMax={USUAL}")
        assert mains == [server.main_pid(one) for one in web], "a main process was killed"
        assert {server.shown(one, "ActiveState") for one in web} == {"active"}
        found.append("no service was begun again")
        assert len(loading.bad) <= count * CALLERS, loading.bad
