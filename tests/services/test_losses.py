"""What a translation loses is told: nothing disappears in silence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canonical.model import ModelFacts
from app.errors import BadRequest
from app.platforms import gemini_official_wire, grok_search_wire, grok_wire
from app.platforms.cursor_wire import CursorWire, Habits
from app.services.losses import left_out, losses
from app.wire import anthropic_messages, gemini_generate, openai_chat, openai_responses

Json = dict[str, Any]
DIALECTS: dict[str, Any] = {
    "chat": openai_chat,
    "responses": openai_responses,
    "messages": anthropic_messages,
    "generate": gemini_generate,
}
UPSTREAMS: dict[str, Any] = DIALECTS | {  # platforms with a dialect of their own take part too
    "grok": grok_wire,
    "grok search": grok_search_wire,
    "gemini_official": gemini_official_wire,
    "cursor": CursorWire(Habits(tools=True)),
}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}

# For each inbound dialect: what a call must have, and fields that may be added. Values are not what a
# platform does anyway.
NEEDED: dict[str, Json] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "responses": {"model": "m", "input": "hi"},
    "messages": {
        "model": "m",
        "max_tokens": 900,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "generate": {"model": "m", "contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
}
FIELDS: dict[str, Json] = {
    "chat": {
        "temperature": 0.3,
        "top_p": 0.4,
        "top_k": 7,
        "seed": 11,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.6,
        "logit_bias": {"5": 1},
        "logprobs": True,
        "top_logprobs": 2,
        "stop": ["END"],
        "max_tokens": 500,
        "reasoning_effort": "high",
        "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": FUNCTION}],
        "user": "somebody",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "verbosity": "low",
        "metadata": {"a": "b"},
        "modalities": ["text"],
        "prediction": {"type": "content", "content": "x"},
        "web_search_options": {},
        "unheard_of": 1,
    },
    "responses": {
        "temperature": 0.3,
        "top_p": 0.4,
        "max_output_tokens": 500,
        "reasoning": {"effort": "high"},
        "text": {"format": {"type": "json_object"}},
        "tools": [{"type": "function", **FUNCTION}],
        "user": "somebody",
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "metadata": {"a": "b"},
        "truncation": "auto",
        "max_tool_calls": 3,
        "top_logprobs": 2,
        "unheard_of": 1,
    },
    "messages": {
        "temperature": 0.3,
        "top_p": 0.4,
        "top_k": 7,
        "stop_sequences": ["END"],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "metadata": {"user_id": "somebody"},
        "service_tier": "standard_only",
        "context_management": {"edits": []},
        "container": "c",
        "unheard_of": 1,
    },
    "generate": {
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/x",
        "labels": {"a": "b"},
        "unheardOf": 1,
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": SCHEMA}]}],
    },
}
CONFIG: Json = {  # of generationConfig
    "temperature": 0.3,
    "topP": 0.4,
    "topK": 7,
    "seed": 11,
    "presencePenalty": 0.5,
    "frequencyPenalty": 0.6,
    "stopSequences": ["END"],
    "maxOutputTokens": 500,
    "responseLogprobs": True,
    "responseMimeType": "application/json",
    "thinkingConfig": {"thinkingBudget": 2000},
    "mediaResolution": "MEDIA_RESOLUTION_LOW",
    "unheardOf": 1,
}
# Where two fields say one thing, only the first is missed; and the lists of two are told as one.
ALIKE = {"top_logprobs": "logprobs"}
PAIRS = [(spoken, upstream) for spoken in DIALECTS for upstream in UPSTREAMS if spoken != upstream]


def _written(spoken: str, upstream: str, body: Json) -> tuple[Any, Json]:
    request = DIALECTS[spoken].read_request(body)
    return request, UPSTREAMS[upstream].write_request(request, ModelFacts(name="m"))


def _lost(spoken: str, upstream: str, body: Json) -> tuple[str, ...]:
    request, written = _written(spoken, upstream, body)
    return losses(request, body, UPSTREAMS[upstream], written)


def _field(spoken: str, name: str, value: Any) -> Json:
    """A body with this field, where `name` may be one of `generationConfig`."""
    if spoken == "generate" and name.startswith("generationConfig."):
        return NEEDED[spoken] | {"generationConfig": {name.partition(".")[2]: value}}
    return NEEDED[spoken] | {name: value}


EVERY = [
    (spoken, name, value)
    for spoken, found in FIELDS.items()
    for name, value in (
        *found.items(),
        *((f"generationConfig.{n}", v) for n, v in CONFIG.items() if spoken == "generate"),
    )
]


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(
    "spoken, name, value", EVERY, ids=[f"{spoken}-{name}" for spoken, name, _ in EVERY]
)
def test_a_field_has_an_effect_or_is_listed(
    spoken: str, name: str, value: Any, upstream: str
) -> None:
    if spoken == upstream:
        return
    body = _field(spoken, name, value)
    plain = _written(spoken, upstream, NEEDED[spoken])[1]
    with_it = _written(spoken, upstream, body)[1]
    told = name.rpartition(".")[2]

    if with_it == plain:
        assert told in _lost(spoken, upstream, body)


@pytest.mark.parametrize("spoken, upstream", PAIRS, ids=lambda one: one)
def test_what_a_plain_call_says_is_not_lost(spoken: str, upstream: str) -> None:
    limited = (spoken, upstream) == ("messages", "cursor")  # agents have no limits; callers must

    assert _lost(spoken, upstream, NEEDED[spoken]) == (("max_tokens",) if limited else ())


@settings(max_examples=150)
@given(st.data())
def test_no_field_of_any_dialect_disappears_unlisted(data: Any) -> None:
    """Any choice of fields together: taking away one that is not listed changes what is sent."""
    spoken, upstream = data.draw(st.sampled_from(PAIRS))
    chosen = data.draw(st.sets(st.sampled_from(sorted(FIELDS[spoken]))))
    body = NEEDED[spoken] | {name: FIELDS[spoken][name] for name in chosen}
    try:
        lost, whole = _lost(spoken, upstream, body), _written(spoken, upstream, body)[1]
    except BadRequest:
        return
    for name in chosen - set(lost):
        less = {key: value for key, value in body.items() if key != name}
        assert _written(spoken, upstream, less)[1] != whole or ALIKE.get(name) in lost, name


def test_names_that_fit_no_header_are_told_without_them() -> None:
    body = NEEDED["chat"] | {"wörd\r\nx: y": 1, "a" * 100: 1}

    assert _lost("chat", "messages", body) == ("a field without a name",)


def test_what_is_taken_out_for_the_models_sake_is_told() -> None:
    body = {"model": "m", "temperature": 1, "max_tokens": 5, "seed": None}

    assert left_out(body, {"model": "m", "max_completion_tokens": 5}) == ("temperature",)
