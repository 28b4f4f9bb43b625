"""Who may import whom: the contracts of setup.cfg, and what a linter cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import APP, ROOT, modules, name_of

BROAD = {
    "app/ledger/scribe.py": "`put` raises it, for everybody whom it concerns",
    "app/web/failures.py": "the last handler: whatever it is, it is logged and told as JSON",
    "app/upstream/opening.py": "handed to the greenlet that asks for the result",
    "app/rounds.py": "what cannot be done in one round is done in the next; it is logged",
    "app/web/over.py": "it is logged, and breaks the transfer, so that nobody takes the answer for a whole one",
    "app/services/media_work.py": "a step that nobody foresaw must not be done for ever; it is logged, and tried later",
}


@pytest.mark.slow
def test_the_import_contracts_are_kept():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [linter, "--config", "setup.cfg", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


def test_no_function_imports_our_own_code():
    inner = [
        (name_of(path), node.lineno)
        for path, tree in modules()
        if not path.is_relative_to(APP / "cli")  # commands start late
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app")
    ]

    assert inner == []


def test_broad_excepts_are_the_known_ones():
    found = {
        name_of(path)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") == "Exception")
    }

    assert found <= BROAD.keys()


def test_only_storage_speaks_sql():
    words = ("SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "PRAGMA ")
    speakers = {
        name_of(path)
        for path, tree in modules()
        if not path.is_relative_to(APP / "storage")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(words)
    }

    assert speakers == set()


def test_only_the_settings_read_the_environment():
    allowed = {
        "app/cli",
        "app/config.py",
        "app/worker.py",  # begins a process, like wsgi.py
        "app/storage/dumps.py",  # hands its own on to a program
    }
    readers = {
        name_of(path)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        if getattr(node.value, "id", "") == "os"
    }

    assert {one for one in readers if not one.startswith(tuple(allowed))} == set()
