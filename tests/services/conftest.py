"""A worker on an empty database, with a platform that does as it is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.database import Database
from tests.pool.conftest import Clock, key, pool_of
from tests.services.film_maker import Maker, Workshop
from tests.storage.databases import made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with made("sqlite", tmp_path, "work") as database:
        yield database


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Workshop:
    clock = Clock()
    return Workshop(database, tmp_path, clock, pool_of(clock, key("a"), key("b")), Maker())
