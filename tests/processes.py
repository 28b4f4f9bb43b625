"""Which tests start processes. Those are slow: `make quick` leaves them out, and what takes seconds too.

Nobody has to keep a list. Who uses a fixture that starts some is slow by that; who starts one without
such a fixture has to say so with `@pytest.mark.slow`, and is not let do it otherwise.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

STARTING = {"simulators", "shared", "gateway", "stack", "tokens"}


class Processes:
    """A pytest plugin."""

    def __init__(self) -> None:
        self._quick = ""  # the test that runs, where it is none that may start a process

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line(
            "markers", "slow: takes seconds, or starts processes without a fixture that does"
        )
        begin = subprocess.Popen.__init__

        def begun(process: Any, *words: Any, **more: Any) -> None:
            if self._quick:
                raise AssertionError(f"{self._quick} starts a process and is not marked as slow")
            begin(process, *words, **more)

        patch = pytest.MonkeyPatch()
        patch.setattr(subprocess.Popen, "__init__", begun)
        config.add_cleanup(patch.undo)

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        if STARTING.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._quick = "" if item.get_closest_marker("slow") else item.nodeid
        try:
            return (yield)
        finally:
            self._quick = ""
