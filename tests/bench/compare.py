"""Measures the gateway beside nginx and beside no gateway at all: same platform, same load, one run.

    compare.py [--rows NAME,...] [--only SCENARIO,...] [--rounds N] [--quick] [--check] [--out FILE]

The figure to compare is CPU: user and system time of the whole process tree, per request or per piece of a stream. It does
not depend on how fast the caller is, and little on what else the machine does. Standard library only, and gcc.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import shutil
import signal
import socket
import statistics
import string
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PIECES = 100


@dataclass(frozen=True)
class Scenario:
    """One kind of load. `pause` None is no stream; `each` calls a connection instead of `seconds`."""

    name: str
    connections: int
    half: str = "openai"
    pause: int | None = None
    each: int = 0
    ramp: int = 0
    seconds: float = 4.0
    image: int = 0


SCENARIOS = [
    Scenario("chat1", 1, seconds=3),
    Scenario("chat64", 64),
    Scenario("burst16", 16, pause=0),
    Scenario("paced100", 100, pause=50, each=1, ramp=1000),
    Scenario("paced1000", 1000, pause=50, each=1, ramp=2000),
    Scenario("paced2000", 2000, pause=50, each=1, ramp=4000),
    Scenario("xlate64", 64, "anthropic"),
    Scenario("xburst16", 16, "anthropic", pause=0),
    Scenario("body1m", 4, image=1 << 20),
    Scenario("body8m", 2, image=8 << 20),
]
FIGURES = {  # what our row has to reach, with everything on
    "cold": {"first answer s": 1.5, "idle PSS MB": 150},
    "chat1": {"added p50 ms": 0.5, "added p99 ms": 1.0},
    "chat64": {"CPU ms": 0.50, "CPU x nginx": 36},
    "burst16": {"CPU us": 10, "CPU x nginx": 3.3},
    "paced1000": {"took s": 7.1, "added p99 ms": 20, "CPU us": 45, "peak PSS MB": 170},
    "xlate64": {"CPU ms": 0.55},
    "xburst16": {"CPU us": 14},
    "body1m": {"CPU ms": 2.5, "peak RSS MB": 250},
    "body8m": {"CPU ms": 20, "peak RSS MB": 250},
}


# ---------------------------------------------------------------- processes


def tree(root: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, left = [], [root]
    while left:
        found.append(left.pop())
        left += children.get(found[-1], [])
    return found


def _stat(pid: int) -> list[str]:
    """The fields behind the name of /proc/PID/stat; nothing for a process that has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(root: int) -> float:
    stats = [stat for pid in tree(root) if (stat := _stat(pid))]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / TICKS


def megabytes(root: int) -> tuple[float, float]:
    """RSS and PSS of a tree."""
    sums = {"Rss:": 0, "Pss:": 0}
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, *rest = line.split()
            if name in sums:
                sums[name] += int(rest[0])
    return sums["Rss:"] / 1024, sums["Pss:"] / 1024


