"""Measures the gateway beside nginx and beside no gateway at all: same platform, load and machine.

    compare.py [--rows NAME,...] [--only SCENARIO,...] [--rounds N] [--quick] [--check] [--out FILE]

The figure to compare is CPU: user and system time of the whole process tree, per request or per
piece of a stream. It does not depend on how fast the caller is. It does depend on who else uses the
machine: above 0.3 in "others cores" a run is not worth quoting. Standard library only, and gcc.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = ROOT / ".peers"
TICKS = os.sysconf("SC_CLK_TCK")
PIECES = 100
KEY = "sk-upstream"


@dataclass(frozen=True)
class Scenario:
    """One kind of load.

    `pause` None is no stream; `each` is calls per connection, and takes the place of `seconds`.
    """

    name: str
    connections: int
    half: str = "openai"
    pause: int | None = None
    each: int = 0
    ramp: int = 0
    seconds: float = 4.0
    image: int = 0

    @property
    def heavy(self) -> bool:
        """Whether memory is looked at. Not always: looking stops the process for a moment."""
        return self.image > 0 or self.connections >= 1000


# In this order: memory once held is not given back, so what needs most of it comes last.
SCENARIOS = [
    Scenario("chat1", 1, seconds=3),
    Scenario("chat64", 64),
    Scenario("burst16", 16, pause=0),
    Scenario("paced100", 100, pause=50, each=1, ramp=1000),
    Scenario("body1m", 4, image=1 << 20),
    Scenario("body8m", 2, image=8 << 20),
    Scenario("xlate64", 64, "anthropic"),
    Scenario("xburst16", 16, "anthropic", pause=0),
    Scenario("paced1000", 1000, pause=50, each=1, ramp=2000),
    Scenario("paced2000", 2000, pause=50, each=1, ramp=4000),
]
FIGURES: dict[str, dict[str, float]] = {  # what our row has to reach, with everything on
    "cold": {"first answer s": 1.0, "idle PSS MB": 130},
    "chat1": {"added p50 ms": 0.40, "added p99 ms": 0.9},
    "chat64": {"CPU ms": 0.42, "CPU x nginx": 30},
    "burst16": {"CPU us": 6, "CPU x nginx": 2},
    "paced1000": {"took s": 7.03, "added p99 ms": 5, "CPU us": 30, "peak PSS MB": 150},
    "paced2000": {"took s": 9.2, "added p99 ms": 20, "peak PSS MB": 190},
    "xlate64": {"CPU x chat64": 1.15},
    "xburst16": {"CPU us": 8},
    "body1m": {"CPU ms": 1.6, "peak RSS MB": 250},
    "body8m": {"CPU ms": 12, "peak RSS MB": 250},
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
    """Of a tree, and of those in it that have ended: there are gateways whose workers are replaced."""
    stats = [stat for pid in tree(root) if (stat := _stat(pid))]
    return sum(int(ticks) for stat in stats for ticks in stat[11:15]) / TICKS


def machine_seconds() -> float:
    """CPU that all processes together have used."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks[:3]) + sum(ticks[5:8])) / TICKS


