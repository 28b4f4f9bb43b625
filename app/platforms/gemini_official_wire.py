"""Google's chat completions: OpenAI's, save for what is told here.

Google says "stop" where calls are made, counts parallel calls as one, leaves thoughts out of what
was said, and puts thoughts in words between tags into the text. A call that Google has signed must
come back with its signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from app.canonical.events import Event, Usage
from app.canonical.model import ModelFacts
from app.canonical.parts import Opaque, ToolCall, carry
from app.canonical.reply import ChatReply
from app.canonical.request import ChatRequest
from app.errors import BadReply
from app.wire import gemini_generate, openai_chat
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

INLINES = openai_chat.INLINES | {"image"}  # only what lies in the request itself is documented
SENT = frozenset(
    """model messages stream stream_options max_tokens max_completion_tokens temperature top_p stop
    tools tool_choice parallel_tool_calls response_format reasoning_effort service_tier
    presence_penalty frequency_penalty seed extra_body""".split()
)
EFFORTS = {"max": "high", "xhigh": "high"}
PENALTIES = {"presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty"}
TIERS = ("standard", "flex", "priority")
ANY_SIGNATURE = "skip_thought_signature_validator"  # documented for calls Google did not sign
OPEN, SHUT = "<thought>", "</thought>"

Json = dict[str, Any]
read_error = gemini_generate.read_error


# ---------------------------------------------------------------- asking


def write_request(request: ChatRequest, facts: ModelFacts) -> Json:
    body = openai_chat.write_request(request, facts)
    body["model"] = body["model"].removeprefix("models/")
    body["messages"] = _led([_message(one) for one in body["messages"]])
    _sign(body["messages"], request, facts)
    if body.get("service_tier") not in TIERS:
        body.pop("service_tier", None)
    if effort := body.get("reasoning_effort"):
        body["reasoning_effort"] = EFFORTS.get(effort, effort)
    if own := googles_own(request):
        body["extra_body"] = {"google": own}
        if "thinking_config" in own:  # together they are refused
            body.pop("reasoning_effort", None)
    if "tools" in body:
        body["tools"] = [tool for tool in map(function_of, body["tools"]) if tool]
    if isinstance(choice := body.get("tool_choice"), dict) and choice["type"] == "allowed_tools":
        body["tool_choice"] = choice["allowed_tools"]["mode"]
    refused = {PENALTIES.get(name, name) for name in facts.refuses}
    return {name: value for name, value in body.items() if name in SENT - refused}


def googles_own(request: ChatRequest) -> Json | None:
    """What the caller says in Google's words, where Google's page puts it or one level above."""
    extras = request.extras
    if extras is None or extras.dialect != NAME:
        return None
    nested = extras.value.get("extra_body")
    found = nested.get("google") if isinstance(nested, Mapping) else extras.value.get("google")
    return dict(found) if isinstance(found, Mapping) else None


def _message(message: Json) -> Json:
    kept = {
        name: value
        for name, value in message.items()
        if name in ("role", "content", "name", "tool_calls", "tool_call_id") and value is not None
    }
    if kept["role"] == "developer":
        kept["role"] = "system"
    if kept["role"] == "assistant" and not kept.keys() & {"content", "tool_calls"}:
        kept["content"] = message.get("refusal") or ""
    return kept


def _led(messages: list[Json]) -> list[Json]:
    """The messages with all that the system says in one at the head, where there are several."""
    systems = [one for one in messages if one["role"] == "system"]
    if not systems or systems == messages[:1]:
        return messages
    texts = [_text(one["content"]) for one in systems]
    head = {"role": "system", "content": "\n\n".join(filter(None, texts))}
    return [head, *(one for one in messages if one["role"] != "system")]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content if part["type"] == "text")


def _sign(messages: list[Json], request: ChatRequest, facts: ModelFacts) -> None:
    """Puts Google's signatures back where Google put them. The first call of a turn must have one."""
    seals = {
        part.call_id: part.opaque
        for turn in request.turns
        for part in turn.parts
        if isinstance(part, ToolCall)
    }
    for message in messages:
        if "tool_calls" in message:
            message["tool_calls"] = [call_of(call) for call in message["tool_calls"]]
        for place, call in enumerate(message.get("tool_calls") or ()):
            seal = seals.get(call["id"])
            signature = _signature(seal) or (
                ANY_SIGNATURE if facts.signatures and not place else ""
            )
            if signature:
                call["extra_content"] = {"google": {"thought_signature": signature}}


def _signature(seal: Opaque | None) -> str:
    if seal is None or seal.dialect != gemini_generate.NAME or not isinstance(seal.value, Mapping):
        return ""
    found = seal.value.get("thoughtSignature")
    return found if isinstance(found, str) else ""


# ---------------------------------------------------------------- answers


