"""Whatever is put in the place of whatever: a simulator answers or refuses, it never breaks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.simulators import (
    anthropic_ask,
    anthropic_checks,
    anthropic_limits,
    gemini_ask,
    gemini_checks,
    gemini_limits,
)
from app.simulators.script import say

Json = dict[str, Any]
Place = tuple[str | int, ...]
Accept = Callable[[Any], None]

JUNK: tuple[Any, ...] = (None, True, -1, 1.5, "", " ", "\u00e9", [], [None], {}, {"type": 1}, [[]])

SCHEMA: Json = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}, "minItems": 1}},
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"b": {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]}},
}
CLAUDE: Json = {
    "model": "claude-sonnet-5",
    "max_tokens": 100,
    "stream": False,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "so"},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": ["x"]}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "a"}],
                },
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "a"},
                    "citations": {"enabled": False},
                },
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            ],
        },
    ],
    "tools": [
        {"name": "look", "input_schema": SCHEMA, "strict": True},
        {"type": "web_search_20250305", "name": "web_search", "allowed_domains": ["a.example"]},
    ],
    "tool_choice": {"type": "tool", "name": "look"},
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "cache_control": {"type": "ephemeral", "ttl": "5m"},
}
OLD_SCHEMA: Json = {
    "type": "OBJECT",
    "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["x"]}}},
    "required": ["a"],
}
GEMINI: Json = {
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "contents": [
        {"role": "user", "parts": [{"text": "look"}]},
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"id": "1", "name": "look", "args": {"a": ["x"]}},
                    "thoughtSignature": "skip_thought_signature_validator",
                }
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "1", "name": "look", "response": {"output": "a"}}},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"fileUri": "https://example.com/a.mp4"}},
            ],
        },
    ],
    "tools": [{"functionDeclarations": [{"name": "look", "parameters": OLD_SCHEMA}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
    "generationConfig": {
        "responseMimeType": "application/json",
        "responseSchema": OLD_SCHEMA,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
        "stopSequences": ["END"],
        "maxOutputTokens": 100,
        "candidateCount": 1,
        "temperature": 1,
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    "serviceTier": "flex",
}


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every place in a JSON value, itself included."""
    yield here
    if isinstance(value, dict):
        for name, member in value.items():
            yield from places(member, (*here, name))
    if isinstance(value, list):
        for index, member in enumerate(value):
            yield from places(member, (*here, index))


def spoilt(value: Json) -> Iterator[tuple[Place, Any]]:
    """The value with one place after the other taken by each piece of junk."""
    for place in places(value):
        for junk in JUNK:
            changed: Any = {"root": copy.deepcopy(value)}
            holder, last = changed, "root"
            for step in place:
                holder, last = holder[last], step  # type: ignore[assignment]
            holder[last] = copy.deepcopy(junk)
            yield place, changed["root"]


def claude(raw: Any) -> None:
    body = anthropic_limits.accept(raw, ())
    anthropic_ask.PromptCache().look(body, "sk-sim")
    say(anthropic_ask.ask_of(body))


def gemini(raw: Any) -> None:
    model = "gemini-3.8-flash"
    body = gemini_limits.accept(raw, model, False)
    say(gemini_ask.ask_of(body, model))


def takes(accept: Accept, refused: type[Exception], place: Place, body: Json) -> bool:
    """Whether it is accepted; anything but a refusal comes through."""
    try:
        accept(body)
    except refused:
        return False
    return True


@pytest.mark.parametrize(
    ("accept", "good", "refused"),
    [(claude, CLAUDE, anthropic_checks.Refused), (gemini, GEMINI, gemini_checks.Refused)],
)
def test_junk_anywhere_is_taken_or_refused(
    accept: Accept, good: Json, refused: type[Exception]
) -> None:
    taken = [takes(accept, refused, place, body) for place, body in spoilt(good)]

    assert takes(accept, refused, (), good)
    assert taken.count(True) > 20
    assert taken.count(False) > 500
