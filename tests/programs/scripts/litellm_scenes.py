"""LiteLLM as a client, in the dialects it is a client of: one answer, one streamed, one tool called."""

from __future__ import annotations

import json
import sys
from typing import Any

import litellm

told: dict[str, Any] = json.loads(sys.argv[1])

# The provider that is named before the model, and what stands behind the platform's address.
DIALECTS = {"openai": "/v1", "anthropic": ""}
TOOL = {
    "type": "function",
    "function": {
        "name": "read_note",
        "description": "Reads a note.",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
    },
}


def read_note(name: str) -> str:
    return f"{told['word']} in {name}"


def play(door: dict[str, str], dialect: str) -> dict[str, Any]:
    def chat(messages: list[Any], **more: Any) -> Any:
        return litellm.completion(
            model=f"{dialect}/{door['model']}",
            api_base=door["url"] + DIALECTS[dialect],
            api_key=door["licence"],
            messages=messages,
            num_retries=0,
            **more,
        )

    say = [{"role": "user", "content": told["say"]}]
    turns: list[Any] = [{"role": "user", "content": told["order"]}]
    asked = chat(turns, tools=[TOOL]).choices[0].message
    calls = [(one, json.loads(one.function.arguments)) for one in asked.tool_calls or ()]
    turns.append(asked)
    turns += [
        {"role": "tool", "tool_call_id": one.id, "content": read_note(**given)}
        for one, given in calls
    ]
    pieces = [chunk.choices[0].delta.content for chunk in chat(say, stream=True)]
    return {
        "text": chat(say).choices[0].message.content,
        "stream": "".join(piece or "" for piece in pieces),
        "called": [[one.function.name, given] for one, given in calls],
        "after": chat(turns, tools=[TOOL]).choices[0].message.content,
    }


found = {
    door["name"]: {dialect: play(door, dialect) for dialect in DIALECTS} for door in told["doors"]
}
print(json.dumps(found))
