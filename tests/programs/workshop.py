"""Where a client program runs: a home nobody has lived in, a folder with a note, a proxy to nowhere.

The note holds a word that stands nowhere else. When the simulator is told that word, the program has
run the tool that reads the note, and has sent what came of it.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.stack import ROOT, Stack, missing

NODE = Path(__file__).with_name("node")
PYTHON = ROOT / ".venv-programs" / "bin" / "python"
SCRIPTS = Path(__file__).with_name("scripts")

SAY = "simulate: say Hello, wörld!"
SAID = "Hello, wörld!"
PATIENCE = 60.0

# What programs ask of the world beside their model fails at once: nobody listens there.
NOWHERE = "http://127.0.0.1:9"

Json = dict[str, Any]


def order(tool: str, **arguments: str) -> str:
    """The prompt that makes a simulator call this tool of the program's."""
    return f"simulate: call {tool} {json.dumps(arguments)}"


def npm(name: str) -> str:
    """A program of an npm package of ours."""
    path = NODE / "node_modules" / ".bin" / name
    if not path.exists():
        missing(f"{name} (make programs)")
    return str(path)


def python() -> str:
    """The Python that has the client libraries."""
    if not PYTHON.exists():
        missing("the environment of the Python programs (make programs)")
    return str(PYTHON)


@dataclass(frozen=True)
class Workshop:
    """Runs programs against a gateway. `folder` is where they work."""

    stack: Stack
    home: Path
    folder: Path
    word: str

    def run(self, *words: str, **environ: str) -> str:
        """What a program prints that must succeed; its standard input is closed."""
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "LANG": "C.UTF-8",
                "HTTPS_PROXY": NOWHERE,
                "NO_PROXY": "127.0.0.1",
                **environ,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def asked(self, platform: str) -> list[str]:
        """What the platform was asked, call by call, as text."""
        entries = self.stack.simulators.journal(platform)
        return [json.dumps(each["body"]) for each in entries if each["method"] == "POST"]


def open_workshop(stack: Stack, folder: Path) -> Workshop:
    """A new one below this folder, and simulators that were asked nothing yet."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    word = f"word-{uuid4().hex}"
    (work / "note.txt").write_text(word + "\n")
    stack.simulators.clear()
    return Workshop(stack, home, work, word)
