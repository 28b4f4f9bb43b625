"""Simulators on loopback ports, fresh journals for every test."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from app.simulators import SIMULATORS
from app.simulators.serving import Running


@pytest.fixture(scope="session")
def _served() -> Iterator[Running]:
    """One hub for the whole session: starting one per test would be most of the time spent."""
    there = {name: make for name, make in SIMULATORS.items() if find_spec(f"app.simulators.{name}")}
    with Running({name: make() for name, make in there.items()}) as running:
        yield running


@pytest.fixture
def running(_served: Running) -> Running:
    """All simulators, with nothing in their journals and no mishap queued."""
    for simulator in _served.simulators.values():
        simulator.journal.clear()
        simulator.mishaps.clear()
        simulator.hangups = 0
    return _served
