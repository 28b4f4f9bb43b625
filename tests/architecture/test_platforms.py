"""Platforms are whole, and their names stay where they belong."""

from __future__ import annotations

import ast

import pytest

from app.platforms import PLANNED, PLATFORMS
from app.simulators import SIMULATORS
from tests.architecture.source import APP, ROOT, modules, name_of

AT_HOME = ("app/platforms/", "app/simulators/")
ALLOWED = {  # a default an operator may change, and the words that show a newcomer the way
    "app/config.py": {"gemini"},
    "app/cli/run.py": {"chatgpt"},
}


@pytest.mark.parametrize("name", sorted(PLATFORMS))
def test_platform_is_whole(name):
    assert name in SIMULATORS
    assert (APP / "platforms" / f"{name}.py").exists()
    assert PLATFORMS[name].catalogue.models
    assert (ROOT / "tests" / "simulators" / f"test_{name}.py").exists()
    assert f"`/{name}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_there_is_a_simulator_for_every_platform_and_none_but_for_those_to_come():
    assert set(PLATFORMS) <= set(SIMULATORS) <= {*PLATFORMS, *PLANNED}


def test_no_platform_is_named_outside_its_own_file():
    named = [
        (name, node.value)
        for path, tree in modules()
        if not (name := name_of(path)).startswith(AT_HOME)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value in PLATFORMS and node.value not in ALLOWED.get(name, ())
    ]

    assert named == []
