"""xAI's responses, with its search tools switched on."""

from __future__ import annotations

from typing import Any

from app.canonical.model import ModelFacts
from app.canonical.request import ChatRequest
from app.platforms.grok_wire import read_error
from app.wire import openai_responses
from app.wire.openai_responses import (
    INLINES,
    MOST_STOPS,
    NAME,
    STOP_FIELD,
    STREAM_END,
    STREAM_TYPE,
    find_usage,
    read_reply,
    read_request,
    read_stream,
    tap,
    write_error,
    write_reply,
    write_stream,
)

__all__ = [
    "INLINES",
    "MOST_STOPS",
    "NAME",
    "STOP_FIELD",
    "STREAM_END",
    "STREAM_TYPE",
    "find_usage",
    "read_error",
    "read_reply",
    "read_request",
    "read_stream",
    "tap",
    "write_error",
    "write_reply",
    "write_request",
    "write_stream",
]

SENT = frozenset(
    """model input instructions stream store tools tool_choice parallel_tool_calls include reasoning
    temperature top_p max_output_tokens text user prompt_cache_key service_tier""".split()
)
SEARCH = ({"type": "web_search"}, {"type": "x_search"})


def write_request(request: ChatRequest, facts: ModelFacts) -> dict[str, Any]:
    body = openai_responses.write_request(request, facts)
    functions = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    body["tools"] = [*SEARCH, *functions]
    body["text"] = {name: one for name, one in (body.get("text") or {}).items() if name == "format"}
    return {name: value for name, value in body.items() if name in SENT and value not in (None, {})}
