"""What deploy/install.md and its like tell people to do: that there is such a thing."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.deploy.pages import blocks, page
from tests.stack import ROOT

PAGES = ("install.md", "multi-host.md")


@pytest.mark.parametrize("name", PAGES)
def test_files_and_links_that_are_named_are_there(name: str) -> None:
    text = page(name)
    files = re.findall(r"/opt/tokens/(deploy/[\w@.-]+)", text)
    links = re.findall(r"\]\(([\w./-]+)\)", text)

    missing = [one for one in files if not (ROOT / one).exists()]
    missing += [one for one in links if not (ROOT / "deploy" / one).exists()]
    assert missing == []


@pytest.mark.parametrize("name", PAGES)
def test_settings_that_are_named_are_settings(name: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert [one for one in re.findall(r"TOKENS_\w+", page(name)) if f"`{one}`" not in readme] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_what_is_to_be_pasted_is_shell(name: str) -> None:
    for block in blocks(page(name)):
        done = subprocess.run(["sh", "-n"], input=block, capture_output=True, text=True)
        assert done.returncode == 0, (block, done.stderr)


@pytest.mark.slow
def test_the_program_for_administrators_is_shell() -> None:
    subprocess.run(["sh", "-n", str(ROOT / "deploy" / "tokens.sh")], check=True)
