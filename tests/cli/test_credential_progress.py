"""The bar of a long import: for people who watch, and for nobody else. On a real terminal."""

from __future__ import annotations

import json
import re

import pytest

from app.storage.credentials import Credentials
from app.storage.database import DatabaseTrouble
from tests.cli.terminal import Watched, watch
from tests.stack import TOKENS

LINES = "platform,token\n" + "".join(f"chatgpt,sk-{i:04}\n" for i in range(450))
STEP = re.compile(r"\r\[(#*)(\.*)\] (\d+) of (\d+)")


@pytest.fixture
def watched(environ, tmp_path):
    """Runs `tokens credential import` with a terminal for its standard error; with `whole`, for its
    standard output too.
    """

    def call(*words: str, text: str = LINES, whole: bool = False) -> Watched:
        (tmp_path / "keys.csv").write_text(text)
        return watch(
            [TOKENS, "credential", "import", "keys.csv", *words], environ, tmp_path, whole=whole
        )

    return call


@pytest.mark.slow
def test_the_bar_grows_and_ends_its_line(watched):
    done = watched("--json")
    steps = STEP.findall(done.seen)

    assert done.returncode == 0
    assert [int(at) for _, _, at, _ in steps] == [0, 200, 400, 450]
    assert all(len(full) + len(rest) == 40 and of == "450" for full, rest, _, of in steps)
    assert steps[0][0] == "" and steps[-1][1] == ""
    assert done.seen.endswith("] 450 of 450\n")  # nothing behind it
    assert len(json.loads(done.stdout)) == 450


@pytest.mark.slow
def test_the_report_begins_on_a_line_of_its_own(watched):
    done = watched("--dry-run", whole=True)

    assert "] 450 of 450\nline  state" in done.seen
    assert done.seen.endswith("450 would be added\n")


@pytest.mark.slow
def test_a_bar_that_is_broken_off_ends_its_line_too(watched, tmp_path):
    """A key file that leads nowhere: the first line that is to be sealed breaks it off."""
    (tmp_path / "seal.key").symlink_to("keys.csv/none")
    done = watched()

    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"] 0 of 450\nnothing was kept\ntokens: [^\n]+\n$", done.seen)


def test_what_was_kept_before_it_broke_off_is_told(called, monkeypatch):
    """The disk is full after the first two hundred."""
    add_many, calls = Credentials.add_many, []

    def failing(table, rows):
        calls.append(len(rows))
        if len(calls) > 1:
            raise DatabaseTrouble("the disk is full")
        return add_many(table, rows)

    monkeypatch.setattr(Credentials, "add_many", failing)
    done = called("credential", "import", "-", "--json", given=LINES)

    assert done.returncode == 1 and "database cannot be used" in done.stderr
    assert [row["line"] for row in json.loads(done.stdout)] == list(range(2, 202))


def test_where_nobody_watches_there_is_no_bar(called, tmp_path):
    (tmp_path / "keys.csv").write_text(LINES)
    done = called("credential", "import", "keys.csv", "--json")

    assert done.returncode == 0 and len(json.loads(done.stdout)) == 450
    assert "\r" not in done.stderr + done.stdout and " of 450" not in done.stderr


@pytest.mark.slow
def test_a_file_without_lines_has_no_bar(watched):
    done = watched(text="platform,token\n")

    assert (done.seen, done.returncode) == ("there is nothing in it\n", 0)
