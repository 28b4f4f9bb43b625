"""A database of each kind, empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.storage.database import Database
from tests.storage.databases import KINDS, made


@pytest.fixture(params=KINDS)
def database(request, tmp_path) -> Iterator[Database]:
    with made(request.param, tmp_path, request.node.name) as database:
        yield database
