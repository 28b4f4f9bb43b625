"""Who may start processes: the slow ones, which are slow by their fixtures or by their own word."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from tests.processes import Processes

NOTHING = ["true"]


def test_a_quick_test_starts_no_process() -> None:
    with pytest.raises(AssertionError, match="is not marked as slow"):
        subprocess.run(NOTHING)


@pytest.mark.slow
def test_a_slow_one_may() -> None:
    assert subprocess.run(NOTHING).returncode == 0


@pytest.mark.parametrize("fixture, marks", [("stack", ["slow"]), ("tmp_path", [])])
def test_who_stands_on_a_gateway_is_slow_without_a_word(fixture: str, marks: list[str]) -> None:
    given: list[str] = []
    item: Any = SimpleNamespace(fixturenames=["request", fixture], add_marker=given.append)

    Processes().pytest_itemcollected(item)

    assert given == marks
