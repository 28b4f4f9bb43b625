"""`tokens losses`: the counter of what platforms have no room for."""

from __future__ import annotations

import json

from app.cli.losses import counted

LINES = [
    {"platform": "claude", "spoken": "openai_chat", "dropped": ["seed", "logit_bias"]},
    {"platform": "claude", "spoken": "openai_chat", "dropped": ["seed"]},
    {"platform": "grok", "spoken": "openai_chat"},
]


def test_losses_are_counted_by_platform_dialect_and_field(tokens, called, tmp_path):
    log = tmp_path / "access.log"
    log.write_text("\n".join([*map(json.dumps, LINES), '{"dropped": ["cut']))
    given = json.loads(tokens("losses", "--json", TOKENS_LOG_FILE=str(log)).stdout)
    named = json.loads(called("losses", str(log), "--json").stdout)

    assert given == named
    assert [(row["platform"], row["field"], row["calls"]) for row in given] == [
        ("claude", "seed", 2),
        ("claude", "logit_bias", 1),
    ]


def test_a_line_that_was_cut_is_passed_over():
    """The disk was full."""
    lines = [json.dumps(LINES[1]), '{"dropped": ["se', json.dumps(LINES[2])]

    assert counted(lines) == [
        {"platform": "claude", "spoken": "openai_chat", "field": "seed", "calls": 1}
    ]


def test_a_log_that_is_no_file_is_said_to_be_none(called, tmp_path):
    for words, says in (((), "give it"), ((str(tmp_path / "none"),), "cannot read")):
        done = called("losses", *words)
        assert (done.returncode, done.stdout) == (1, "") and says in done.stderr
