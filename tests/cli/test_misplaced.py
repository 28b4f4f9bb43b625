"""A key that is given where another word belongs: no command's complaint says it again (S-008)."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator

import pytest

from app.cli import COMMANDS
from app.cli.parser import Parser

KEYS = ["sk-canary-0123456789abcdefghij", "eyJcanary0123456789.abcdef/0123456789+canary=="]
LIKELY = {"platform": "chatgpt", "id": "1", "ids": "1", "name": "1", "span": "1d", "file": "none"}


def parsers(command: str) -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
    """The command and every verb of it, with what each takes."""
    parser = Parser(prog=command)
    importlib.import_module(f"app.cli.{command}").add_arguments(parser)
    verbs = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    yield [command], parser
    for verb, below in verbs[0].choices.items() if verbs else ():
        yield [command, verb], below


def lines(command: str, key: str) -> Iterator[list[str]]:
    """The command with the key in each place where it does not belong."""
    for words, parser in parsers(command):
        taking = [one for one in parser._actions if one.nargs != 0 and one.dest != "verb"]
        needed = [one for one in taking if one.required]
        usual = sum((given(one, LIKELY[one.dest]) for one in needed), [])
        yield from ([*words, key], [*words, *usual, key])
        yield from ([*words, *usual, "--token", key], [*words, *usual, f"--token={key}"])
        for here in taking:
            row = [*needed, here] if here not in needed else needed
            told = (given(one, key if one is here else LIKELY[one.dest]) for one in row)
            yield words + sum(told, [])


def given(action: argparse.Action, word: str) -> list[str]:
    return [f"{action.option_strings[0]}={word}"] if action.option_strings else [word]


@pytest.fixture
def stocked(called):
    """Calls commands where there is a credential and a licence to talk about."""
    called("credential", "add", "chatgpt", given="first-token")
    called("licence", "add")
    return called


@pytest.mark.parametrize("key", KEYS, ids=["hyphens", "dots"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_complaint_repeats_a_key(stocked, command, key):
    refused = 0
    for line in lines(command, key):
        done = stocked(*line, given="another-token")
        if done.returncode:
            refused += 1
            assert key not in done.stdout + done.stderr, line
            assert done.stderr.count("\n") == 1, line
    assert refused >= 3


def test_neither_does_the_program_itself(called):
    for key in KEYS:
        done = called(key)
        assert done.returncode == 2 and key not in done.stderr


@pytest.mark.parametrize("key", KEYS, ids=["hyphens", "dots"])
@pytest.mark.parametrize("words", [("--model=gpt-4o|[KEY]",), ("--model=gpt-5.2-high-KEY",)])
def test_a_key_in_the_name_of_a_model_is_not_repeated(called, words, key):
    for platform in ("chatgpt", "cursor"):
        line = (word.replace("KEY", key) for word in words)
        done = called("explain", "--platform", platform, *line)
        assert done.returncode == 1 and key not in done.stderr
