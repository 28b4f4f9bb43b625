"""What a test does that needs a program which is not there."""

from __future__ import annotations

import pytest

from tests.stack import missing, program


def test_a_missing_program_skips_the_test_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TESTS_NEED_EVERYTHING", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed here"):
        program("no-such-program")


def test_a_missing_service_fails_the_test_where_nothing_may_be_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TESTS_NEED_EVERYTHING", "1")

    with pytest.raises(pytest.fail.Exception, match="nginx is not installed here"):
        missing("nginx")