def read_reply(body: Mapping[str, Any]) -> ChatReply:
    try:
        return _read_reply(body)
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error


def _read_reply(body: Mapping[str, Any]) -> ChatReply:
    choices = body.get("choices")
    message = choices[0].get("message") if choices and isinstance(choices[0], dict) else None
    if isinstance(message, dict):
        _number(message.get("tool_calls"), _Calls())
        tags = ThoughtTags()
        split = [*tags.feed(message.get("content") or ""), *tags.finish()]
        thought = "".join(text for is_thought, text in split if is_thought)
        if thought:
            message["reasoning_content"] = thought
            message["content"] = "".join(text for is_thought, text in split if not is_thought)
    return openai_chat.read_reply(_counted(body))


def find_usage(body: Mapping[str, Any]) -> Usage | None:
    return openai_chat.find_usage(_counted(body))


def _counted(body: Mapping[str, Any]) -> Json:
    """The answer with thoughts among what was said, where the sum says that they are left out."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return dict(body)
    asked, said, total = (
        usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if isinstance(asked, int) and isinstance(said, int) and isinstance(total, int):
        if total - asked > said:
            thoughts = {"reasoning_tokens": total - asked - said}
            told = usage.get("completion_tokens_details")
            details = thoughts | told if isinstance(told, dict) else thoughts
            more = {"completion_tokens": total - asked, "completion_tokens_details": details}
            return {**body, "usage": usage | more}
    return dict(body)


class _Calls:
    """Numbers calls in the order in which their ids come up, and gives an id to those that have none:
    one that no other answer of the conversation has, since signatures are found by it.
    """

    def __init__(self) -> None:
        self._ids: list[str] = []

    def place(self, call: Json) -> int:
        """Where the call stands; more of the last one has no id, or the same."""
        name, is_new = call.get("id"), bool((call.get("function") or {}).get("name"))
        if isinstance(name, str) and name in self._ids:
            return self._ids.index(name)
        if name or is_new or not self._ids:
            self._ids.append(name or f"call_{uuid4().hex[:24]}")
            call["id"] = self._ids[-1]
        return len(self._ids) - 1


def _number(calls: Any, numbered: _Calls) -> None:
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, dict):
            continue
        call["index"] = numbered.place(call)
        google = (call.get("extra_content") or {}).get("google") or {}
        if isinstance(signature := google.get("thought_signature"), str):
            seal = Opaque(gemini_generate.NAME, {"thoughtSignature": signature})
            call["extra_content"] = {"google": {"thought_signature": carry(seal)}}


class ThoughtTags:
    """Tells thoughts from words where tags stand between them, cut anywhere. Pairs of (whether it is
    a thought, text).
    """

    def __init__(self) -> None:
        self._held = ""  # the end of what came, as long as it may be the beginning of a tag
        self._thinks = False

    def feed(self, text: str) -> list[tuple[bool, str]]:
        out: list[tuple[bool, str]] = []
        text = self._held + text
        while True:
            tag = SHUT if self._thinks else OPEN
            before, found, after = text.partition(tag)
            if not found:
                break
            if before:
                out.append((self._thinks, before))
            self._thinks, text = not self._thinks, after
        kept = next(
            (n for n in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-n:])), 0
        )
        self._held = text[len(text) - kept :]
        if text := text[: len(text) - kept]:
            out.append((self._thinks, text))
        return out

    def finish(self) -> list[tuple[bool, str]]:
        held, self._held = self._held, ""
        return [(self._thinks, held)] if held else []


class OfficialReader(ChatReader):
    """Its stream, set right chunk by chunk."""

    __slots__ = ("_calls", "_tags", "_called")

    def __init__(self) -> None:
        super().__init__()
        self._calls = _Calls()
        self._tags = ThoughtTags()
        self._called = False

    def _read(self, payload: bytes, events: list[Event]) -> None:
        """An error may come in an array of its own, as it does without a stream."""
        payload = payload.strip()
        super()._read(payload[1:-1] if payload.startswith(b"[{") else payload, events)

    def _read_chunk(self, chunk: Json, events: list[Event]) -> None:
        if chunk.get("usage"):
            chunk = _counted(chunk)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if calls := delta.get("tool_calls"):
                self._called = True
                _number(calls, self._calls)
            ends = choice.get("finish_reason")
            if ends == "stop" and self._called:
                choice["finish_reason"] = "tool_calls"
            split = self._tags.feed(delta.pop("content", None) or "")
            if ends:
                split += self._tags.finish()
            for is_thought, text in split:
                name = "reasoning_content" if is_thought else "content"
                piece = {"index": choice.get("index", 0), "delta": {name: text}}
                super()._read_chunk({**chunk, "usage": None, "choices": [piece]}, events)
        super()._read_chunk(chunk, events)


def read_stream() -> OfficialReader:
    return OfficialReader()
