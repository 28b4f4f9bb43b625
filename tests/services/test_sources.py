"""Whose credentials a call is made with, in which order, and how often."""

from __future__ import annotations

import pytest

from app.access.caller import Caller
from app.canonical.events import Usage
from app.credential import Credential
from app.errors import CredentialRefused, Throttled, Unreachable, UpstreamError
from app.secret import Secret
from app.services.meter import MOST_INPUT, estimated
from app.services.sources import Sources

A, B = Credential("a", Secret("key-a")), Credential("b", Secret("key-b"))
OPERATOR = Caller(None)


def tried(errors: dict[str, type[UpstreamError]], attempts: int) -> list[str]:
    """The names of the credentials that are tried where each fails in its own way."""
    source = Sources({"p": (A, B)}).for_call(OPERATOR, "p", attempts)
    names = []
    for credential in source.candidates():
        names.append(credential.label)
        source.report(credential, errors[credential.label]("failed"))
    return names


@pytest.mark.parametrize(
    "a, b, names",
    [
        (CredentialRefused, CredentialRefused, ["a", "b"]),
        (Throttled, Throttled, ["a", "b"]),
        (Unreachable, Unreachable, ["a", "b", "a", "b"]),
        (Unreachable, CredentialRefused, ["a", "b", "a", "a"]),
        (CredentialRefused, Unreachable, ["a", "b", "b", "b"]),
    ],
)
def test_a_key_comes_round_again_only_where_it_is_not_to_blame(a, b, names):
    """C-125, C-126."""
    assert tried({"a": a, "b": b}, 4) == names


@pytest.mark.parametrize("attempts, names", [(1, ["a"]), (2, ["a", "b"]), (0, [])])
def test_no_more_is_tried_than_is_allowed(attempts, names):
    """C-123."""
    assert tried({"a": Unreachable, "b": Unreachable}, attempts) == names


def test_every_call_begins_with_the_first_key():
    sources = Sources({"p": (A, B)})
    first = sources.for_call(OPERATOR, "p", 1)
    first.report(next(first.candidates()), CredentialRefused("no"))

    assert next(sources.for_call(OPERATOR, "p", 1).candidates()) is A


def test_what_the_caller_brought_is_tried_once_and_nothing_else_is():
    """C-042, C-043."""
    source = Sources({"p": (A, B)}).for_call(Caller(None, Secret("own")), "p", 9)
    (credential,) = source.candidates()
    source.report(credential, Unreachable("no"))

    assert source.only_once and credential.token == Secret("own")
    assert not Sources({"p": (A,)}).for_call(OPERATOR, "p", 9).only_once


def test_a_platform_without_keys_has_nothing_to_try():
    sources = Sources({"p": (A,), "q": ()})

    assert [sources.has_any(name) for name in "pqr"] == [True, False, False]
    for name in "qr":
        assert list(sources.for_call(OPERATOR, name, 9).candidates()) == []


@pytest.mark.parametrize(
    "asked, said, usage",
    [
        (0, 0, Usage(1, 0, estimated=True)),
        (400, 1, Usage(100, 1, estimated=True)),
        (400, 8, Usage(100, 2, estimated=True)),
        (10**9, 9, Usage(MOST_INPUT // 4, 3, estimated=True)),
    ],
)
def test_usage_nobody_told_is_estimated_and_says_so(asked, said, usage):
    """C-092."""
    assert estimated(asked, said) == usage
