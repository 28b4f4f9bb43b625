"""What clients need is tested, or said not to be."""

from __future__ import annotations

import re

from tests.architecture.source import ROOT

MOST = 118
_RANGE = re.compile(r"K-(\d{3})(?: (?:to|…) K-(\d{3}))?")


def numbers(text: str) -> set[int]:
    return {
        number
        for first, last in _RANGE.findall(text)
        for number in range(int(first), int(last or first) + 1)
    }


def test_every_need_is_tested_or_stands_with_its_reason() -> None:
    tests = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    tested = numbers("\n".join(tests))
    reasons = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    rows = [line for line in reasons.splitlines() if line.startswith("| K-")]
    excused = numbers("\n".join(rows))

    assert set(range(1, MOST + 1)) - tested - excused == set()
    assert tested & excused == set()
