"""What people read is complete: error codes and settings in the README, messages in both
languages.
"""

from __future__ import annotations

import ast
import configparser
import inspect
import re
import string
from functools import cache

import pytest

from app import errors
from app.cli.settings import markdown
from app.extras import EXTRAS
from app.web.chinese import CHINESE
from tests.architecture.source import ROOT, modules, name_of

README = (ROOT / "README.md").read_text(encoding="utf-8")
CLASSES = {
    name: one
    for name, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, errors.GatewayError)
} | {"DatabaseTrouble": errors.GatewayError, "ValidationError": errors.GatewayError}


@cache
def templates():
    """Every message our code can raise, and where."""
    return sorted(set(_templates()))


def _templates():
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
                if getattr(node.targets[0], "id", "") == "NEUTRAL" or path.name == "endings.py":
                    yield node.value.value, name_of(path)


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")


def test_there_are_messages_at_all():
    assert len(templates()) > 30


def test_messages_are_told_in_chinese():
    """C-186."""
    missing = [(where, template) for template, where in templates() if template not in CHINESE]

    assert missing == []


def test_messages_are_told_in_chinese_with_the_same_facts():
    """C-186."""
    other = [
        (where, template)
        for template, where in templates()
        if _facts(CHINESE.get(template, template)) != _facts(template)
    ]

    assert other == []


def test_messages_are_one_lower_case_sentence():
    other = [
        (where, template)
        for template, where in templates()
        if template.endswith(".") or template.lstrip("{")[:1] != template.lstrip("{")[:1].lower()
    ]

    assert other == []


def test_chinese_has_no_message_that_nobody_raises():
    spoken = {template for template, _ in templates()} | {errors.GatewayError().template}

    assert CHINESE.keys() - spoken == set()


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_error_code_is_documented(name):
    assert f"`{CLASSES[name].code}`" in README


def test_the_readme_has_the_table_of_settings():
    assert markdown() in README


def _facts(template: str) -> set[str]:
    return {field for _, field, _, _ in string.Formatter().parse(template) if field}


@pytest.mark.parametrize("extra, page", [("s3", "media"), ("traces", "traces")])
def test_what_is_installed_by_hand_is_named_everywhere(extra, page):
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = setup["options.extras_require"][extra].split()

    assert named == list(EXTRAS[extra])
    told = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert f".venv/bin/pip install {' '.join(named)}" in told


def test_reliability_names_tests_that_are_there_and_what_makes_them_longer():
    """As they lie below `tests`, with the variables that they read."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [one.split(" | ")[-1] for one in page.splitlines() if "test_" in one and one[0] == "|"]
    named = [(re.findall(r"`([\w/]+\.py)`", row), re.findall(r"(\w+)=", row)) for row in rows]

    assert len(named) > 25
    for files, variables in named:
        texts = [(ROOT / "tests" / one).read_text(encoding="utf-8") for one in files]
        assert files and all(any(one in text for text in texts) for one in variables), files