def stop(process: subprocess.Popen[Any]) -> None:
    """Ends a process we started, and by their pids whatever it leaves behind."""
    left = {pid: _stat(pid)[19:20] for pid in tree(process.pid)}
    process.terminate()
    try:
        process.wait(6)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid, born in left.items():
        if born and _stat(pid)[19:20] == born:
            os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Peak(threading.Thread):
    """The most memory a tree has held, looked at twice a second."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._over = threading.Event()
        self.rss = self.pss = 0.0

    def run(self) -> None:
        while not self._over.wait(0.5):
            rss, pss = megabytes(self._root)
            self.rss, self.pss = max(self.rss, rss), max(self.pss, pss)

    def end(self) -> None:
        self._over.set()
        self.join()


# ---------------------------------------------------------------- measuring


def request_body(scenario: Scenario) -> bytes:
    words = "Please write a short paragraph about gateways. " * 8
    content: Any = words
    if scenario.image:
        image = random.Random(1).randbytes(scenario.image * 3 // 4)
        url = "data:image/png;base64," + base64.b64encode(image).decode()
        content = [
            {"type": "text", "text": words},
            {"type": "image_url", "image_url": {"url": url}},
        ]
    model = "bench" if scenario.half == "openai" else "claude-bench"
    if scenario.pause is not None:
        model += f"-{PIECES}x{scenario.pause}ms"
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
            {"role": "user", "content": content},
        ],
        "max_tokens": 256,
        "temperature": 0.7,
    }
    return json.dumps(body | ({"stream": True} if scenario.pause is not None else {})).encode()


@dataclass
class Row:
    """One thing to measure, running or about to."""

    name: str
    openai: str
    anthropic: str
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    optional: bool = False
    port: int = 0
    licence: str = "sk-upstream"
    process: subprocess.Popen[Any] | None = None


class Bench:
    def __init__(self, work: Path, quick: bool) -> None:
        self._work = work
        self._quick = quick
        self._upstream = free_port()
        for name in ("upstream", "load"):
            build = ["gcc", "-O2", "-o", str(work / name), str(HERE / f"{name}.c")]
            subprocess.run(build, check=True)
        command = [str(work / "upstream"), str(self._upstream), "sk-upstream"]
        self._platform = subprocess.Popen(command)

    def close(self) -> None:
        stop(self._platform)

    def measure(self, row: Row, only: list[str]) -> dict[str, dict[str, float]]:
        """Every scenario for one row."""
        row.port = free_port() if row.command else self._upstream
        row.licence = self._licence(row)
        results: dict[str, dict[str, float]] = {}
        try:
            if row.command:
                results["cold"] = self._start(row)
                self._load(row, Scenario("warm", 16, seconds=1.0))
                self._load(row, Scenario("warm", 4, pause=0, seconds=1.0))
            else:
                self._wait_for(row, time.monotonic() + 10)
            for scenario in SCENARIOS:
                if scenario.name in only:
                    results[scenario.name] = self._load(row, scenario)
        finally:
            if row.process is not None:
                stop(row.process)
        return results

    def _filled(self, row: Row, text: str) -> str:
        return string.Template(text).safe_substitute(
            port=row.port,
            upstream=self._upstream,
            work=self._work,
            root=ROOT,
            licence=row.licence,
        )

    def _environment(self, row: Row) -> dict[str, str]:
        given = {name: self._filled(row, value) for name, value in row.environment.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")}
        return {**kept, **given}

    def _licence(self, row: Row) -> str:
        if not row.environment:
            return "sk-upstream"
        command = [self._filled(row, row.command[0]), "licence", "add", "--json"]
        done = subprocess.run(command, env=self._environment(row), capture_output=True, check=True)
        return str(json.loads(done.stdout)["licence"])

    def _start(self, row: Row) -> dict[str, float]:
        for template in HERE.glob("*.in"):
            text = self._filled(row, template.read_text())
            (self._work / template.stem).write_text(text)
        command = [self._filled(row, word) for word in row.command]
        log = (self._work / f"{row.name}.log").open("ab")
        began = time.monotonic()
        row.process = subprocess.Popen(
            command,
            env=self._environment(row),
            cwd=self._work,
            stdout=log,
            stderr=log,
            process_group=0,
        )
        self._wait_for(row, began + 30)
        first = time.monotonic() - began
        self._refuses_strangers(row)
        time.sleep(2)  # what was needed only for the start is given back
        rss, pss = megabytes(row.process.pid)
        return {"first answer s": first, "idle RSS MB": rss, "idle PSS MB": pss}

    def _wait_for(self, row: Row, until: float) -> None:
        while True:
            try:
                self._call(row, row.licence)
                return
            except (OSError, urllib.error.URLError):
                if time.monotonic() > until:
                    sys.exit(f"{row.name} does not answer; see {self._work}/{row.name}.log")
                time.sleep(0.02)

    def _refuses_strangers(self, row: Row) -> None:
        try:
            self._call(row, "wrong")
        except urllib.error.HTTPError as error:
            if error.code == 401:
                return
        sys.exit(f"{row.name} lets a wrong key in")

    def _call(self, row: Row, licence: str) -> None:
        call = urllib.request.Request(
            f"http://127.0.0.1:{row.port}{row.openai}",
            data=request_body(SCENARIOS[0]),
            headers={"content-type": "application/json", "authorization": f"Bearer {licence}"},
        )
        with urllib.request.urlopen(call, timeout=5) as answer:
            answer.read()

    def _load(self, row: Row, scenario: Scenario) -> dict[str, float]:
        body = self._work / "body.json"
        body.write_bytes(request_body(scenario))
        path = row.openai if scenario.half == "openai" else row.anthropic
        command = [str(self._work / "load"), str(row.port), path, str(body)]
        command += ["-c", str(scenario.connections), "-r", str(scenario.ramp)]
        seconds = scenario.seconds / (2 if self._quick else 1)
        command += ["-n", str(scenario.each)] if scenario.each else ["-s", str(seconds)]
        is_direct = row.process is None
        if scenario.pause is not None and not (is_direct and scenario.half == "anthropic"):
            command += ["-p", str(PIECES)]
        for header in (f"Authorization: Bearer {row.licence}", f"x-api-key: {row.licence}"):
            command += ["-H", header]
        if row.name == "nginx" and scenario.pause is not None and scenario.half == "anthropic":
            return {}  # it translates nothing, so there is no chat stream to check
        if is_direct and scenario.half == "anthropic" and scenario.pause is not None:
            return {}
        peak = Peak(row.process.pid) if row.process else None
        before = cpu_seconds(row.process.pid) if row.process else 0.0
        if peak:
            peak.start()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        cpu = cpu_seconds(row.process.pid) - before if row.process else 0.0
        if peak:
            peak.end()
        return figures(json.loads(done.stdout), scenario, cpu, peak)


def figures(
    raw: dict[str, Any], scenario: Scenario, cpu: float, peak: Peak | None
) -> dict[str, float]:
    """What a run says, per request or per piece."""
    found: dict[str, float] = {"errors": raw["bad"] + raw["unfinished"]}
    if raw["first_error"]:
        print(f"  {scenario.name}: {raw['first_error']}", file=sys.stderr)
    if scenario.pause is None:
        found["requests/s"] = raw["good"] / raw["seconds"]
        found["CPU ms"] = cpu * 1e3 / max(1, raw["good"])
        found["p50 ms"], found["p99 ms"] = raw["latency"]["p50"] / 1e3, raw["latency"]["p99"] / 1e3
    else:
        found["complete"] = raw["good"]
        found["pieces/s"] = raw["pieces"] / raw["seconds"]
        found["CPU us"] = cpu * 1e6 / max(1, raw["pieces"])
        found["first byte p99 ms"] = raw["first_byte"]["p99"] / 1e3
        found["p50 ms"], found["p99 ms"] = raw["delay"]["p50"] / 1e3, raw["delay"]["p99"] / 1e3
        found["took s"] = raw["seconds"]
    if peak:
        found["peak RSS MB"], found["peak PSS MB"] = peak.rss, peak.pss
    return found


# ---------------------------------------------------------------- reporting


def compare(round_: dict[str, dict[str, dict[str, float]]]) -> None:
    """Adds to every row what it added to `direct`, and its CPU in units of nginx."""
    for scenario in SCENARIOS:
        direct = round_.get("direct", {}).get(scenario.name) or {}
        nginx = round_.get("nginx", {}).get(scenario.name) or {}
        for name, results in round_.items():
            mine = results.get(scenario.name)
            if not mine or name == "direct":
                continue
            for quantile in ("p50 ms", "p99 ms"):
                if quantile in direct:
                    mine[f"added {quantile}"] = mine[quantile] - direct[quantile]
            for unit in ("CPU ms", "CPU us"):
                if nginx.get(unit):
                    mine["CPU x nginx"] = mine[unit] / nginx[unit]
            if scenario.each and "cold" in results and scenario.connections >= 1000:
                rise = mine["peak PSS MB"] - results["cold"]["idle PSS MB"]
                mine["MB per 1000 streams"] = rise * 1000 / scenario.connections


def median(rounds: list[Any], row: str, scenario: str) -> dict[str, float]:
    found = [one[row][scenario] for one in rounds if one.get(row, {}).get(scenario)]
    names = list(dict.fromkeys(name for one in found for name in one))
    return {name: statistics.median(one[name] for one in found if name in one) for name in names}


def report(rounds: list[Any], rows: list[str]) -> None:
    for scenario in ["cold", *(one.name for one in SCENARIOS)]:
        table = {row: values for row in rows if (values := median(rounds, row, scenario))}
        if not table:
            continue
        heads = list(dict.fromkeys(name for values in table.values() for name in values))
        print(f"\n### {scenario}\n\n| row | {' | '.join(heads)} |")
        print("| --- |" + " ---: |" * len(heads))
        for row, values in table.items():
            cells = (f"{values[head]:.3g}" if head in values else "" for head in heads)
            print(f"| {row} | {' | '.join(cells)} |")


def check(rounds: list[Any]) -> bool:
    """Whether our row reaches every figure it was measured for."""
    reached = True
    print(
        "\n### figures to reach\n\n| scenario | figure | wanted | measured | |\n| --- | --- | ---: | ---: | --- |"
    )
    for scenario, wanted in FIGURES.items():
        measured = median(rounds, "tokens", scenario)
        for name, most in wanted.items():
            if name in measured:
                good = measured[name] <= most
                reached = reached and good
                word = "reached" if good else "MISSED"
                print(f"| {scenario} | {name} | {most} | {measured[name]:.3g} | {word} |")
        if measured.get("errors"):
            reached = False
            print(f"| {scenario} | errors | 0 | {measured['errors']:.0f} | MISSED |")
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", default="direct,nginx,tokens", help="tables of rows.toml")
    parser.add_argument("--only", default=",".join(one.name for one in SCENARIOS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="half the time a scenario")
    parser.add_argument("--check", action="store_true", help="fail where a figure is missed")
    parser.add_argument("--out", help="raw results as JSON")
    options = parser.parse_args()
    known = tomllib.loads((HERE / "rows.toml").read_text())
    work = Path(tempfile.mkdtemp(prefix="tokens-bench-"))
    rounds: list[Any] = []
    bench = Bench(work, options.quick)
    try:
        for _ in range(options.rounds):
            rounds.append({})
            for name in options.rows.split(","):
                row = Row(name, **known[name])
                if row.optional and shutil.which(row.command[0]) is None:
                    print(f"{name} is left out: {row.command[0]} is not installed", file=sys.stderr)
                    continue
                print(f"measuring {name} ...", file=sys.stderr, flush=True)
                rounds[-1][name] = bench.measure(row, options.only.split(","))
            compare(rounds[-1])
    finally:
        bench.close()
    report(rounds, options.rows.split(","))
    reached = check(rounds)
    if options.out:
        Path(options.out).write_text(json.dumps(rounds, indent=1))
    shutil.rmtree(work)
    sys.exit(options.check and not reached)


if __name__ == "__main__":
    main()
