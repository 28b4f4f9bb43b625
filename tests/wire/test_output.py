"""How much a request lets its answer have, in each dialect."""

from __future__ import annotations

import pytest

from app.errors import BadRequest
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses

CASES = [
    (openai_chat, {"max_completion_tokens": 500}, {"max_completion_tokens": 100}),
    (openai_chat, {"max_tokens": 500}, {"max_tokens": 100}),
    (openai_chat, {"max_tokens": 50}, {"max_tokens": 50}),
    (openai_chat, {"max_tokens": "500"}, {"max_tokens": 100}),
    (
        openai_chat,
        {"max_completion_tokens": 50, "max_tokens": 500, "max_output_tokens": 7},
        {"max_completion_tokens": 50, "max_tokens": 100, "max_output_tokens": 7},
    ),
    (openai_chat, {"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 100}),
    (openai_responses, {}, {"max_output_tokens": 100}),
    (openai_responses, {"max_output_tokens": 101}, {"max_output_tokens": 100}),
    (anthropic_messages, {"max_tokens": 500}, {"max_tokens": 100}),
    (gemini_generate, {}, {"generationConfig": {"maxOutputTokens": 100}}),
    (
        gemini_generate,
        {"generation_config": {"max_output_tokens": 500, "top_k": 3}},
        {"generationConfig": {"maxOutputTokens": 100, "topK": 3}},
    ),
]


@pytest.mark.parametrize("dialect, given, wanted", CASES)
def test_no_field_says_more_than_the_limit(dialect, given, wanted):
    """C-241."""
    body = {"model": "m", **given}
    assert dialect.with_output_limit(body, 100) == {"model": "m", **wanted}
    assert body == {"model": "m", **given}


@pytest.mark.parametrize("dialect, given, wanted", CASES)
def test_what_is_asked_for_is_what_the_dialect_reads(dialect, given, wanted):
    asked = dialect.output_limit({"model": "m", **given})
    assert (asked is None) == all(value is None for value in given.values())
    assert dialect.output_limit({"model": "m", **wanted}) <= 100


@pytest.mark.parametrize(
    "value", ["many", -1, 0, 1.5, True, [1], "1_0", "１", "inf", "nan", "-1", ""]
)
def test_nonsense_is_named(value):
    for dialect, body in (
        (openai_chat, {"max_tokens": value}),
        (openai_responses, {"max_output_tokens": value}),
        (anthropic_messages, {"max_tokens": value}),
        (gemini_generate, {"generationConfig": {"maxOutputTokens": value}}),
    ):
        with pytest.raises(BadRequest):
            dialect.output_limit(body)


@pytest.mark.parametrize(
    "most, budget", [(20_000, 8000), (8000, 4000), (1500, 1024), (1024, None), (5, None)]
)
def test_thoughts_leave_room_for_words(most, budget):
    body = {"max_tokens": 30_000, "thinking": {"type": "enabled", "budget_tokens": 8000}}
    found = anthropic_messages.with_output_limit(body, most)
    assert found.get("thinking", {}).get("budget_tokens") == budget
    assert budget is None or budget < found["max_tokens"]


def test_no_platform_is_asked_for_less_than_it_takes():
    assert openai_responses.with_output_limit({}, 3) == {"max_output_tokens": 16}