def child_seconds() -> float:
    """CPU of the load generators that have ended, and our own."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


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
            with contextlib.suppress(ProcessLookupError):
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
    make_licence: list[str] = field(default_factory=list)
    licence: str = KEY
    optional: bool = False
    only: list[str] = field(default_factory=list)  # scenarios; all of them if empty
    install: list[list[str]] = field(default_factory=list)
    keyless: bool = False
    unmarked: bool = False
    openai_headers: list[str] = field(default_factory=list)
    anthropic_headers: list[str] = field(default_factory=list)
    port: int = 0
    process: subprocess.Popen[Any] | None = None


def known_rows() -> dict[str, Row]:
    files = (HERE / name for name in ("rows.toml", "peers.toml"))
    tables = {name: row for one in files for name, row in tomllib.loads(one.read_text()).items()}
    return {name: Row(name, **table) for name, table in tables.items()}


def build(folder: Path) -> None:
    """Puts `upstream` and `load` into a folder."""
    for name in ("upstream", "load"):
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(folder / name)]
        subprocess.run([*command, str(HERE / f"{name}.c")], check=True)


class Bench:
    def __init__(self, work: Path, quick: bool) -> None:
        self._work = work
        self._quick = quick
        self._upstream = free_port()
        build(work)
        command = [str(work / "upstream"), str(self._upstream), KEY]
        self._platform = subprocess.Popen(command)

    def close(self) -> None:
        stop(self._platform)

    def measure(self, row: Row, only: list[str]) -> dict[str, dict[str, float]]:
        """Every scenario for one row."""
        row.port = free_port() if row.command else self._upstream
        results: dict[str, dict[str, float]] = {}
        try:
            if row.command:
                self.prepare(row)
                row.licence = self._licence(row)
                results["cold"] = self._start(row)
                results["cold"]["errors"] = self._warm(row)
            else:
                self._wait_for(row, time.monotonic() + 10)
            for scenario in SCENARIOS:
                if scenario.name in only and scenario.name in (row.only or only):
                    results[scenario.name] = self._load(row, scenario)
        finally:
            if row.process is not None:
                stop(row.process)
        return results

    def _warm(self, row: Row) -> float:
        """Takes every path once, so that no scenario pays for it; how many answers were wrong.

        Every worker meets its first calls here, many at once: a fault of that moment shows nowhere
        else, so it counts.
        """
        wrong = 0.0
        for half in ("openai", "anthropic"):
            wrong += self._load(row, Scenario("warm", 16, half, seconds=1))["errors"]
            wrong += self._load(row, Scenario("warm", 4, half, pause=0, seconds=1))["errors"]
        return wrong

    def prepare(self, row: Row) -> None:
        """Installs what is to be measured: once, into a folder of its own, which stays for the next time."""
        folder = PEERS / row.name
        ready = folder / "ready"
        if not row.install or ready.exists():
            return
        print(f"installing {row.name} ...", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        for command in row.install:
            subprocess.run([self._filled(row, word) for word in command], stdout=2, check=True)
        ready.touch()

    def _filled(self, row: Row, text: str) -> str:
        return string.Template(text).safe_substitute(
            port=row.port,
            upstream=self._upstream,
            work=self._work,
            root=ROOT,
            peer=PEERS / row.name,
            licence=row.licence,
            keys1000=",".join([KEY] * 1000),
        )

    def _environment(self, row: Row) -> dict[str, str]:
        given = {name: self._filled(row, value) for name, value in row.environment.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOKENS_")}
        return {**kept, **given}

    def _licence(self, row: Row) -> str:
        if not row.make_licence:
            return row.licence
        command = [self._filled(row, word) for word in row.make_licence]
        done = subprocess.run(command, env=self._environment(row), stdout=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"{row.name} gives no licence: {' '.join(command)}")
        return str(json.loads(done.stdout)["licence"])

    def _start(self, row: Row) -> dict[str, float]:
        for template in HERE.glob("*.in"):
            text = self._filled(row, template.read_text())
            (self._work / template.stem).write_text(text)
        command = [self._filled(row, word) for word in row.command]
        began = time.monotonic()
        with (self._work / f"{row.name}.log").open("ab") as log:
            row.process = subprocess.Popen(
                command,
                env=self._environment(row),
                cwd=self._work,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        self._wait_for(row, began + 120)
        first = time.monotonic() - began
        if not row.keyless:
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
                is_over = row.process is not None and row.process.poll() is not None
                if is_over or time.monotonic() > until:
                    sys.exit(f"{row.name} does not answer; see {self._work}/{row.name}.log")
                time.sleep(0.02)

    def _refuses_strangers(self, row: Row) -> None:
        try:
            self._call(row, "wrong")
        except urllib.error.HTTPError as error:
            if 400 <= error.code < 500:  # one answers 400, as it has no database to look keys up in
                return
        sys.exit(f"{row.name} lets a wrong key in")

    def _call(self, row: Row, licence: str) -> None:
        call = urllib.request.Request(
            f"http://127.0.0.1:{row.port}{row.openai}", data=request_body(SCENARIOS[0])
        )
        call.add_header("content-type", "application/json")
        for header in [f"authorization: Bearer {licence}", *row.openai_headers]:
            call.add_header(*self._filled(row, header).split(": ", 1))
        with urllib.request.urlopen(call, timeout=5) as answer:
            answer.read()

    def _load(self, row: Row, scenario: Scenario) -> dict[str, float]:
        command = self._load_command(row, scenario)
        root = row.process.pid if row.process else 0
        peak = Peak(root) if root and scenario.heavy else None
        if peak:
            peak.start()
        mine, platform = cpu_seconds(root) if root else 0.0, cpu_seconds(self._platform.pid)
        machine, children, began = machine_seconds(), child_seconds(), time.monotonic()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        took = time.monotonic() - began
        mine = (cpu_seconds(root) if root else 0.0) - mine
        ours = mine + cpu_seconds(self._platform.pid) - platform + child_seconds() - children
        found = figures(json.loads(done.stdout), scenario, mine)
        found["others cores"] = max(0.0, machine_seconds() - machine - ours) / took
        if peak:
            peak.end()
            found["peak RSS MB"], found["peak PSS MB"] = peak.rss, peak.pss
        return found

    def _load_command(self, row: Row, scenario: Scenario) -> list[str]:
        body = self._work / "body.json"
        body.write_bytes(request_body(scenario))
        path = row.openai if scenario.half == "openai" else row.anthropic
        command = [str(self._work / "load"), str(row.port), path, str(body)]
        command += ["-c", str(scenario.connections), "-r", str(scenario.ramp)]
        seconds = scenario.seconds / (2 if self._quick else 1)
        if scenario.each:
            command += ["-n", str(scenario.each)]  # a slow gateway may take its time
        else:
            command += ["-s", str(seconds), "-g", "20"]
        if scenario.pause is not None:
            command += ["-p", str(PIECES), *(["-e"] if row.unmarked else [])]
        more = row.openai_headers if scenario.half == "openai" else row.anthropic_headers
        keys = (f"Authorization: Bearer {row.licence}", f"x-api-key: {row.licence}")
        for header in (*keys, *(self._filled(row, one) for one in more)):
            command += ["-H", header]
        return command


def figures(raw: dict[str, Any], scenario: Scenario, cpu: float) -> dict[str, float]:
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
        found["first piece p99 ms"] = raw["first_piece"]["p99"] / 1e3
        found["p50 ms"], found["p99 ms"] = raw["delay"]["p50"] / 1e3, raw["delay"]["p99"] / 1e3
        found["took s"] = raw["seconds"]
    return found


# ---------------------------------------------------------------- reporting


def relate(round_: dict[str, dict[str, dict[str, float]]]) -> None:
    """Adds what a row added to `direct`, and its CPU in units of nginx and of ours; and what its translating
    costs and what its open streams hold.
    """
    for name, results in round_.items():
        if name == "direct":
            continue
        for scenario in SCENARIOS:
            if mine := results.get(scenario.name):
                _compare(
                    name, mine, {row: one.get(scenario.name, {}) for row, one in round_.items()}
                )
                _derive(scenario, mine, results)


def _compare(name: str, mine: dict[str, float], others: dict[str, dict[str, float]]) -> None:
    direct = others.get("direct", {})
    for quantile in ("p50 ms", "p99 ms"):
        if quantile in direct:
            mine[f"added {quantile}"] = mine[quantile] - direct[quantile]
    for yardstick in ("nginx", "tokens"):
        for unit in ("CPU ms", "CPU us"):
            if name != yardstick and (theirs := others.get(yardstick, {}).get(unit)):
                mine[f"CPU x {yardstick}"] = mine[unit] / theirs


def _derive(
    scenario: Scenario, mine: dict[str, float], results: dict[str, dict[str, float]]
) -> None:
    if scenario.name == "xlate64" and "chat64" in results:
        mine["CPU x chat64"] = mine["CPU ms"] / results["chat64"]["CPU ms"]
    if scenario.each and "peak PSS MB" in mine:
        rise = mine["peak PSS MB"] - results["cold"]["idle PSS MB"]
        mine["MB per 1000 streams"] = rise * 1000 / scenario.connections


def values(rounds: list[Any], row: str, scenario: str) -> dict[str, list[float]]:
    """Every figure of a row in a scenario, one number a round."""
    found = [one[row][scenario] for one in rounds if one.get(row, {}).get(scenario)]
    names = list(dict.fromkeys(name for one in found for name in one))
    return {name: [one[name] for one in found if name in one] for name in names}


def cell(numbers: list[float]) -> str:
    """The median, and the spread where there is one."""
    low, middle, high = (f"{one:.3g}" for one in (min(numbers), median(numbers), max(numbers)))
    return middle if low == high else f"{middle} ({low}-{high})"


def report(rounds: list[Any], rows: list[str]) -> None:
    for scenario in ["cold", *(one.name for one in SCENARIOS)]:
        table = {row: found for row in rows if (found := values(rounds, row, scenario))}
        if not table:
            continue
        heads = list(dict.fromkeys(name for found in table.values() for name in found))
        print(f"\n### {scenario}\n\n| row | {' | '.join(heads)} |")
        print("| --- |" + " ---: |" * len(heads))
        for row, found in table.items():
            cells = (cell(found[head]) if head in found else "" for head in heads)
            print(f"| {row} | {' | '.join(cells)} |")


def check(rounds: list[Any]) -> bool:
    """Whether our row reaches every figure of every scenario it ran, and gave no wrong answer."""
    ran = {name for one in rounds for name, found in one.get("tokens", {}).items() if found}
    print("\n### figures to reach\n\n| scenario | figure | wanted | measured | |")
    print("| --- | --- | ---: | ---: | --- |")
    reached = bool(ran)
    for scenario in ["cold", *(one.name for one in SCENARIOS)]:
        if scenario not in ran:
            continue
        measured = values(rounds, "tokens", scenario)
        for name, most in ({"errors": 0.0} | FIGURES.get(scenario, {})).items():
            numbers = measured.get(name, [])
            # A wrong answer counts in whichever round it came.
            number = (max if name == "errors" else median)(numbers) if numbers else None
            is_reached = number is not None and number <= most
            reached = reached and is_reached
            word = "reached" if is_reached else "MISSED"
            shown = "not measured" if number is None else f"{number:.3g}"
            print(f"| {scenario} | {name} | {most:g} | {shown} | {word} |")
    return reached


def options_given() -> argparse.Namespace:
    scenarios, rows = [one.name for one in SCENARIOS], known_rows()
    peers = filter(None, [os.environ.get("PEERS")])
    usual = ",".join(["direct", "nginx", "tokens", "tokens1000", *peers])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--rows", default=usual, help="tables of rows.toml; PEERS adds to the usual"
    )
    parser.add_argument("--only", default=",".join(scenarios), help="scenarios; cold always runs")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="half the time a scenario")
    parser.add_argument("--check", action="store_true", help="fail where a figure is missed")
    parser.add_argument("--out", type=Path, help="raw results as JSON")
    options = parser.parse_args()
    options.rows, options.only = options.rows.split(","), options.only.split(",")
    for given, known in ((options.rows, rows), (options.only, [*scenarios, "cold"])):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"not known: {', '.join(unknown)}; known are {', '.join(known)}")
    if shutil.which("gcc") is None:
        parser.error("gcc is not installed: apt-get install gcc libc6-dev")
    return options


def measure_all(bench: Bench, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The rounds, each with all rows one after the other."""
    for _ in range(options.rounds):
        round_: dict[str, Any] = {}
        for name in options.rows:
            row = known_rows()[name]
            if row.optional and shutil.which(row.command[0]) is None:
                print(f"{name} is left out: {row.command[0]} is not installed", file=sys.stderr)
                continue
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            round_[name] = bench.measure(row, options.only)
        relate(round_)
        yield round_


def main() -> None:
    options = options_given()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    work = Path(tempfile.mkdtemp(prefix="tokens-bench-"))
    rounds: list[Any] = []
    bench = Bench(work, options.quick)
    try:
        for round_ in measure_all(bench, options):
            rounds.append(round_)
            if options.out:
                options.out.write_text(json.dumps(rounds, indent=1))
    finally:
        bench.close()
    shutil.rmtree(work)
    report(rounds, options.rows)
    reached = check(rounds)
    sys.exit(options.check and not reached)


if __name__ == "__main__":
    main()
