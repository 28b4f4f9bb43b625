"""What the programs work in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.programs.workshop import Workshop, open_workshop
from tests.stack import Stack


@pytest.fixture
def workshop(stack: Stack, tmp_path: Path) -> Workshop:
    return open_workshop(stack, tmp_path)
