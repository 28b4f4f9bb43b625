"""xAI's chat completions: OpenAI's, save for what is told here.

Only fields the vendor documents are sent. Thoughts are not among its completion tokens, errors are
flat, and an answer that begins well may be an error after all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from app.canonical.events import Event, Failed, Trouble, Usage
from app.canonical.model import ModelFacts
from app.canonical.reply import ChatReply, Citation
from app.canonical.request import ChatRequest
from app.errors import BadAttachment
from app.upstream.refusals import refusal
from app.wire import openai_chat
from app.wire.openai_chat import (
    MOST_STOPS,
    NAME,
    STOP_FIELD,
    STREAM_END,
    STREAM_TYPE,
    read_request,
    tap,
    write_error,
    write_reply,
    write_stream,
)
from app.wire.openai_chat_custom import call_of, function_of
from app.wire.openai_chat_stream import ChatReader

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

INLINES = openai_chat.INLINES | {"image"}  # the vendor fetches links itself, but hurriedly
SENT = frozenset(
    """model messages stream stream_options max_completion_tokens temperature top_p seed stop
    reasoning_effort response_format tools tool_choice parallel_tool_calls user service_tier prompt_cache_key""".split()
)
TIERS = ("default", "priority")
LEAST_TOP_P = 0.01  # zero is refused
UNAVAILABLE = "The service is currently unavailable"

Json = dict[str, Any]


# ---------------------------------------------------------------- asking


def write_request(request: ChatRequest, facts: ModelFacts) -> Json:
    body = openai_chat.write_request(request, facts)
    body["messages"] = [_message(one, i) for i, one in enumerate(body["messages"])]
    if user := body.get("safety_identifier"):
        body["user"] = user
    if body.get("service_tier") not in TIERS:
        body.pop("service_tier", None)
    if body.get("top_p") == 0:
        body["top_p"] = LEAST_TOP_P
    if "tools" in body:
        tools = [_plain(tool) for tool in map(function_of, body["tools"]) if tool]
        body["tools"] = tools
        if not tools:  # an empty list is an error
            for name in ("tools", "tool_choice", "parallel_tool_calls"):
                body.pop(name, None)
    if isinstance(choice := body.get("tool_choice"), dict) and choice["type"] == "allowed_tools":
        body["tool_choice"] = choice["allowed_tools"]["mode"]
    return {name: value for name, value in body.items() if name in SENT}


def _message(message: Json, place: int) -> Json:
    kept = {
        name: value
        for name, value in message.items()
        if name in ("role", "content", "name", "tool_calls", "tool_call_id")
    }
    if kept["role"] == "developer":
        kept["role"] = "system"
    if kept["role"] == "assistant":
        kept["content"] = kept.get("content") or message.get("refusal") or ""
    elif not kept["content"]:
        kept["content"] = " "  # nothing at all is refused (C-068)
    if "tool_calls" in kept:
        kept["tool_calls"] = [call_of(call) for call in kept["tool_calls"]]
    if isinstance(kept["content"], list):
        for one in kept["content"]:
            if one["type"] not in ("text", "image_url", "file"):
                param = f"messages[{place}].content"
                raise BadAttachment(
                    "{field}: the platform takes images and documents, but no sound",
                    param=param,
                    field=param,
                )
    return kept


def _plain(tool: Json) -> Json:
    """The function without what the vendor does not know."""
    function = {name: value for name, value in tool["function"].items() if name != "strict"}
    return {
        "type": "function",
        "function": function | {"parameters": _open(function["parameters"])},
    }


def _open(schema: Any) -> Any:
    """The schema without what the vendor's support of schemas stops at."""
    if isinstance(schema, list):
        return [_open(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        name: _open(value)
        for name, value in schema.items()
        if not (name == "additionalProperties" and value is False)
    }


# ---------------------------------------------------------------- answers


def read_reply(body: Mapping[str, Any]) -> ChatReply:
    if "choices" not in body and "error" in body:
        trouble = _in_disguise(body)
        raise refusal(trouble.status, {}, trouble, model="", now=0.0)
    reply = openai_chat.read_reply(_corrected(body))
    links = [one for one in body.get("citations") or () if isinstance(one, str)]
    known = {citation.url for citation in reply.citations}
    added = tuple(Citation(link, "") for link in links if link not in known)
    return replace(reply, citations=reply.citations + added)


def find_usage(body: Mapping[str, Any]) -> Usage | None:
    return openai_chat.find_usage(_corrected(body))


def _corrected(body: Mapping[str, Any]) -> Json:
    """The answer with thoughts among its completion tokens, as OpenAI counts them. Left alone where
    the sum says that they are there already.
    """
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return dict(body)
    details = usage.get("completion_tokens_details")
    thoughts = details.get("reasoning_tokens") if isinstance(details, dict) else None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if not all(isinstance(count, int) for count in (*counts, thoughts)):
        return dict(body)
    asked, said, total = counts
    if asked + said + thoughts == total:  # type: ignore[operator]  # just checked
        usage = usage | {"completion_tokens": said + thoughts}  # type: ignore[operator]
    return {**body, "usage": usage}


class GrokReader(ChatReader):
    """Its stream; or the error that came in place of one."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        super().__init__()
        self._first: bytes | None = b""  # what came until it is clear that it is a stream

    def feed(self, data: bytes) -> list[Event]:
        if self._first is None:
            return super().feed(data)
        self._first += data
        if not self._first.lstrip().startswith(b"{"):
            data, self._first = self._first, None
            return super().feed(data)
        try:
            body = orjson.loads(self._first)
        except ValueError:
            return []  # more of it will come
        self.done = True
        return [Failed(_in_disguise(body))]

    def _read_chunk(self, chunk: Json, events: list[Event]) -> None:
        if chunk.get("usage"):
            chunk = _corrected(chunk)
        super()._read_chunk(chunk, events)


def read_stream() -> GrokReader:
    return GrokReader()


# ---------------------------------------------------------------- errors


def read_error(status: int, body: Any) -> Trouble:
    """A wrong key is 400 here, and what breaks the rules is 403 like a key that may not."""
    trouble = openai_chat.read_error(status, body)
    words = trouble.message
    code = body.get("code") if isinstance(body, dict) else None
    code = trouble.code or (code if isinstance(code, str) else "")
    if status == 400 and "api key" in words.lower():
        code = "invalid_api_key"
    elif status == 403 and _is_about_rules(words):
        status, code = 400, "content_policy_violation"
    elif status == 422:
        status = 400
    return Trouble(words, status, code, trouble.type, trouble.param)


def _is_about_rules(words: str) -> bool:
    words = words.lower()
    return any(sign in words for sign in ("safety", "usage guidelines", "content violates"))


def _in_disguise(body: Any) -> Trouble:
    """An error that came with the status of success."""
    trouble = read_error(400, body)
    if trouble.code == UNAVAILABLE:
        return Trouble(trouble.message, 503, trouble.code)
    return trouble
