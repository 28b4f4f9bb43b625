"""Sizes and names: where a thing has grown too large to be one thing."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import APP, ROOT, files, name_of, tree

EVERY_FILE = [*files(APP), *files(ROOT / "tests")]
BANNED = {"utils", "helpers", "common", "manager", "misc", "base"}


@pytest.mark.parametrize("path", EVERY_FILE, ids=name_of)
def test_no_module_is_longer_than_600_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600, name_of(path)


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_no_function_is_longer_than_80_lines(path):
    long = [
        node.name
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno >= 80
        and not any(isinstance(inner, ast.FunctionDef) for inner in node.body)
    ]

    assert not long, f"{name_of(path)}: {long}"


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(tree(path)), name_of(path)


def test_no_module_is_named_for_nothing():
    assert [name_of(path) for path in EVERY_FILE if path.stem in BANNED] == []
