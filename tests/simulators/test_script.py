"""What a simulated model says, and how a prompt steers it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.simulators.directives import Directive, asked, directives, setting
from app.simulators.mishaps import KINDS, Mishap, Mishaps
from app.simulators.sample import LARGEST, sample
from app.simulators.script import Ask, Said, count, pieces, say

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["city", "days"],
}


@settings(max_examples=200)
@given(st.text())
def test_pieces_joined_are_the_text_again(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))


def test_the_answer_names_the_model_and_quotes_the_caller() -> None:
    assert say(Ask("Grüße, мир", model="model-a")) == Said(
        thought="",
        text='This is the offline simulator of model-a. You said "Grüße, мир".',
        calls=(),
        finish="stop",
        prompt_tokens=4,
        cached_tokens=0,
        completion_tokens=11,
        reasoning_tokens=0,
        stop_sequence=None,
    )


@given(st.text(max_size=300))
@settings(max_examples=50)
def test_the_same_question_gets_the_same_answer(text: str) -> None:
    assert say(Ask(text)) == say(Ask(text))


def test_attachments_and_tool_results_are_mentioned() -> None:
    seen = say(Ask("Look", attachments=("image/png", "application/pdf"), model="m")).text
    assert seen.endswith("I also received image/png, application/pdf.")
    told = say(Ask("Look", tools={"Look": {}}, tool_results=("3C", "5C"), model="m"))
    assert (told.calls, told.text) == (
        (),
        'This is the offline simulator of m. The tools answered "3C"; "5C".',
    )


@pytest.mark.parametrize(
    ("prompt", "forced", "parallel", "names"),
    [
        ("hello", None, True, []),
        ("wx and clock please", None, True, ["wx", "clock"]),
        ("wx and clock please", None, False, ["wx"]),
        ("hello", "", True, ["wx"]),
        ("wx please", "clock", True, ["clock"]),
    ],
)
def test_tools_are_called_when_named_or_forced(
    prompt: str, forced: str | None, parallel: bool, names: list[str]
) -> None:
    tools: dict[str, Any] = {"wx": WEATHER, "clock": {"type": "object"}}
    said = say(Ask(prompt, tools=tools, forced=forced, parallel=parallel))
    assert [name for name, _ in said.calls] == names
    assert said.finish == ("tool_calls" if names else "stop")


@pytest.mark.parametrize(
    ("order", "calls"),
    [
        (
            'call wx {"city": "Aix", "days": 3}" says the client',
            [("wx", {"city": "Aix", "days": 3})],
        ),
        (
            'call clock {}\nsimulate: call wx {"city": "simulate: cut"}',
            [("clock", {}), ("wx", {"city": "simulate: cut"})],
        ),
        ("call clock", [("clock", {})]),
        ("call clock [1]", [("clock", {})]),
        ('call note "one\\ntwo"', [("note", "one\ntwo")]),
        ("call nobody {}", []),
        ("say a word", []),
    ],
)
def test_only_ordered_tools_are_called_whatever_the_prompt_names(
    order: str, calls: list[tuple[str, Any]]
) -> None:
    tools: dict[str, Any] = {"wx": WEATHER, "clock": {"type": "object"}, "note": {"type": "string"}}
    said = say(Ask(f"You have wx, clock and note.\nSimulate: {order}", tools=tools))
    assert [(name, json.loads(arguments)) for name, arguments in said.calls] == calls


def test_an_ordered_call_is_made_once() -> None:
    said = say(Ask("simulate: call wx {}", tools={"wx": WEATHER}, tool_results=("3C",)))
    assert (said.calls, said.finish) == ((), "stop")


def test_a_forced_tool_is_called_though_words_were_ordered() -> None:
    said = say(Ask("simulate: say Hi", tools={"wx": WEATHER}, forced="wx"))
    assert [name for name, _ in said.calls] == ["wx"]


def test_arguments_fit_the_schema_and_take_words_of_the_prompt() -> None:
    said = say(Ask("ask wx about Ålesund", tools={"wx": WEATHER}))
    assert [(name, json.loads(arguments)) for name, arguments in said.calls] == [
        ("wx", {"city": "Ålesund", "days": 2})
    ]


def test_a_limit_cuts_after_as_many_deltas() -> None:
    said = say(Ask("simulate: words=9", max_tokens=4))
    assert (said.text, said.finish, said.completion_tokens) == (
        "word1 word2 word3 word4",
        "length",
        4,
    )


def test_thoughts_are_spent_before_the_answer() -> None:
    said = say(Ask("hello", reasoning=True, max_tokens=3))
    assert (said.thought, said.text, said.finish) == ("The caller has", "", "length")
    assert (said.completion_tokens, said.reasoning_tokens) == (3, 3)


def test_the_text_ends_before_the_first_stop_sequence() -> None:
    said = say(Ask("simulate: say one two three", stop=("three", "two")))
    assert (said.text, said.finish, said.stop_sequence) == ("one ", "stop_sequence", "two")


def test_say_repeats_everything_after_it() -> None:
    assert say(Ask("please simulate: say a\n  b simulate: c")).text == "a\n  b simulate: c"


def test_cached_makes_half_the_prompt_cached() -> None:
    said = say(Ask("simulate: cached", bulk=400))
    assert (said.prompt_tokens, said.cached_tokens) == (100, 50)


def test_input_is_counted_four_bytes_to_a_token() -> None:
    assert [count(text) for text in ("", "abcd", "abcde", "éé")] == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": ["null", "integer"], "maximum": -4}, -4),
        ({"type": "integer", "exclusiveMinimum": 3, "multipleOf": 5}, 5),
        ({"type": "number", "minimum": 1, "maximum": 2}, 1.5),
        ({"type": "string", "minLength": 9}, "sample.sample"),
        ({"type": "string", "maxLength": 3}, "sam"),
        ({"type": "string", "format": "date"}, "2026-11-20"),
        ({"type": "STRING"}, "sample"),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [True, True]),
        ({"type": "array", "items": {"type": "boolean"}, "maxItems": 0}, []),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        (
            {
                "allOf": [
                    {"properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"properties": {"b": {"const": 2}}, "required": ["b"]},
                ]
            },
            {"a": 1, "b": 2},
        ),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"const": "there"}}}, "there"),
        ({"type": "object", "properties": {"a": {}}}, {}),
    ],
)
def test_a_sample_fits_its_schema(schema: dict[str, Any], value: object) -> None:
    assert sample(schema) == value


def test_a_schema_without_end_is_filled_to_a_depth() -> None:
    node = {
        "type": "object",
        "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "last": {"$ref": "#"}},
        "required": ["left", "right", "last"],
    }
    assert 0 < json.dumps(sample(node)).count("null") <= 3 * LARGEST


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nothing here", []),
        ("simulate: cut after=2", [Directive(("cut",), {"after": "2"})]),
        (
            "please SIMULATE: Stall seconds=1, after=2.\nthen simulate: pace=0.02",
            [
                Directive(("stall",), {"seconds": "1", "after": "2"}),
                Directive((), {"pace": "0.02"}),
            ],
        ),
    ],
)
def test_directives_are_read_from_a_text(text: str, found: list[Directive]) -> None:
    assert directives(text) == found


def test_a_setting_that_is_no_finite_number_counts_as_missing() -> None:
    assert [setting(f"simulate: words={value}", "words", 4) for value in ("inf", "x", "7")] == [
        4,
        4,
        7,
    ]
    assert asked("simulate: words=7", "words")


@pytest.mark.parametrize("kind", KINDS)
def test_every_mishap_can_be_asked_for_in_words(kind: str) -> None:
    found = Mishaps().take(f"Hello. Simulate: {kind} seconds=0.5 after=3 status=418")
    assert found == Mishap(kind, 0.5, 3, 418)


def test_queued_mishaps_come_before_the_one_in_the_prompt() -> None:
    mishaps = Mishaps()
    mishaps.queue(Mishap("cut"), Mishap("fail"))
    taken = [mishaps.take("simulate: html") for _ in range(3)]
    assert [each.kind for each in taken if each] == ["cut", "fail", "html"]
    assert mishaps.take("hello") is None


def test_an_unknown_kind_of_mishap_is_refused() -> None:
    with pytest.raises(ValueError, match="no mishap is called 'flood'"):
        Mishap("flood")
