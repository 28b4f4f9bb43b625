"""deploy/install.md as the rehearsal takes it: every command that it counts on is there."""

from __future__ import annotations

import pytest

from tests.rehearsal.disturbing import RESTART
from tests.rehearsal.page import NAME, Page
from tests.rehearsal.report import Report

TAKEN = [
    ("The program", 0, ()),
    ("Its user and its settings", 0, ("editor",)),
    ("The services", 0, ()),
    ("The certificate", 1, ()),
    ("nginx", 0, ()),
    ("Look at it", 0, ("tok-...", "tokens doctor", "curl ")),
    *(("A new version", number, ()) for number in range(4)),
    ("A new version", 4, ("THE-BACKUP",)),
    *(
        ("Watching it", number, ()) for number in range(3)
    ),  # tests/deploy/test_watching.py does these
]


def test_all_blocks_are_there_and_only_certbots_is_left() -> None:
    page = Page()
    for heading, number, words in TAKEN:
        found = page.block(heading, number, **dict.fromkeys(words, "ours"))
        assert "YOUR-" not in found and "THE-BACKUP" not in found

    (left,) = page.left()
    assert left.startswith("certbot ")


@pytest.mark.parametrize("word", [RESTART, "list-timers", "tokens backup", "-n 20"])
def test_commands_in_passing_are_there(word: str) -> None:
    assert word in Page().in_passing(word)


def test_the_name_is_put_in_where_it_is_not_what_sed_looks_for() -> None:
    found = Page().block("nginx")

    assert f"sed 's/tokens.example.com/{NAME}/' /opt/tokens/deploy/nginx.conf" in found
    assert "tokens.example.com" not in Page().block("Look at it")


def test_a_word_that_is_not_there_any_more_is_told() -> None:
    with pytest.raises(AssertionError, match="says nothing of emacs"):
        Page().block("The program", emacs="ed")


def test_what_fails_counts_and_the_next_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    with report.act("the first"):
        raise ValueError("of no use")
    with report.act("the second") as found:
        found.append("3 of 3")

    assert report.close() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("FAILED") and lines[0].endswith("the first: ValueError: of no use")
    assert lines[1].startswith("ok") and lines[1].endswith("the second: 3 of 3")
    assert lines[2].startswith("1 failed, ")
