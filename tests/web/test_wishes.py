"""Parameters of ours, from the query or the body (C-118 to C-137), and the outer shape of bodies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.web.schemas import (
    MOST_MESSAGES,
    MOST_TOOLS,
    ChatShape,
    ContentsShape,
    ResponsesShape,
    check,
)
from app.web.wishes import NAMES, Wishes, read_wishes
from tests.nonsense import nonsense

DEFAULTS: Any = SimpleNamespace(
    retry_attempt=5, close_reasoning_content=False, return_reasoning_content=True
)
HELLO = {"model": "m", "messages": [{"role": "user", "content": "x"}]}


def read(query=None, body=None, **defaults) -> Wishes:
    given_ = SimpleNamespace(**(vars(DEFAULTS) | defaults))
    return read_wishes(query or {}, body or {}, given_)  # type: ignore[arg-type]


def test_who_wishes_nothing_gets_the_settings():
    assert read() == Wishes(5, "field", None, False)
    assert read(close_reasoning_content=True, retry_attempt=2) == Wishes(2, "none", None, False)
    assert read(return_reasoning_content=False) == Wishes(5, "inline", None, False)


@pytest.mark.parametrize(
    "query, body, wishes",
    [
        ({"retry_attempt": "3"}, {"retry_attempt": 4}, Wishes(3, "field", None, False)),
        ({}, {"retry_attempt": 4}, Wishes(4, "field", None, False)),
        ({}, {"retry_attempt": 0}, Wishes(0, "field", None, False)),
        ({}, {"retry_attempt": "2.0"}, Wishes(2, "field", None, False)),
        ({"retry_attempt": "100"}, {}, Wishes(100, "field", None, False)),
        ({}, {"retry_attempt": None}, Wishes(5, "field", None, False)),
        ({}, {"close_reasoning_content": True}, Wishes(5, "none", None, False)),
        (
            {"close_reasoning_content": "FALSE"},
            {"close_reasoning_content": True},
            Wishes(5, "field", None, False),
        ),
        ({"close_think_content": "1"}, {}, Wishes(5, "none", None, False)),
        (
            {"close_reasoning_content": "0", "close_think_content": "1"},
            {},
            Wishes(5, "field", None, False),
        ),
        ({"return_reasoning_content": "0"}, {}, Wishes(5, "inline", None, False)),
        ({}, {"return_reasoning_content": 0}, Wishes(5, "inline", None, False)),
        (
            {"close_reasoning_content": "true", "return_reasoning_content": "true"},
            {},
            Wishes(5, "none", None, False),
        ),
        ({"thinking_budget": "2048"}, {"thinking_budget": 1}, Wishes(5, "field", 2048, False)),
        ({}, {"thinking_budget": -1}, Wishes(5, "field", -1, False)),
        ({}, {"thinking_budget": 0}, Wishes(5, "field", 0, False)),
    ],
    ids=str,
)
def test_the_query_wins_over_the_body_and_the_body_over_the_settings(query, body, wishes):
    """C-118 to C-123, C-127 to C-131, C-136."""
    assert read(query, body) == wishes


@pytest.mark.parametrize("place", ["query", "body"])
@pytest.mark.parametrize(
    "name, value",
    [("retry_attempt", one) for one in ("-1", "1.5", "x", "", "101", "nan", "inf", "1e400")]
    + [("thinking_budget", one) for one in ("-2", "x", "1e300", "9007199254740994", "1.5")]
    + [
        (name, one)
        for name in ("close_reasoning_content", "return_reasoning_content", "close_think_content")
        for one in ("yes", "", "2", "null")
    ],
)
def test_a_wish_that_means_nothing_is_refused_by_its_name(place, name, value):
    """C-122, C-123."""
    with pytest.raises(BadRequest) as refused:
        read(**{place: {name: value}})
    assert refused.value.param == name and name in str(refused.value)


ANY = nonsense(["a", "b"], leaves=6, beyond=True)


@given(
    st.dictionaries(st.sampled_from(sorted(NAMES)), st.text(max_size=8)),
    st.dictionaries(st.sampled_from(sorted(NAMES)), ANY),
)
def test_any_wish_is_read_or_refused(query, body):
    try:
        wishes = read(query, body)
    except BadRequest:
        return
    assert 0 <= wishes.retry_attempt <= 100 and wishes.reasoning in ("field", "inline", "none")


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "more",
    [{}, {"stream": None}, {"stream": True}, {"tools": None}, {"tools": []}, {"store": 1, "x": {}}],
    ids=str,
)
def test_a_body_of_the_right_shape_passes_whatever_else_is_in_it(more):
    """C-054, C-078, K-035, K-043."""
    check(ChatShape(), HELLO | more)


@pytest.mark.parametrize(
    "schema, body, param, words",
    [
        (ChatShape, {"messages": [{}]}, "model", "model is required"),
        (ChatShape, HELLO | {"model": None}, "model", "model is required"),
        (ChatShape, HELLO | {"model": 5}, "model", "model must be a string"),
        (ChatShape, {"model": "m"}, "messages", "messages is required"),
        (ChatShape, HELLO | {"messages": None}, "messages", "messages is required"),
        (ChatShape, HELLO | {"messages": {}}, "messages", "messages must be an array"),
        (ChatShape, HELLO | {"messages": []}, "messages", "messages must not be empty"),
        (
            ChatShape,
            HELLO | {"messages": ["x"]},
            "messages",
            "messages must be an array of objects",
        ),
        (ChatShape, HELLO | {"tools": "x"}, "tools", "tools must be an array"),
        (ChatShape, HELLO | {"stream": "yes"}, "stream", "stream must be true or false"),
        (ChatShape, HELLO | {"stream": []}, "stream", "stream must be true or false"),
        (ContentsShape, {}, "contents", "contents is required"),
        (ContentsShape, {"contents": None}, "contents", "contents is required"),
        (ResponsesShape, {"input": "x"}, "model", "model is required"),
        (ResponsesShape, {"model": "m", "stream": 7}, "stream", "stream must be true or false"),
    ],
    ids=str,
)
def test_the_first_wrong_field_is_named(schema, body, param, words):
    """C-052 to C-054."""
    with pytest.raises(BadRequest) as refused:
        check(schema(), body)
    assert (refused.value.param, str(refused.value)) == (param, words)


@pytest.mark.parametrize("name, most", [("messages", MOST_MESSAGES), ("tools", MOST_TOOLS)])
def test_lists_have_a_limit(name, most):
    """R-099."""
    check(ChatShape(), HELLO | {name: [{}] * most})
    with pytest.raises(BadRequest, match="too many entries"):
        check(ChatShape(), HELLO | {name: [{}] * (most + 1)})


@given(st.dictionaries(st.sampled_from("model messages tools stream contents input".split()), ANY))
def test_any_object_has_the_shape_or_is_refused(body):
    for schema in (ChatShape(), ContentsShape(), ResponsesShape()):
        try:
            check(schema, body)
        except BadRequest as refused:
            assert refused.param in str(refused)
