"""What people read is complete: error codes and settings in the README, messages in both
languages.
"""

from __future__ import annotations

import ast
import inspect
import string

import pytest

from app import errors
from app.cli.settings import markdown
from app.web.chinese import CHINESE
from tests.architecture.source import ROOT, modules, name_of

README = (ROOT / "README.md").read_text(encoding="utf-8")
CLASSES = {
    name: one
    for name, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, errors.GatewayError)
} | {"DatabaseTrouble": errors.GatewayError, "ValidationError": errors.GatewayError}


def templates():
    """Every message our code can raise, and where."""
    for path, tree in modules():
        if path.is_relative_to(ROOT / "app" / "simulators"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _called(node) in CLASSES and node.args:
                first = node.args[0]
                for one in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
                    if isinstance(one, ast.Constant):
                        yield one.value, name_of(path)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                if getattr(node.targets[0], "id", "") == "NEUTRAL":
                    yield node.value.value, name_of(path)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")


ALL = sorted(set(templates()))


def test_there_are_messages_at_all():
    assert len(ALL) > 30


@pytest.mark.parametrize("template, where", ALL)
def test_message_is_told_in_chinese_with_the_same_facts(template, where):
    """C-186."""
    chinese = CHINESE.get(template)

    assert chinese is not None, f"{where}: {template!r} is missing in app/web/chinese.py"
    assert _facts(chinese) == _facts(template)


@pytest.mark.parametrize("template, where", ALL)
def test_message_is_one_lower_case_sentence(template, where):
    first = template.lstrip("{")[:1]

    assert first == first.lower() and not template.endswith("."), where


def test_chinese_has_no_message_that_nobody_raises():
    spoken = {template for template, _ in ALL} | {errors.GatewayError().template}

    assert CHINESE.keys() - spoken == set()


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_error_code_is_documented(name):
    assert f"`{CLASSES[name].code}`" in README


def test_the_readme_has_the_table_of_settings():
    assert markdown() in README


def _facts(template: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(template) if field}
