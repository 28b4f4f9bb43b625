"""`tokens`: the command line.

One module a command, imported when it is called: `tokens serve` replaces itself by gunicorn, and
what it never imports costs no start-up time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Protocol, cast

from app.cli.checkout import check_checkout
from app.cli.parser import Parser, Version
from app.cli.words import Complaint

COMMANDS = {
    "serve": "start the gateway, from settings only",
    "worker": "work on films and pictures in the background, from settings only",
    "simulate": "start the offline simulators of the platforms",
    "run": "start the simulators and the gateway, ready to be tried",
    "licence": "make, list, show, revoke and extend licences",
    "credential": "keep the platforms' keys: add, import, check, edit, remove",
    "task": "list, show and cancel jobs that are done in the background",
    "seal": "show and rotate the keys that open the tokens in the database",
    "explain": "say which credential would serve a call, and why not the others",
    "models": "list models and their names, and compare with the platforms' own lists",
    "ledger": "report, export and follow what was used and what it cost",
    "reconcile": "compare a platform's own account of usage with the ledger",
    "backup": "copy the database into a file while the gateway runs",
    "restore": "put a backup into the place of the database",
    "upgrade": "bring the database to what this program needs, or say what that takes",
    "prices": "list, compare, change and pin what models cost",
    "losses": "count the fields that platforms had no room for",
    "routes": "list every route and who may call it",
    "settings": "list every setting with its value",
    "doctor": "look for what is wrong and say what to do",
}


class Command(Protocol):
    """What a command's module has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int: ...


def main(words: list[str] | None = None) -> int:
    """Runs one command. 0 = done, 1 = it could not be done, 2 = the command line makes no sense,
    3 = `tokens upgrade --check` has found that the gateway has to end first.
    """
    try:
        check_checkout()
        return _called(sys.argv[1:] if words is None else words)
    except Complaint as complaint:
        print(f"tokens: {complaint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or Python complains at exit
        return 0


def _called(words: list[str]) -> int:
    parser = Parser(
        prog="tokens",
        description="One OpenAI-shaped address for many AI platforms.",
        epilog="`tokens COMMAND --help` tells more. Settings are environment variables: `tokens settings`.",
    )
    parser.add_argument("--version", action=Version, nargs=0, help="print the version")
    parser.check(words)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        sub = commands.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        if words[:1] == [name]:
            _module(name).add_arguments(sub)
    options = parser.parse_args(words)
    return _module(options.command).run(options)


def _module(name: str) -> Command:
    return cast(Command, importlib.import_module(f"app.cli.{name}"))
