"""Which session a call belongs to."""

from __future__ import annotations

import pytest

from app.access.caller import Caller
from app.canonical.parts import Text
from app.canonical.request import ChatRequest, Turn
from app.storage.licences import Licence
from app.web.session import opening, session_key, session_named, without_ours


@pytest.mark.parametrize(
    "headers, body, name",
    [
        ({}, {}, ""),
        ({"x-session-id": "h"}, {"session_id": "s"}, "h"),
        ({}, {"session_id": "s", "prompt_cache_key": "p"}, "s"),
        ({}, {"prompt_cache_key": "p", "metadata": {"user_id": "u"}}, "p"),
        ({}, {"metadata": {"user_id": "u"}}, "u"),
        ({}, {"session_id": 7, "prompt_cache_key": None, "metadata": ["user_id"]}, ""),
        ({}, {"session_id": "", "metadata": {"user_id": ""}}, ""),
    ],
)
def test_a_session_is_what_the_caller_says_it_is(headers, body, name):
    """C-233, C-234, C-235, C-237."""
    assert session_named(headers, body) == name


def caller(name: str) -> Caller:
    return Caller(Licence(1, name, "", (), (), 0, None, None))


def test_another_licences_session_is_another():
    """C-232: and the key does not tell its name."""
    keys = {
        session_key(caller("a"), "codex", "s"),
        session_key(caller("b"), "codex", "s"),
        session_key(caller("a"), "chatgpt", "s"),
        session_key(caller("a"), "codex", "t"),
    }

    assert len(keys) == 4 and all(len(key) == 32 for key in keys)
    assert session_key(caller("a"), "codex", "") == ""
    assert session_key(caller("a"), "codex", "\ud800")


@pytest.mark.parametrize(
    "body, keyed, left",
    [
        ({"session_id": "s", "a": 1}, True, {"a": 1, "prompt_cache_key": "s"}),
        ({"session_id": "s", "prompt_cache_key": "p"}, True, {"prompt_cache_key": "p"}),
        ({"session_id": "s"}, False, {}),
        ({"session_id": 5}, True, {}),
    ],
)
def test_our_name_for_a_session_does_not_go_out(body, keyed, left):
    """C-121, C-235."""
    assert without_ours(body, keyed=keyed) == left


def test_a_conversation_that_nobody_named_is_known_by_its_first_words():
    first = Turn("user", (Text("hello"),))
    more = (first, Turn("assistant", (Text("hi"),)), Turn("user", (Text("go on"),)))

    assert opening(ChatRequest("m", (first,))) == opening(ChatRequest("m", more)) == "hello"
