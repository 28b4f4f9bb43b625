"""The parser of the command line, which finds fault in one sentence."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

_MINUS = re.compile(r"-\d")
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, broken UTF-8
_LONG_WORD = re.compile(r"(?<![\w-])(?!--)[^\s'\"=]{17,}")
NEGATIVE = ("--priority",)  # what may be below zero


class Parser(argparse.ArgumentParser):
    """One for `tokens`; argparse makes those of the commands like it."""

    def error(self, message: str) -> NoReturn:
        """Long words are not repeated: somebody may have put a key there (S-008)."""
        message = _LONG_WORD.sub("…", message)
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")

    def check(self, words: Sequence[str]) -> None:
        """Refuses what argparse would take for an option, and what no list could show."""
        for before, word in zip(("", *words), words, strict=False):
            if _UNREADABLE.search(word):
                self.error("the command line holds characters that cannot be read")
            if _MINUS.match(word) and before not in NEGATIVE:
                self.error(f"{word} begins with a minus, but nothing here can be negative")


class Version(argparse.Action):
    """Prints the installed version; reads it only when asked, because looking takes time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        metadata = importlib.import_module("importlib.metadata")
        print(parser.prog, metadata.version("tokens-gateway"))
        parser.exit()
