"""What is done to the services while callers call: by their administrator, and by accidents."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future

from tests.deploy.load import Load, held_open, is_broken, is_good, load
from tests.platforms.callers import Heard
from tests.rehearsal.page import Page
from tests.rehearsal.report import Report
from tests.rehearsal.server import SERVICES, Server
from tests.stack import until

CALLERS, STREAMS = 6, 12
FOUR_SECONDS = "simulate: words=40 pace=0.1"
FIFTEEN_SECONDS = "simulate: words=150 pace=0.1"
RESTART = "systemctl restart tokens-web@a"
UNHURRIED = "simulate: words=3 pace=0.05"
PATIENCE = 3  # seconds that streams are given to end
BACK_SECONDS = 10.0
Act = Callable[[], str]


def disturbed(
    server: Server,
    report: Report,
    what: str,
    act: Act,
    *,
    in_hand: int = 0,
    calls: int = 300,
    callers: int = CALLERS,
    text: str = "simulate: words=3",
) -> None:
    """Does it while callers call and streams are open. `in_hand` is 1 where it may cost each caller one call, and
    any of the streams.
    """
    with report.act(what) as found:
        streams = held_open(server, server.crowd, STREAMS, FOUR_SECONDS)
        with load(server, server.crowd, callers, text) as loading:
            began = time.monotonic()
            said = act()
            took = time.monotonic() - began
            assert until(lambda: len(loading.good) >= calls, 120)
        server.remember(loading)
        broken = sum(map(is_broken, streams))
        found.append(f"{counted(loading)}, {broken} of {STREAMS} streams broken; {took:.1f} s")
        found += [said] if said else []
        assert len(loading.bad) <= in_hand * callers and broken <= in_hand * STREAMS, loading.bad
        assert broken + sum(map(_is_whole, streams)) == STREAMS, "what broke off looks whole"


def counted(loading: Load) -> str:
    words = f"{len(loading.good)} answered, {len(loading.bad)} failed"
    if loading.let_go:
        words += f", {loading.let_go} sent again as nginx had let go of an idle connection"
    return words


def _is_whole(call: Future[Heard]) -> bool:
    return not is_broken(call) and is_good(call.result())


def by_the_administrator(server: Server, page: Page, report: Report) -> None:
    machine = server.machine

    def restart() -> str:
        before = [server.main_pid(one) for one in SERVICES]
        machine.do(page.in_passing(RESTART))
        assert all(server.main_pid(one) not in (0, *before) for one in SERVICES)
        return ""

    def reload() -> str:
        machine.do(page.when_renewed())
        return ""

    def misspell() -> str:
        server.set("TOKENS_TYPO=1")
        other = server.main_pid(SERVICES[1])
        machine.do(f"! ({page.in_passing(RESTART)})")
        assert server.main_pid(SERVICES[1]) == other, "the other does not go on"
        said = machine.do(page.in_passing("-n 20") + " -o cat --no-pager")
        lines = {one for one in said.splitlines() if "TOKENS_TYPO" in one}
        server.set("TOKENS_TYPO=")
        assert len(lines) == 1, said
        assert until(lambda: server.is_well("a"), 30), "it does not come back by itself"
        return f"the journal says `{lines.pop()}`, and it came back by itself"

    what = "one service restarted after the other, as after new settings"
    disturbed(server, report, what, restart)
    disturbed(server, report, "nginx reloaded, as after a new certificate", reload)
    disturbed(
        server,
        report,
        "the same with a setting that is misspelt: the first does not start, the other goes on",
        misspell,
    )


def by_accident(server: Server, report: Report) -> None:
    machine = server.machine

    def kill_worker() -> str:
        before = server.workers(SERVICES[0])
        machine.do(f"kill -9 {' '.join(map(str, before))}")
        began = time.monotonic()
        assert until(lambda: server.workers(SERVICES[0]) - before and server.is_well("a"))
        return f"replaced after {time.monotonic() - began:.1f} s"

    def kill_main() -> str:
        before = server.main_pid(SERVICES[0])
        machine.do(f"kill -9 {before}")
        began = time.monotonic()
        assert until(lambda: server.main_pid(SERVICES[0]) not in (0, before))
        assert until(lambda: server.is_well("a"), 60)
        took = time.monotonic() - began
        assert took < BACK_SECONDS, took
        assert int(server.shown(SERVICES[0], "NRestarts")) >= 1
        return f"systemd has it answer again after {took:.1f} s"

    disturbed(server, report, "kill -9 of a service's worker", kill_worker, in_hand=1)
    # Six callers who never pause take both cores, and what starts has to wait for its turn.
    what = "kill -9 of a service's main process"
    disturbed(server, report, what, kill_main, in_hand=1, calls=30, callers=2, text=UNHURRIED)


def with_little_patience(server: Server, page: Page, report: Report) -> None:
    """A stream that lasts longer than TOKENS_STOP_SECONDS ends with an error, and is charged as far as it came."""
    machine = server.machine
    with report.act(f"a service stopped with TOKENS_STOP_SECONDS={PATIENCE}") as found:
        server.set(f"TOKENS_STOP_SECONDS={PATIENCE}")
        machine.do(page.in_passing(RESTART))
        streams = held_open(server, server.crowd, STREAMS, FIFTEEN_SECONDS)
        with load(server, server.crowd, CALLERS) as loading:
            began = time.monotonic()
            machine.do(f"systemctl stop {SERVICES[0]}")
            took = time.monotonic() - began
        server.remember(loading)
        heard = [one.result() for one in streams]
        cut = [one for one in heard if one.broken]
        found.append(f"{counted(loading)}; stopped after {took:.1f} s")
        found.append(f"{len(cut)} of {STREAMS} streams cut off, the others whole")
        machine.do(f"systemctl start {SERVICES[0]}")
        server.set("TOKENS_STOP_SECONDS=")
        machine.do(page.in_passing(RESTART))

        assert not loading.bad and 0 < len(cut) < STREAMS and took < PATIENCE + 6, loading.bad
        assert all(b"the gateway stops" in one.content for one in cut)
        assert all(is_good(one) for one in heard if not one.broken)
        rows = server.ledger()
        ends = {rows[one.headers["x-request-id"]] for one in cut}
        assert ends == {("charged", "interrupted")}, ends
