"""The matrix of what works: dialect by platform by feature, as the tests that are marked found it.

A test marked `feature("name")` speaks for one cell of the table of its dialect; with "refused" behind
the name it shows that the platform cannot, and that a clear error says so. A test that only learns from
the answer how it was refused puts that into its `user_properties`, as `SAID`. A cell is good when all
its tests pass; what its calls left out is told beside it. The access logs say that, a moment after an
answer is over; so they are read at the very end, and a call belongs to the test in which it began. `make matrix` writes
`docs/conformance.md`; a whole run of the tests fails where the file says something else.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.models import MODELS

FILE = Path(__file__).parents[1] / "docs" / "conformance.md"
SAID = "how it was refused"
HEAD = """# Conformance

What works on which platform, in each dialect, driven by the official SDK of the dialect's vendor against simulators
that are written from the vendors' documents. `make matrix` writes this page from the tests; a page that is stale or a
cell that is red fails the build.

yes = as the dialect documents it · no words = the model thinks, but its vendor tells no thoughts · left out = yes,
without the fields named, which the answer's header `x-tokens-dropped` tells too · refused = the platform cannot, and
a clear error says so, with the code named · not offered = the platform has nothing of the kind, and a 404 says so ·
- = there is nothing of the kind to try
"""


@dataclass(frozen=True)
class Table:
    """Tables of the same `kind` have the same rows and columns, so that they can be compared."""

    dialect: str
    title: str
    kind: str = "chats"


CLIENTS = {  # the module that drives a dialect with its vendor's own SDK
    "test_openai_python": Table("openai_chat", "Chat Completions (`openai`)"),
    "test_openai_responses_python": Table("openai_responses", "Responses (`openai`)"),
    "test_anthropic_python": Table("anthropic_messages", "Messages (`anthropic`)"),
    "test_genai_python": Table("gemini_generate", "generateContent (`google-genai`)"),
    "test_openai_images_python": Table("openai_images", "Pictures (`openai`)", "pictures"),
    "test_openai_videos_python": Table("openai_videos", "Films (`openai`)", "films"),
}
TABLES = {table.dialect: table for table in CLIENTS.values()}

Place = tuple[str, str, str]  # dialect, column, feature


@dataclass
class Cell:
    good: bool = True
    refused: bool = False
    said: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)


class Matrix:
    """A pytest plugin. Where xdist shares the tests out, each of its workers knows which tests there are and
    reads the log of its own gateway, and tells the process that hears all reports.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._writes = bool(config.getoption("--matrix"))
        self._cells: dict[Place, Cell] = defaultdict(Cell)
        self._places: set[Place] = set()
        self._times: list[tuple[Any, Iterable[Path], float, float]] = []  # from when to when
        self._wanted: set[str] = set()
        self._ran: set[str] = set()
        self._modules = {*CLIENTS, "test_features"}
        self._partly = bool(config.getoption("keyword"))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = [mark.args for mark in item.iter_markers("feature")]
            if marks:
                self._wanted.add(item.nodeid)
                self._modules.discard(item.path.stem)
                self._places |= set(_places(item))
                item.user_properties.append(("features", marks))
                item.user_properties.append(("place", _place(item)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties)
        if "features" not in told or (report.when != "call" and report.passed):
            return
        if report.when == "teardown":
            return
        self._ran.add(report.nodeid)
        for feature, *how in told["features"]:
            cell = self._cells[(*told["place"], feature)]
            cell.good = cell.good and report.passed
            cell.refused = cell.refused or "refused" in how
            cell.said |= {told[SAID]} if SAID in told else set()

    def note(self, item: Any, logs: Iterable[Path], began: float, ended: float) -> None:
        """A marked test ran in this time, on gateways with these access logs."""
        self._times.append((item, logs, began, ended))

    def _left_out(self) -> list[tuple[Place, list[str]]]:
        """What the logs say was left out in which cell."""
        lost = {log: _lost(log) for _, logs, *_ in self._times for log in logs}
        found = []
        for item, logs, began, ended in self._times:
            known = [one for log in logs for one in lost[log]]
            names = {name for at, dropped in known if began <= at <= ended for name in dropped}
            found += [(place, sorted(names)) for place in _places(item)]
        return found

    def _told_by(self, worker: dict[str, Any]) -> None:
        """Takes in what a worker knows; all of them know of the same tests."""
        self._wanted |= set(worker["wanted"])
        self._places |= {(dialect, column, row) for dialect, column, row in worker["places"]}
        self._modules &= set(worker["modules"])
        for place, names in worker["left_out"]:
            self._cells[place].left_out |= set(names)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker of xdist has ended; what one that broke down has seen nobody knows."""
        told = getattr(node, "workeroutput", {}).get("matrix")
        if told is None:
            self._partly = True
        else:
            self._told_by(told)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        mine = {
            "wanted": sorted(self._wanted),
            "places": sorted(self._places),
            "modules": sorted(self._modules),
            "left_out": self._left_out(),
        }
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput["matrix"] = mine
            return
        self._told_by(mine)
        if self._partly or self._modules or self._wanted - self._ran:
            return  # only a part of the tests ran
        page = self.page()
        if self._writes:
            FILE.write_text(page, encoding="utf-8")
        elif session.exitstatus == 0 and FILE.read_text(encoding="utf-8") != page:
            print("\ndocs/conformance.md is stale: run `make matrix` and look at what changed")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def page(self) -> str:
        lines = [HEAD]
        for dialect, table in TABLES.items():
            kin = {name for name, one in TABLES.items() if one.kind == table.kind}
            columns = sorted({column for name, column, _ in self._places if name in kin})
            lines += [f"## {table.title}", "", "| |" + "".join(f" {name} |" for name in columns)]
            lines.append("| --- |" + " --- |" * len(columns))
            for feature in sorted({row for name, _, row in self._places if name in kin}):
                cells = [self._told(dialect, column, feature) for column in columns]
                lines.append(f"| {feature} |" + "".join(f" {cell} |" for cell in cells))
            lines.append("")
        return "\n".join(lines)

    def _told(self, dialect: str, column: str, feature: str) -> str:
        cell = self._cells.get((dialect, column, feature))
        if cell is None:
            return "-"
        if not cell.good:
            return "**no**"
        if cell.said:
            return ", ".join(sorted(cell.said))
        if cell.refused:
            return "refused"
        if feature == "reasoning" and not MODELS[column].shows_thoughts:
            return "no words"
        return f"left out: {', '.join(sorted(cell.left_out))}" if cell.left_out else "yes"


def _lost(log: Path) -> list[tuple[float, list[str]]]:
    """When calls began that left something out, and what."""
    told = [json.loads(line) for line in log.open()]
    return [
        (one["at"] - one["total_ms"] / 1000, one["dropped"]) for one in told if "dropped" in one
    ]


def _places(item: pytest.Item) -> list[Place]:
    """The cells that a test speaks for."""
    return [(*_place(item), mark.args[0]) for mark in item.iter_markers("feature")]


def _place(item: pytest.Item) -> tuple[str, str]:
    """The dialect and the column a test is about: a platform, or what goes by a platform's name."""
    params: dict[str, Any] = getattr(item, "callspec").params
    if "pair" in params or "caller" in params:
        caller = params.get("pair") or params["caller"]
        return caller.name, params["platform"]
    column = params["door"] if "door" in params else params["house"]
    return CLIENTS[item.path.stem].dialect, column
