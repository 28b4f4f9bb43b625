"""The `tokens` program as people call it: a process, its exit code and what it prints."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.cli import main
from tests.stack import TOKENS, clean_environ, missing
from tests.storage.databases import POSTGRES

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment without settings of anybody else's."""
    return clean_environ() | {
        "TOKENS_DATABASE_URL": f"sqlite:///{tmp_path}/tokens.db",
        "TOKENS_SEAL_FILE": f"{tmp_path}/seal.key",
        "TOKENS_COUNTERS_FILE": f"{tmp_path}/counters",
        "TOKENS_METRICS_FILE": f"{tmp_path}/metrics",
        "TOKENS_QUEUE_FILE": f"{tmp_path}/queue.db",
        "TOKENS_SPOOL_FOLDER": f"{tmp_path}/spool",
        "TOKENS_WEBHOOK_FILE": f"{tmp_path}/webhook.key",
    }


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


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    returncode: int
    stdout: str
    stderr: str


def _never(*words: object) -> None:
    """In place of `os.execv`, with which `tokens serve` would put gunicorn in the place of the tests."""
    raise AssertionError(f"it would have served: {words}")


@pytest.fixture
def called(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Done]:
    """Calls `tokens` in this process, which takes a tenth of the time. `given` is its standard
    input; None closes it.
    """

    def call(*words: str, given: str | bytes | None = "", **settings: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        stdin = None
        if given is not None:
            told = given.encode() if isinstance(given, str) else given
            stdin = io.TextIOWrapper(io.BytesIO(told), encoding="utf-8")
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(os, "environ", environ | settings)
            patch.setattr(os, "execv", _never)
            patch.setattr(sys, "stdin", stdin)
            patch.chdir(tmp_path)
            try:
                code = main(list(words))
            except SystemExit as end:  # the parser's way
                code = int(end.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def server():
    """Two databases on PostgreSQL: one that is full, and one that is empty."""
    names = [f"tokens_{os.getpid()}_{part}" for part in ("full", "empty")]
    admin = sa.create_engine(
        POSTGRES.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    try:
        with admin.connect() as connection:
            for name in names:
                connection.execute(sa.text(f"CREATE DATABASE {name}"))
    except sa.exc.OperationalError:
        missing("PostgreSQL")
    yield [POSTGRES.removesuffix("test") + name for name in names]
    with admin.connect() as connection:
        for name in names:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
