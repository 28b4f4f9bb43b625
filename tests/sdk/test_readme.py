"""What the README tells people to do works when it is done."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import COMMANDS
from app.platforms import PLATFORMS
from tests.stack import ROOT, Stack, missing

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
NODE = ROOT / "tests" / "sdk" / "node"


def block(language: str, mark: str) -> str:
    """The one block of code in that language with `mark` in it."""
    (found,) = [text for kind, text in BLOCKS if kind == language and mark in text]
    return found


def here(code: str, stack: Stack) -> str:
    return code.replace("http://localhost:8080", stack.url())


def run(words: list[str], stack: Stack, **more) -> str:
    environ = stack.environ | {"LICENCE": stack.licence, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        words, env=environ, capture_output=True, text=True, timeout=60, cwd=more.get("cwd", ROOT)
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_example_streams(stack):
    said = run(["sh", "-c", here(block("sh", "curl http"), stack)], stack)

    assert said.startswith('data: {"id":"foaicmpl-') and said.endswith("data: [DONE]\n\n")


def test_the_python_example_prints_an_answer(stack):
    code = "import os\nlicence = os.environ['LICENCE']\n" + here(block("python", "OpenAI("), stack)

    assert "Hello!" in run([sys.executable, "-c", code], stack)


def test_the_node_example_prints_an_answer(stack, tmp_path):
    if shutil.which("node") is None or not (NODE / "node_modules").exists():
        missing("Node with its packages")
    script = NODE / f"readme-{os.getpid()}.mjs"
    code = here(block("javascript", "new OpenAI("), stack)
    script.write_text("const licence = process.env.LICENCE;\n" + code)
    try:
        assert "Hello!" in run(["node", str(script)], stack, cwd=NODE)
    finally:
        script.unlink()


def test_the_licence_commands_do_what_they_say(stack):
    lines = [line for line in block("sh", "licence add").splitlines() if line]
    program = str(Path(sys.executable).with_name("tokens"))
    made = run(["sh", "-c", lines[0].replace(".venv/bin/tokens", program)], stack).strip()
    listed = run([program, "licence", "list"], stack)
    name = next(line.split()[1] for line in listed.splitlines() if " laptop " in line)

    for line in lines[2:]:
        words = line.replace(".venv/bin/tokens", program).replace("NAME", name)
        assert name in run(["sh", "-c", words], stack)
    assert made.startswith("tok-") and made not in listed


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_mentioned(command):
    assert re.search(rf"tokens {command}\b", README)


def test_every_target_it_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|\n)make (\w+)(?=`|  )", README)):
        assert f"\n{target}:" in makefile, target


@pytest.mark.parametrize("name", sorted(PLATFORMS))
def test_every_platform_stands_in_both_tables(name):
    rows = [line for line in README.splitlines() if line.startswith("|") and f"`/{name}`" in line]

    assert len(rows) == 2  # English and Chinese
    assert any(f"TOKENS_{name.upper()}_KEYS" in row for row in rows)
