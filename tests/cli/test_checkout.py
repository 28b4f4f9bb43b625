"""A package that was installed by itself, as `pip install .` does, says where the program runs from."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from app.cli import COMMANDS
from tests.stack import ROOT, clean_environ

CALLS = """
import sys
from app.cli import main
sys.exit(max(main(line.split()) for line in sys.stdin))
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder that has the modules and nothing else: no data, no deploy/, no wsgi.py."""
    folder = tmp_path_factory.mktemp("alone")
    for file in (ROOT / "app").rglob("*.py"):
        if "versions" not in file.parts:
            place = folder / file.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
    return folder


@pytest.mark.slow
def test_whatever_it_is_asked_to_do_it_says_where_it_runs_from(alone):
    calls = ["--version", "licence add", *COMMANDS]
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        input="\n".join(calls),
        env=clean_environ() | {"PYTHONPATH": str(alone)},
        cwd=alone,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout) == (1, "")
    said = done.stderr.splitlines()
    assert len(said) == len(calls) and set(said) == {
        f"tokens: the program runs from its checkout, of which {alone} has only a part: "
        "call `make install` in the checkout, and its `.venv/bin/tokens`"
    }
