"""Sizes and names: where a thing has grown too large to be one thing."""

from __future__ import annotations

import ast

from tests.architecture.source import APP, ROOT, files, modules, name_of

EVERY_FILE = [*files(APP), *files(ROOT / "tests")]
BANNED = {"utils", "helpers", "common", "manager", "misc", "base"}


def test_no_module_is_longer_than_600_lines():
    lines = {name_of(path): path.read_text(encoding="utf-8").splitlines() for path in EVERY_FILE}

    assert [name for name, those in lines.items() if len(those) > 600] == []


def test_no_function_is_longer_than_80_lines():
    long = [
        (name_of(path), node.name)
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= 80
        and not any(isinstance(inner, ast.FunctionDef) for inner in node.body)
    ]

    assert long == []


def test_every_module_says_what_it_is():
    assert [name_of(path) for path, tree in modules() if not ast.get_docstring(tree)] == []


def test_no_module_is_named_for_nothing():
    assert [name_of(path) for path in EVERY_FILE if path.stem in BANNED] == []
