"""OpenAI's Responses: `POST /v1/responses`.

What Codex CLI speaks, and the vendor's only door to tools and reasoning together on its newest
models. Three things to know. The stream says everything twice, and clients differ in which they
believe. The vendor remembers conversations; nobody else does, so what refers to its memory is
refused when another platform is to answer. And it keeps thoughts sealed: they come back encrypted,
and are sent again with the calls they led to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from app.canonical.events import Opened, Trouble, Usage
from app.canonical.reply import ChatReply, fold, unfold
from app.errors import (
    BadReply,
    ContextTooLong,
    RequestRefused,
    Throttled,
    UpstreamError,
)
from app.wire import openai_chat_stream
from app.wire.dialect import Telling
from app.wire.openai_chat_stream import write_error
from app.wire.openai_responses_items import NAME
from app.wire.openai_responses_reader import ResponsesReader, read_failure, read_usage
from app.wire.openai_responses_request import (
    output_limit,
    read_request,
    with_output_limit,
    write_request,
)
from app.wire.openai_responses_writer import ResponsesWriter, write_usage
from app.wire.output import one_answer as answers
from app.wire.sse import Frames

__all__ = [
    "answers",
    "INLINES",
    "MOST_STOPS",
    "NAME",
    "STOP_FIELD",
    "STREAM_END",
    "STREAM_TYPE",
    "find_usage",
    "output_limit",
    "read_error",
    "read_reply",
    "read_request",
    "read_stream",
    "tap",
    "with_output_limit",
    "write_error",
    "write_reply",
    "write_request",
    "write_stream",
    "write_usage",
]

INLINES: frozenset[str] = frozenset()  # opens links itself; audio and video it does not take at all
STREAM_TYPE = "text/event-stream; charset=utf-8"
STREAM_END = b""
STOP_FIELD = ""
MOST_STOPS = 0

TERMINAL = frozenset({b"response.completed", b"response.incomplete", b"response.failed", b"error"})
PARAMS = {
    "max_output_tokens": "max_completion_tokens",
    "text.format": "response_format",
    "text.verbosity": "verbosity",
    "reasoning.effort": "reasoning_effort",
    "input": "messages",
}  # how a caller of another dialect knows a field the platform complains about


def read_stream() -> ResponsesReader:
    return ResponsesReader()


def write_stream(telling: Telling) -> ResponsesWriter:
    return ResponsesWriter(telling)


def tap() -> ResponsesTap:
    return ResponsesTap()


def find_usage(body: Mapping[str, Any]) -> Usage | None:
    return read_usage(body.get("usage"))


def read_reply(body: Mapping[str, Any]) -> ChatReply:
    """A whole answer. One that failed comes with status 200 and says so inside."""
    status = body.get("status", "completed")
    if status == "failed":
        raise _refusal(read_failure(body.get("error")))
    if status not in ("completed", "incomplete"):
        raise BadReply("the platform has not finished its answer")
    try:
        return fold(ResponsesReader().whole(body))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error


def _refusal(trouble: Trouble) -> UpstreamError:
    words = trouble.message
    if trouble.code == "context_length_exceeded":
        return ContextTooLong(
            "the conversation exceeds the model's maximum context length: {words}", words=words
        )
    if trouble.status == 400:
        return RequestRefused("{words}", code=trouble.code, words=words)
    if trouble.status == 429:
        return Throttled("the platform asks for fewer requests").after(trouble.retry_after)
    return UpstreamError("the platform broke off with an error: {words}", words=words)


def write_reply(reply: ChatReply, telling: Telling) -> dict[str, Any]:
    """The answer that the last event of the stream would hold."""
    events = unfold(reply)
    for event in events:
        if isinstance(event, Opened):  # known from the start here, so that an item keeps its id
            part = reply.parts[event.index]
            event.opaque = event.opaque or getattr(part, "opaque", None)
    writer = ResponsesWriter(telling)
    writer.write(events)
    return writer.response


def read_error(status: int, body: Any) -> Trouble:
    trouble = openai_chat_stream.read_error(status, body)
    for theirs, known in PARAMS.items():
        if trouble.param is not None and trouble.param.startswith(theirs):
            trouble.param = known + trouble.param.removeprefix(theirs)
            break
    return trouble


class ResponsesTap:
    """Listens to a stream that passes byte for byte."""

    __slots__ = ("done", "spoke", "usage", "trouble", "_frames")

    def __init__(self) -> None:
        self.done = self.spoke = False
        self.usage: Usage | None = None
        self.trouble: Trouble | None = None
        self._frames = Frames()

    def feed(self, data: bytes) -> None:
        for event, payload in self._frames.feed(data):
            if not event:
                event = _named(payload)
            if event in TERMINAL:
                self._look(payload)
            elif not self.spoke and event.endswith((b".delta", b"output_item.done")):
                self.spoke = True

    def _look(self, payload: bytes) -> None:
        try:
            told = orjson.loads(payload)
        except ValueError:
            return
        if not isinstance(told, dict):
            return
        self.done = True
        response = told.get("response")
        response = response if isinstance(response, dict) else {}
        self.usage = read_usage(response.get("usage")) or self.usage
        if told.get("type") == "response.failed":
            self.trouble = self.trouble or read_failure(response.get("error"))
        elif told.get("type") == "error" or "response" not in told:
            self.trouble = read_failure(told.get("error") or told)


def _named(payload: bytes) -> bytes:
    """The type of an event that came without a name."""
    if payload.startswith(b'{"error"'):
        return b"error"
    _, _, rest = payload.partition(b'"type":')
    return rest.lstrip()[1:64].partition(b'"')[0]
