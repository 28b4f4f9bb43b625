"""What `tokens credential` asks people on a terminal, and what becomes of no answer."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

TOKEN = "sk-canary-0123456789abcdefghij"
# The terminal belongs to the child, as it does where people type: a token is asked for there.
IN_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from app.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def typed(environ, tmp_path):
    """Runs `tokens credential` on a terminal where somebody types an answer to the question that
    ends in `asks`; gives the exit code and all that stood there.
    """

    def call(*words: str, asks: str, answer: bytes) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, "credential", *words],
            env=environ,
            cwd=tmp_path,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        while (more := _read(ours)) != b"":
            seen += more
            if answer and seen.endswith(asks.encode()):
                os.write(ours, answer)
                answer = b""
        os.close(ours)
        assert not answer, seen
        return child.wait(timeout=60), seen.decode().replace("\r\n", "\n")

    return call


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that nobody else has the terminal open
        return b""


def test_a_typed_token_is_not_shown(typed):
    """S-008."""
    code, seen = typed(
        "add", "grok", "--json", asks="token (not shown): ", answer=TOKEN.encode() + b"\n"
    )

    assert code == 0 and TOKEN not in seen and '"token": "…ghij"' in seen


def test_no_token_is_no_traceback(typed):
    code, seen = typed("add", "grok", asks="token (not shown): ", answer=b"\x04")

    assert (code, seen) == (1, "token (not shown): \ntokens: no token was given\n")


@pytest.mark.parametrize(
    "answer, code", [(b"\x04", 1), (b"\n", 1), (b"n\n", 1), (b"y\n", 0), (b"Yes\n", 0)]
)
def test_only_who_says_yes_forgets_a_credential(called, typed, answer, code):
    called("credential", "add", "grok", "--label", "ours", given=TOKEN)
    done, seen = typed("remove", "ours", asks="(grok ours) for good? [y/N] ", answer=answer)

    assert done == code and "Traceback" not in seen
    assert ("it stays as it is" in seen) == bool(code)
    assert len(json.loads(called("credential", "list", "--json").stdout)) == code
