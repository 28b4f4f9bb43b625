"""A database of each kind, empty, and a clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.storage.database import Database
from tests.storage.databases import KINDS, made


@pytest.fixture(params=KINDS)
def database(request, tmp_path) -> Iterator[Database]:
    with made(request.param, tmp_path, request.node.name) as database:
        yield database


class Moving:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def ticks(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def clock() -> Moving:
    return Moving()
