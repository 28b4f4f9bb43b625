"""Whatever is put in the place of whatever: a simulator answers or refuses, it never breaks."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.simulators.claude_api import ClaudeApiSimulator
from app.simulators.exchange import Call, as_json
from app.simulators.gemini import GeminiSimulator
from app.simulators.simulator import Simulator

Json = dict[str, Any]
Place = tuple[str | int, ...]
Ask = Callable[[Any], int]

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


def spoilt(value: Json) -> Iterator[Any]:
    """The value with one place after the other taken by each piece of junk."""
    for place in places(value):
        for junk in JUNK:
            changed: Any = {"root": copy.deepcopy(value)}
            holder, last = changed, "root"
            for step in place:
                holder, last = holder[last], step  # type: ignore[assignment]
            holder[last] = copy.deepcopy(junk)
            yield changed["root"]


def claude(raw: Any) -> int:
    streaming = {**raw, "stream": True} if isinstance(raw, dict) else raw
    headers = {"x-api-key": "sk-sim", "anthropic-version": "2023-06-01"}
    simulator = ClaudeApiSimulator()
    statuses = {status(simulator, "/v1/messages", headers, body) for body in (raw, streaming)}
    return max(statuses)


def gemini(raw: Any) -> int:
    headers = {"x-goog-api-key": "sim"}
    simulator = GeminiSimulator()
    statuses = {
        status(simulator, f"/v1beta/models/gemini-3.8-flash:{verb}", headers, raw)
        for verb in ("generateContent", "streamGenerateContent")
    }
    return max(statuses)


def status(simulator: Simulator, path: str, headers: dict[str, str], body: Any) -> int:
    """What the simulator says; nothing it does may raise."""
    sent = {**headers, "content-type": "application/json"}
    call = Call("POST", path, "", sent, as_json(body))
    assert isinstance(simulator.prompt(call), str)
    return simulator.answer(call).status


@pytest.mark.parametrize(("ask", "good"), [(claude, CLAUDE), (gemini, GEMINI)])
def test_junk_anywhere_is_taken_or_refused(ask: Ask, good: Json) -> None:
    answers = Counter(ask(body) for body in spoilt(good))

    assert ask(good) == 200
    assert set(answers) <= {200, 400, 404}
    assert answers[200] > 20
    assert answers[400] > 500
