"""Custom tools, told to servers that copy OpenAI's chat completions but know functions alone."""

from __future__ import annotations

from typing import Any

import orjson

INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}


def function_of(tool: dict[str, Any]) -> dict[str, Any] | None:
    """The tool as a function; None for what only OpenAI itself can run."""
    if tool["type"] != "custom":
        return tool if tool["type"] == "function" else None
    custom = tool["custom"]
    function = {"name": custom["name"], "parameters": INPUT}
    if custom.get("description"):
        function["description"] = custom["description"]
    return {"type": "function", "function": function}


def call_of(call: dict[str, Any]) -> dict[str, Any]:
    """The call as one of a function."""
    if call["type"] != "custom":
        return call
    custom = call["custom"]
    arguments = orjson.dumps({"input": custom["input"]}).decode()
    function = {"name": custom["name"], "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}
