"""A thousand streams at once come whole, and hardly later than from the platform itself."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.bench import compare
from tests.stack import Json, Simulators, Stack, compact, program, until

pytestmark = pytest.mark.slow
# Reliability asks for 1,000: set SOAK_STREAMS.
STREAMS = int(os.environ.get("SOAK_STREAMS", "100"))
IS_LONG = STREAMS >= 1000
PIECES, PAUSE = (100, 200) if IS_LONG else (40, 50)  # milliseconds
ROUNDS = 3 if IS_LONG else 1
RAMP = 10 * STREAMS  # milliseconds until all are there: a hundred begin in a second
MOST = 50.0 if IS_LONG else 500.0  # milliseconds, for 99 of a hundred; a busy machine is slow
LIMITS = "--rpm 1000000 --tpm 1000000000 --tpd 1000000000000 --concurrency 10000".split()
ASKED = {
    "model": f"bench-{PIECES}x{PAUSE}ms",
    "messages": [{"role": "user", "content": "Please write about gateways. " * 20}],
    "stream": True,
}


class Platform:
    """The bench's: one thread in C, which says in each piece when it sent it."""

    def __init__(self, folder: Path) -> None:
        program("gcc")
        compare.build(folder)
        self._folder, self.port = folder, compare.free_port()
        self._process = subprocess.Popen([folder / "upstream", str(self.port), compare.KEY])
        (folder / "body").write_bytes(compact(ASKED))

    def stop(self) -> None:
        compare.stop(self._process)

    def streamed(self, port: int, path: str, key: str) -> dict[str, Any]:
        """What came of all streams, in microseconds: every piece is looked at, and the end."""
        command = [str(self._folder / "load"), str(port), path, str(self._folder / "body")]
        command += ["-c", str(STREAMS), "-n", "1", "-r", str(RAMP), "-p", str(PIECES)]
        command += ["-H", f"Authorization: Bearer {key}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        assert (found["good"], found["bad"], found["unfinished"]) == (STREAMS, 0, 0), found
        assert found["pieces"] == STREAMS * PIECES
        return found


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path)
    assert until(lambda: _listens(platform.port))
    yield platform
    platform.stop()


@pytest.fixture
def stack(platform: Platform, simulators: Simulators, tmp_path: Path) -> Iterator[Stack]:
    """With everything on: limits, ledger, metrics and access log."""
    address = {"TOKENS_CHATGPT_BASE_URL": f"http://127.0.0.1:{platform.port}/v1"}
    keys = {"TOKENS_CHATGPT_KEYS": compare.KEY}
    stack = Stack(simulators, tmp_path / "stack", TOKENS_WORKERS="2", **address, **keys)
    stack.licence = stack.new_licence(*LIMITS)
    yield stack
    stack.stop()


def test_so_many_streams_come_whole_and_in_time(stack: Stack, platform: Platform) -> None:
    rows = [_round(stack, platform) for _ in range(ROUNDS)]

    print(f"\n{STREAMS} streams of {PIECES} pieces, one every {PAUSE} ms: all whole")
    for name in rows[0]:
        numbers = [row[name] for row in rows]
        print(f"{name}: {median(numbers):.1f} ({min(numbers):.1f} to {max(numbers):.1f})")
    assert median(row["added to a piece, p99 ms"] for row in rows) <= MOST
    assert until(lambda: len(_calls(stack)) == ROUNDS * STREAMS)
    assert {line["outcome"] for line in _calls(stack)} == {"ok"}


def _round(stack: Stack, platform: Platform) -> dict[str, float]:
    """Straight to the platform, and then through the gateway."""
    direct = platform.streamed(platform.port, "/v1/chat/completions", compare.KEY)
    idle, before = compare.megabytes(stack.pid)[1], compare.cpu_seconds(stack.pid)
    peak = compare.Peak(stack.pid)
    peak.start()
    port = int(stack.environ["TOKENS_PORT"])
    through = platform.streamed(port, "/chatgpt/v1/chat/completions", stack.licence)
    peak.end()
    spent = compare.cpu_seconds(stack.pid) - before
    added = {
        f"added to {what}, {nth} ms": (through[name][nth] - direct[name][nth]) / 1e3
        for what, name in (("a piece", "delay"), ("the first piece", "first_piece"))
        for nth in ("p50", "p99", "max")
    }
    memory = {"PSS MB before": idle, "PSS MB at most": peak.pss, "RSS MB at most": peak.rss}
    return added | memory | {"CPU us a piece": 1e6 * spent / through["pieces"]}


def _calls(stack: Stack) -> list[Json]:
    return [line for line in stack.log if line["method"] == "POST"]


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
