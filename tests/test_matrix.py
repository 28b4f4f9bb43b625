"""The matrix, of a small run of its own: shared out over workers it says what it says of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix import CLIENTS
from tests.stack import clean_environ

pytestmark = pytest.mark.slow

# In every dialect, a call that leaves a field out on one platform and none on the other, one that cannot
# be made, and one of which only the answer says that.
DIALECT = """
import json
import time

import pytest
from tests.matrix import SAID

@pytest.mark.feature("tools")
@pytest.mark.parametrize("door", ["grok", "codex"])
def test_tools(door, log):
    dropped = {"dropped": [__name__.rpartition(".")[2]]} if door == "grok" else {}
    with log.open("a") as file:
        print(json.dumps({"at": time.time(), "total_ms": 0, **dropped}), file=file)

@pytest.mark.feature("words", "refused")
@pytest.mark.parametrize("door", ["grok", "codex"])
def test_words(door):
    assert door

@pytest.mark.feature("mask")
@pytest.mark.parametrize("house", ["grok", "codex"])
def test_mask(house, request):
    if house == "grok":
        request.node.user_properties.append((SAID, "refused: " + __name__.rpartition(".")[2]))
"""
FEATURES = """
from types import SimpleNamespace

import pytest

@pytest.mark.feature("limit")
@pytest.mark.parametrize("platform", ["grok", "codex"])
@pytest.mark.parametrize("caller", [SimpleNamespace(name="openai_chat")], ids=["chat"])
def test_limit(caller, platform):
    assert caller.name
"""
CONFTEST = """
import time
from pathlib import Path
import pytest
from tests import matrix

matrix.FILE = Path(__file__).with_name("page.md")

def pytest_addoption(parser):
    parser.addoption("--matrix", action="store_true")

def pytest_configure(config):
    config.addinivalue_line("markers", "feature(name): a cell")
    config.pluginmanager.register(matrix.Matrix(config), "matrix")

@pytest.fixture(scope="session")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("gateway") / "access.log"
    path.touch()
    return path

@pytest.fixture(autouse=True)
def _noted(request, log):
    began = time.time()
    yield
    matrix = request.config.pluginmanager.get_plugin("matrix")
    matrix.note(request.node, {log}, began, time.time())
"""


class Run:
    """A folder with a module for each dialect, and its page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.page = folder / "page.md"
        self.page.write_text("stale")
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib\n")
        for name in CLIENTS:
            (folder / f"{name}.py").write_text(DIALECT)
        (folder / "test_features.py").write_text(FEATURES)

    def __call__(self, *words: str) -> tuple[int, str]:
        """Exit code, and what was said."""
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "xdist",
                "-p",
                "no:cacheprovider",
                "-n2",
                *words,
            ],
            cwd=self._folder,
            env=clean_environ() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_workers_find_what_one_process_finds(run: Run) -> None:
    assert run("--matrix", "-n", "0")[0] == 0
    page = run.page.read_text()

    for name, table in CLIENTS.items():
        told = page.partition(f"## {table.title}")[2].partition("## ")[0]
        assert f"| tools | yes | left out: {name} |" in told
        assert f"| mask | yes | refused: {name} |" in told
        assert "| words | refused | refused |" in told
        limits = "| limit | yes | yes |" if table.dialect == "openai_chat" else "| limit | - | - |"
        assert (limits in told) == (table.kind == "chats"), "rows are for tables of one kind"
    code, said = run()
    assert code == 0, said  # a page that differs would be called stale


def test_a_stale_page_fails_a_run_of_everything_and_of_no_part(run: Run) -> None:
    code, said = run()

    assert code == 1 and "docs/conformance.md is stale" in said
    assert run("-k", "not tools")[0] == 0
