"""The `tokens` program as people call it: a process, its exit code and what it prints."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack import TOKENS, clean_environ

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of anybody else's."""
    return clean_environ() | {"TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/tokens.db"}


@pytest.fixture
def tokens(environ: dict[str, str], tmp_path: Path) -> Call:
    """Calls `tokens` with some words and more settings."""

    def call(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TOKENS, *words],
            env=environ | settings,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return call


@pytest.fixture
def free_port() -> int:
    """A port nobody listened at a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
