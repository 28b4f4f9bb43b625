"""OpenAI's Chat Completions: `POST /v1/chat/completions`, and the completions it was told to store.

The stream is `data:` lines only. Each choice has its own role chunk and its own finish chunk;
usage comes last, in a chunk with no choices, when asked for, and then every other chunk has a null
`usage`. Reasoning shows in the usage and nowhere else. Besides mishaps a prompt may order
`refusal`, `content_filter`, and `merged` (the role travels with the head of the first call).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from app.simulators.directives import asked
from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.openai_chat_ask import ask_of, free_text, last_user_text
from app.simulators.openai_chat_rules import accept
from app.simulators.openai_house import OpenaiSimulator, Route, read_json
from app.simulators.openai_images import PATHS, Images, prompt_of
from app.simulators.openai_stored import StoredCompletions
from app.simulators.script import Ask, Said, cuts, pieces, say
from app.simulators.simulator import EPOCH

PATH = "/v1/chat/completions"
REFUSING = "The offline simulator was asked to refuse, so it will not answer that."
FINISHES = {"stop_sequence": "stop"}
TIERS = {"auto": "default", "fast": "priority"}
DONE = b"data: [DONE]\n\n"
LOGPROB = -0.125

Json = dict[str, Any]


class ChatgptSimulator(OpenaiSimulator):
    """Chat Completions as the vendor serves them."""

    name = "chatgpt"

    def __init__(self) -> None:
        super().__init__()
        self._stored = StoredCompletions(PATH)
        self._images = Images(self.mint)

    def prompt(self, call: Call) -> str:
        if call.path in PATHS:
            return prompt_of(call)
        body = call.body() if call.path == PATH else None
        return last_user_text(body.get("messages")) if isinstance(body, dict) else ""

    def routes(self, call: Call) -> dict[str, Route]:
        if call.path == PATH:
            return {"POST": self._complete, "GET": self._stored.listed}
        return self._images.routes(call) or self._stored.routes(call)

    def _complete(self, call: Call) -> Reply:
        body = accept(read_json(call))
        turn = _Turn(self, body, ask_of(body, len(call.raw)))
        if body.get("store"):
            self._stored.keep(turn.whole(), body["messages"])
        headers = {"openai-model": body["model"]}
        if not body.get("stream"):
            return Reply(200, as_json(turn.whole()), headers)
        stream = Stream(list(turn.frames()), b'data: {"id": "chatcm\n\n', (turn.broken(), DONE))
        headers["cache-control"] = "no-cache"
        return Reply(200, stream, headers, "text/event-stream; charset=utf-8")


class _Turn:
    """One answer in both of its forms; everything in it is decided when it is made."""

    def __init__(self, simulator: ChatgptSimulator, body: Json, ask: Ask) -> None:
        self._body = body
        self._refuses = asked(ask.text, "refusal")
        said = say(ask)
        self._said = replace(said, text="", calls=()) if self._refuses else said
        self._choices = range(body.get("n") or 1)
        self._id = simulator.mint("chatcmpl-", 29)
        self._calls = [[simulator.mint("call_") for _ in self._said.calls] for _ in self._choices]
        self._audio = simulator.mint("audio_") if "audio" in (body.get("modalities") or ()) else ""
        self._kinds = {tool[tool["type"]]["name"]: tool["type"] for tool in body.get("tools") or ()}
        self._filtered = asked(ask.text, "content_filter")
        self._merged = asked(ask.text, "merged")

    # In one piece.

    def whole(self) -> Json:
        more: Json = {"metadata": self._body["metadata"]} if self._body.get("metadata") else {}
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": EPOCH,
            "model": self._body["model"],
            "choices": [
                {
                    "index": index,
                    "message": self._message(index),
                    "logprobs": self._logprobs(pieces(self._text)),
                    "finish_reason": self._finish,
                }
                for index in self._choices
            ],
            "usage": self._usage(),
            "service_tier": self._tier,
            "system_fingerprint": None,
            **more,
        }

    def _message(self, index: int) -> Json:
        message: Json = {
            "role": "assistant",
            "content": None if self._calls[index] or self._refuses or self._audio else self._text,
            "refusal": REFUSING if self._refuses else None,
            "annotations": [],
        }
        if self._audio:
            message["audio"] = {
                "id": self._audio,
                "expires_at": EPOCH + 3600,
                "data": base64.b64encode(self._text.encode()).decode(),
                "transcript": self._text,
            }
        if self._calls[index] and "functions" in self._body:
            name, arguments = self._said.calls[0]
            message["function_call"] = {"name": name, "arguments": arguments}
        elif self._calls[index]:
            message["tool_calls"] = [
                self._call(call_id, name, arguments)
                for call_id, (name, arguments) in zip(
                    self._calls[index], self._said.calls, strict=True
                )
            ]
        return message

    def _call(self, call_id: str, name: str, arguments: str) -> Json:
        if self._kinds.get(name) == "custom":
            inner = {"name": name, "input": free_text(arguments)}
            return {"id": call_id, "type": "custom", "custom": inner}
        inner = {"name": name, "arguments": arguments}
        return {"id": call_id, "type": "function", "function": inner}

    @property
    def _text(self) -> str:
        text = self._said.text
        return text[: len(text) // 2] if self._filtered else text

    @property
    def _finish(self) -> str:
        if self._filtered:
            return "content_filter"
        if self._refuses:
            return "stop"
        if self._said.finish == "tool_calls" and "functions" in self._body:
            return "function_call"
        return FINISHES.get(self._said.finish, self._said.finish)

    @property
    def _tier(self) -> str:
        tier = self._body.get("service_tier") or "default"
        return TIERS.get(tier, tier)

    def _usage(self) -> Json:
        return usage(self._said, len(self._choices))

    def _logprobs(self, texts: list[str]) -> Json | None:
        if not self._body.get("logprobs"):
            return None
        top = self._body.get("top_logprobs") or 0
        return {"content": [_logprob(text, top) for text in texts], "refusal": None}

    # As a stream.

    def frames(self) -> Iterator[Frame]:
        per_choice = [list(self._deltas(index)) for index in self._choices]
        for row in zip_longest(*per_choice):
            for index, delta in enumerate(row):
                if delta is not None:
                    yield Frame(self._chunk(index, delta), content="role" not in delta)
        for index in self._choices:
            yield Frame(self._chunk(index, {}, self._finish), last=True)
        if self._wants_usage:
            yield Frame(_record({**self._head(), "choices": [], "usage": self._usage()}), last=True)
        yield Frame(DONE, last=True)

    def broken(self) -> bytes:
        """What the stream says when the server fails in the middle of it."""
        told = {
            "message": "The server had an error while processing your request. Sorry about that!",
            "type": "server_error",
            "param": None,
            "code": None,
        }
        return _record({"error": told})

    def _deltas(self, index: int) -> Iterator[Json]:
        calls = list(self._call_deltas(index))
        empty: Json = {"role": "assistant", "content": None if calls else "", "refusal": None}
        if calls and self._merged:
            empty |= calls.pop(0)
        yield empty
        if self._refuses:
            yield from ({"refusal": piece} for piece in pieces(REFUSING))
        elif self._audio:
            yield {"audio": {"id": self._audio, "transcript": self._text}}
            yield {"audio": {"data": base64.b64encode(self._text.encode()).decode()}}
            yield {"audio": {"expires_at": EPOCH + 3600}}
        elif not calls:
            yield from ({"content": piece} for piece in pieces(self._text))
        yield from calls

    def _call_deltas(self, index: int) -> Iterator[Json]:
        if self._calls[index] and "functions" in self._body:
            name, arguments = self._said.calls[0]
            yield {"function_call": {"name": name, "arguments": ""}}
            for piece in cuts(arguments):
                yield {"function_call": {"arguments": piece}}
            return
        for place, (name, arguments) in enumerate(self._said.calls):
            head = self._call(self._calls[index][place], name, arguments)
            kind = head["type"]
            field = "input" if kind == "custom" else "arguments"
            whole, head[kind] = head[kind][field], {**head[kind], field: ""}
            yield {"tool_calls": [{"index": place, **head}]}
            for piece in cuts(whole):
                yield {"tool_calls": [{"index": place, kind: {field: piece}}]}

    def _chunk(self, index: int, delta: Json, finish: str | None = None) -> bytes:
        told = [delta["content"]] if delta.get("content") else []
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": self._logprobs(told) if told else None,
            "finish_reason": finish,
        }
        chunk = {**self._head(), "choices": [choice]}
        if self._wants_usage:
            chunk["usage"] = None
        if (self._body.get("stream_options") or {}).get("include_obfuscation") is not False:
            chunk["obfuscation"] = obfuscation(len(as_json(delta)))
        return _record(chunk)

    def _head(self) -> Json:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": EPOCH,
            "model": self._body["model"],
            "service_tier": self._tier,
            "system_fingerprint": None,
        }

    @property
    def _wants_usage(self) -> bool:
        return bool((self._body.get("stream_options") or {}).get("include_usage"))


def usage(said: Said, choices: int = 1) -> Json:
    """The usage object; every choice costs its own output, the input is read once."""
    written = said.completion_tokens * choices
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": said.prompt_tokens + written,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": said.reasoning_tokens * choices,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def obfuscation(length: int) -> str:
    """Padding that brings short deltas of different lengths to the same size."""
    return "0123456789abcdef"[: max(1, 16 - length % 16)]


def _logprob(text: str, top: int) -> Json:
    entry = {"token": text, "logprob": LOGPROB, "bytes": list(text.encode())}
    return {**entry, "top_logprobs": [dict(entry) for _ in range(min(top, 1))]}


def _record(value: Json) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"
