"""What the processes of a gateway hold, sampled, and whether it grows."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import urlsplit

from tests.memory import MEGABYTE, Memory
from tests.soak.crowd import workers
from tests.stack import Stack

HOUR = 3600.0
LISTENS = "0A"  # a state, in the kernel's words
STUDENT = 2.1  # for 95 of a hundred, at some twenty points


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of all workers together. `upstream` are connections to platforms and `callers` those from callers,
    which are not in `files`. What Python itself counts is as each worker said last; `told_at` is when.
    """

    at: float
    pss: int
    rss: int
    files: int
    threads: int
    upstream: int
    callers: int
    greenlets: int
    blocks: int
    told_at: float


class Watch:
    """Looks at a gateway's workers."""

    def __init__(self, stack: Stack, told: Path) -> None:
        self._stack, self._told = stack, told
        self._platforms = {urlsplit(base).port for base in stack.simulators.bases.values()}
        self.seen: list[Footprint] = []

    @property
    def pids(self) -> list[int]:
        return workers(self._stack.pid)

    def look(self) -> Footprint:
        pids = self.pids
        memory = [Memory(pid) for pid in pids]
        links = [link for pid in pids for link in _links(pid)]
        upstream, callers = self._connections()
        inside = _last(self._told, pids)
        return Footprint(
            at=time.monotonic(),
            pss=sum(one.proportional for one in memory),
            rss=sum(one.now for one in memory),
            files=sum(link not in upstream and link not in callers for link in links),
            threads=sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids),
            upstream=sum(link in upstream for link in links),
            callers=sum(link in callers for link in links),
            greenlets=sum(one["greenlets"] for one in inside),
            blocks=sum(one["blocks"] for one in inside),
            told_at=min((one["at"] for one in inside), default=0.0),
        )

    def _connections(self) -> tuple[set[str], set[str]]:
        """Those to platforms and those to the gateway, as links name them."""
        upstream, callers = set(), set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, near, far, state, *more = line.split()
            link = f"socket:[{more[5]}]"
            if _port(far) in self._platforms:
                upstream.add(link)
            if _port(near) == int(self._stack.environ["TOKENS_PORT"]) and state != LISTENS:
                callers.add(link)
        return upstream, callers

    @contextmanager
    def watching(self, seconds: float) -> Iterator[None]:
        """Looks every so many seconds while the block lasts."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(seconds):
                self.seen.append(self.look())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@dataclass(frozen=True, slots=True)
class Slope:
    """What something grows by in an hour, give or take `doubt`."""

    hourly: float
    doubt: float

    def __str__(self) -> str:
        return f"{self.hourly / MEGABYTE:+.1f} ± {self.doubt / MEGABYTE:.1f} MiB/h"


def slope(points: list[tuple[float, float]], parts: int = 20) -> Slope:
    """The straight line that fits best. Neighbours are alike, which would make it look surer than it
    is: so the points are the means of so many parts.
    """
    size = max(1, len(points) // parts)
    groups = [points[at : at + size] for at in range(0, len(points), size)]
    means = [(fmean(x for x, _ in one), fmean(y for _, y in one)) for one in groups]
    x, y = fmean(a for a, _ in means), fmean(b for _, b in means)
    spread = sum((a - x) ** 2 for a, _ in means)
    rise = sum((a - x) * (b - y) for a, b in means) / spread
    left = sum((b - y - rise * (a - x)) ** 2 for a, b in means)
    error = (left / max(1, len(means) - 2) / spread) ** 0.5
    return Slope(rise * HOUR, STUDENT * error * HOUR)


def _links(pid: int) -> list[str]:
    """What its descriptors are."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue  # it was open a moment ago
    return found


def _port(address: str) -> int:
    return int(address.partition(":")[2], 16)


def _last(file: Path, pids: list[int]) -> list[dict[str, Any]]:
    """What each of these said last of itself."""
    lines = file.read_text().splitlines() if file.exists() else []
    said = {one["pid"]: one for one in map(json.loads, lines[-4 * len(pids) :])}
    return [said[pid] for pid in pids if pid in said]
