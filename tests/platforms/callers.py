"""Callers of the four inbound dialects, bare: bytes out, bytes in, nothing forgiven.

Written from the dialects' public descriptions, and independent of the gateway's own readers and
writers. What they read are the wire's own words, so they read the simulators' answers just as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.stack import compact

Json = dict[str, Any]
Asked = tuple[str, Json]

TIMEOUT = 20


@dataclass(slots=True)
class Heard:
    """An answer as it arrived. `broken` = the transfer stopped before its end."""

    status: int
    headers: Any
    content: bytes = b""
    broken: bool = False
    events: list[tuple[str, str]] = field(default_factory=list)

    @property
    def json(self) -> Json:
        found: Json = json.loads(self.content)
        return found

    @property
    def data(self) -> list[Json]:
        """The events that are JSON."""
        return [json.loads(data) for _, data in self.events if data.startswith("{")]

    @property
    def comments(self) -> list[str]:
        return [line for line in self.content.decode().splitlines() if line.startswith(":")]


def hear(answer: requests.Response) -> Heard:
    """Reads the answer to its end, whatever that is."""
    heard = Heard(answer.status_code, answer.headers)
    try:
        for piece in answer.iter_content(None):
            heard.content += piece
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        heard.broken = True
    if answer.headers.get("content-type", "").startswith("text/event-stream"):
        heard.events = list(_events(heard))
    return heard


def _events(heard: Heard) -> Iterator[tuple[str, str]]:
    """Of a transfer that broke off, the last event may have come in half, which is none."""
    *blocks, last = heard.content.replace(b"\r\n", b"\n").split(b"\n\n")
    if not heard.broken or _is_event(last):
        blocks.append(last)
    for block in blocks:
        lines = [line for line in block.decode().split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        assert len(lines) <= 2 and lines[-1].startswith("data: "), block
        name = lines[0].removeprefix("event: ") if len(lines) == 2 else ""
        yield name, lines[-1].removeprefix("data: ")


def _is_event(block: bytes) -> bool:
    _, found, data = block.rpartition(b"data: ")
    try:
        return bool(found) and (not data.startswith(b"{") or bool(json.loads(data)))
    except ValueError:
        return False


class Caller:
    """One dialect: how it asks and how it reads."""

    name = ""
    terminal = ""  # what the end of a whole stream looks like

    def ask(self, model: str, text: str, *, stream: bool = False, **more: Any) -> Asked:
        """The path below the platform's prefix, and the body."""
        raise NotImplementedError

    def text(self, reply: Json) -> str:
        raise NotImplementedError

    def usage(self, reply: Json) -> tuple[int, int]:
        """Tokens in and out, cached and thought ones included."""
        raise NotImplementedError

    def texts(self, heard: Heard) -> str:
        raise NotImplementedError

    def stream_usage(self, heard: Heard) -> tuple[int, int]:
        raise NotImplementedError

    def beginnings(self, heard: Heard) -> int:
        """How often the stream begins; a dialect whose chunks are all alike begins once."""
        return 1

    def is_whole(self, heard: Heard) -> bool:
        """Whether a client of this dialect would take the stream for a complete answer."""
        raise NotImplementedError

    def failure(self, heard: Heard) -> Json | None:
        """The error event of the stream."""
        raise NotImplementedError

    def code(self, body: Json) -> str:
        """What an error calls itself in this dialect."""
        return str(body["error"]["code"])

    def message(self, body: Json) -> str:
        """What an error says; some platforms that speak the dialect tell it flat."""
        error = body["error"]
        return str(error if isinstance(error, str) else error["message"])

    def send(
        self,
        base: str,
        asked: Asked,
        licence: str,
        *,
        query: str = "",
        headers: dict[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> requests.Response:
        """The answer, with its body still to come."""
        path, body = asked
        url = base + path + (("&" if "?" in path else "?") + query if query else "")
        given = {"authorization": f"Bearer {licence}", "content-type": "application/json"}
        given |= headers or {}
        return requests.post(url, data=compact(body), headers=given, stream=True, timeout=timeout)

    def call(self, base: str, asked: Asked, licence: str, **more: Any) -> Heard:
        with self.send(base, asked, licence, **more) as answer:
            return hear(answer)


class Chat(Caller):
    name = "openai_chat"

    def ask(self, model: str, text: str, *, stream: bool = False, **more: Any) -> Asked:
        body: Json = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return "/v1/chat/completions", body

    def text(self, reply: Json) -> str:
        return str(reply["choices"][0]["message"]["content"])

    def usage(self, reply: Json) -> tuple[int, int]:
        return reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]

    def texts(self, heard: Heard) -> str:
        choices = [choice for each in heard.data for choice in each.get("choices", ())]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    def stream_usage(self, heard: Heard) -> tuple[int, int]:
        told = [each for each in heard.data if each.get("usage")]
        assert len(told) == 1
        return self.usage(told[0])

    def beginnings(self, heard: Heard) -> int:
        choices = [choice for each in heard.data for choice in each.get("choices", ())]
        return sum("role" in choice["delta"] for choice in choices)

    def is_whole(self, heard: Heard) -> bool:
        choices = [choice for each in heard.data for choice in each.get("choices", ())]
        return any(choice["finish_reason"] for choice in choices)

    def failure(self, heard: Heard) -> Json | None:
        return next((each for each in heard.data if each.get("error")), None)


class Responses(Caller):
    name = "openai_responses"

    def ask(self, model: str, text: str, *, stream: bool = False, **more: Any) -> Asked:
        body = {"model": model, "input": text, **more}
        return "/v1/responses", {**body, "stream": True} if stream else body

    def text(self, reply: Json) -> str:
        messages = [item for item in reply["output"] if item["type"] == "message"]
        return "".join(part["text"] for item in messages for part in item["content"])

    def usage(self, reply: Json) -> tuple[int, int]:
        return reply["usage"]["input_tokens"], reply["usage"]["output_tokens"]

    def texts(self, heard: Heard) -> str:
        deltas = [each for each in heard.data if each["type"] == "response.output_text.delta"]
        return "".join(each["delta"] for each in deltas)

    def stream_usage(self, heard: Heard) -> tuple[int, int]:
        return self.usage(heard.data[-1]["response"])

    def beginnings(self, heard: Heard) -> int:
        return sum(each["type"] == "response.created" for each in heard.data)

    def is_whole(self, heard: Heard) -> bool:
        return any(each["type"] == "response.completed" for each in heard.data)

    def failure(self, heard: Heard) -> Json | None:
        for each in heard.data:
            if each["type"] == "response.failed":
                return {"error": each["response"]["error"]}
            if each["type"] == "error":
                return {"error": each.get("error") or each}
        return None


class Messages(Caller):
    name = "anthropic_messages"

    def ask(self, model: str, text: str, *, stream: bool = False, **more: Any) -> Asked:
        messages = [{"role": "user", "content": text}]
        body = {"model": model, "max_tokens": 4000, "messages": messages, **more}
        return "/v1/messages", {**body, "stream": True} if stream else body

    def text(self, reply: Json) -> str:
        return "".join(block.get("text", "") for block in reply["content"])

    def usage(self, reply: Json) -> tuple[int, int]:
        usage = reply["usage"]
        cached = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        return sum(usage.get(name) or 0 for name in cached), usage["output_tokens"]

    def texts(self, heard: Heard) -> str:
        return "".join(
            each["delta"].get("text", "")
            for each in heard.data
            if each["type"] == "content_block_delta"
        )

    def stream_usage(self, heard: Heard) -> tuple[int, int]:
        usage: Json = {}
        for each in heard.data:
            usage |= each.get("message", {}).get("usage") or each.get("usage") or {}
        return self.usage({"usage": usage})

    def beginnings(self, heard: Heard) -> int:
        return sum(each["type"] == "message_start" for each in heard.data)

    def is_whole(self, heard: Heard) -> bool:
        return any(each["type"] == "message_stop" for each in heard.data)

    def failure(self, heard: Heard) -> Json | None:
        return next((each for each in heard.data if each["type"] == "error"), None)

    def code(self, body: Json) -> str:
        assert body["type"] == "error"
        return str(body["error"]["type"])


class Generate(Caller):
    name = "gemini_generate"

    def ask(self, model: str, text: str, *, stream: bool = False, **more: Any) -> Asked:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        contents = [{"role": "user", "parts": [{"text": text}]}]
        return f"/v1beta/models/{model}:{verb}", {"contents": contents, **more}

    def text(self, reply: Json) -> str:
        found = [each for each in reply.get("candidates", ()) if each.get("content")]
        parts = [part for each in found for part in each["content"].get("parts", ())]
        return "".join(part.get("text", "") for part in parts if not part.get("thought"))

    def usage(self, reply: Json) -> tuple[int, int]:
        usage = reply["usageMetadata"]
        said = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        return usage["promptTokenCount"], said

    def texts(self, heard: Heard) -> str:
        return "".join(self.text(each) for each in heard.data)

    def stream_usage(self, heard: Heard) -> tuple[int, int]:
        return self.usage([each for each in heard.data if "usageMetadata" in each][-1])

    def is_whole(self, heard: Heard) -> bool:
        candidates = [one for each in heard.data for one in each.get("candidates", ())]
        return any(each.get("finishReason") for each in candidates)

    def failure(self, heard: Heard) -> Json | None:
        return next((each for each in heard.data if "error" in each), None)

    def code(self, body: Json) -> str:
        return str(body["error"]["status"])


CALLERS: tuple[Caller, ...] = (Chat(), Responses(), Messages(), Generate())
NATIVE: dict[str, Caller] = {caller.name: caller for caller in CALLERS}
