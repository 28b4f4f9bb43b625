"""`tokens worker`: a process that works on films and pictures in the background."""

from __future__ import annotations

import argparse
import os
import sys

from app.cli.database import opened
from app.cli.state import check_state
from app.cli.words import prices, settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "TERM lets the steps in hand finish. Everything comes from TOKENS_ settings; see "
        "`tokens settings`. Start as many as you like."
    )


def run(options: argparse.Namespace) -> int:
    chosen = settings()
    prices(chosen)  # only to have them checked
    with opened(chosen):
        pass  # only to have it made, or complained of
    check_state(chosen)
    os.execv(sys.executable, worker_command())


def worker_command() -> list[str]:
    """The command line that works; it reads the same settings from the environment."""
    return [sys.executable, "-m", "app.worker"]
