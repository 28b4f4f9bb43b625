"""Google's endpoint for OpenAI's clients, chats and pictures, beside the native API of the same host.

Where it is not OpenAI's: an array of one error, "stop" where calls are made in a stream, every
call with the index 0 or none, signatures in `extra_content`, thoughts in the text between tags when
they are asked for, and left out of the completion tokens. Besides mishaps and what the native API
takes a prompt may order `nameless` (calls without ids) and `unnumbered` (calls without an index).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from app.simulators import gemini_thoughts
from app.simulators.directives import asked
from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.flow import FlowSimulator
from app.simulators.gemini_checks import Refused
from app.simulators.gemini_models import LISTED, resolved, traits
from app.simulators.gemini_official_images import images_of
from app.simulators.gemini_official_rules import accept
from app.simulators.mishaps import Mishap
from app.simulators.openai_chat_ask import ask_of, last_user_text
from app.simulators.script import Ask, pieces, say
from app.simulators.simulator import EPOCH

BASE = "/v1beta/openai"
CHAT = f"{BASE}/chat/completions"
IMAGES = f"{BASE}/images/generations"
DONE = b"data: [DONE]\n\n"
OVERLOADED = Refused("The model is overloaded. Please try again later.", "UNAVAILABLE")

Json = dict[str, Any]


class GeminiOfficialSimulator(FlowSimulator):
    name = "gemini_official"

    def prompt(self, call: Call) -> str:
        body = call.body()
        if call.path not in (CHAT, IMAGES) or not isinstance(body, dict):
            return super().prompt(call)
        return _wish(body) if call.path == IMAGES else last_user_text(body.get("messages"))

    def answer(self, call: Call) -> Reply:
        if not call.path.startswith(f"{BASE}/"):
            return super().answer(call)
        try:
            return self._compatible(call)
        except Refused as refused:
            return Reply(refused.code, as_json([refused.envelope()]))

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        reply = super().refusal(call, kind, mishap)
        if call.path.startswith(f"{BASE}/") and isinstance(reply.body, bytes):
            return replace(reply, body=b"[" + reply.body + b"]")
        return reply

    def _compatible(self, call: Call) -> Reply:
        if call.method == "POST" and call.path == CHAT:
            return self._chat(call)
        if call.method == "POST" and call.path == IMAGES:
            return Reply(200, as_json(images_of(_json(call))))
        name = call.path.removeprefix(f"{BASE}/models")
        if call.method != "GET" or name == call.path:
            raise Refused("Requested entity was not found.", "NOT_FOUND")
        if name:
            return Reply(
                200, as_json(_described(resolved(name.removeprefix("/models/").strip("/"))))
            )
        return Reply(200, as_json({"object": "list", "data": [_described(one) for one in LISTED]}))

    def _chat(self, call: Call) -> Reply:
        body = accept(_json(call))
        turn = _Turn(self, body, _ask(body, len(call.raw)))
        if not body.get("stream"):
            return Reply(200, as_json(turn.whole()))
        broken = b"data: " + as_json(OVERLOADED.envelope()) + b"\n\n"
        stream = Stream(list(turn.frames()), error=(broken,))
        return Reply(200, stream, {}, "text/event-stream")


def _json(call: Call) -> Any:
    try:
        return call.parsed()
    except (ValueError, RecursionError) as error:
        raise Refused(f"Invalid JSON payload received. {error}") from None


def _wish(body: Json) -> str:
    prompt = body.get("prompt")
    return prompt if isinstance(prompt, str) else ""


def _described(model: str) -> Json:
    return {"id": f"models/{model}", "object": "model", "owned_by": "google"}


def _ask(body: Json, bulk: int) -> Ask:
    own = ("reasoning_effort", "extra_body")
    plain = {name: value for name, value in body.items() if name not in own}
    found = traits(resolved(body["model"]))
    effort = body.get("reasoning_effort")
    config = _google(body).get("thinking_config") or {}
    thinks = found.thinks and effort != "none" and config.get("thinking_budget") != 0
    told = effort is not None or bool(config)
    return replace(ask_of(plain, bulk), reasoning=thinks and (told or found.thinks_unasked))


def _google(body: Json) -> Json:
    found: Json = (body.get("extra_body") or {}).get("google") or {}
    return found


class _Turn:
    """One answer in both of its forms."""

    def __init__(self, simulator: FlowSimulator, body: Json, ask: Ask) -> None:
        self._body = body
        self._ask = ask
        self._said = say(ask)
        self._id = simulator.mint("", 22)
        signed = traits(resolved(body["model"])).signed
        self._calls = [
            self._call(simulator.mint("function-call-", 19), name, arguments, signed and not place)
            for place, (name, arguments) in enumerate(self._said.calls)
        ]
        config = _google(body).get("thinking_config") or {}
        shown = self._said.thought if config.get("include_thoughts") else ""
        self._text = (f"<thought>{shown}</thought>" if shown else "") + self._said.text

    def _call(self, name: str, function: str, arguments: str, signed: bool) -> Json:
        call: Json = {
            "id": "" if asked(self._ask.text, "nameless") else name,
            "type": "function",
            "function": {"name": function, "arguments": arguments},
        }
        if signed:
            seal = gemini_thoughts.of_call(function, json.loads(arguments))
            call["extra_content"] = {"google": {"thought_signature": seal}}
        return call

    def whole(self) -> Json:
        message: Json = {"role": "assistant"}
        if self._text:
            message["content"] = self._text
        if self._calls:
            message["tool_calls"] = self._calls
        finish = "tool_calls" if self._calls else self._finish
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}

    def frames(self) -> Iterator[Frame]:
        for piece in pieces(self._text):
            delta: Json = {"role": "assistant", "content": piece}
            yield Frame(self._chunk([{"index": 0, "delta": delta}]), content=True)
        for call in self._calls:
            place = {} if asked(self._ask.text, "unnumbered") else {"index": 0}
            delta = {"role": "assistant", "tool_calls": [{**place, **call}]}
            yield Frame(self._chunk([{"index": 0, "delta": delta}]), content=True)
        end = {"index": 0, "delta": {"role": "assistant"}, "finish_reason": self._finish}
        yield Frame(self._chunk([end]), last=True)
        if (self._body.get("stream_options") or {}).get("include_usage"):
            yield Frame(self._chunk([], usage=self._usage()), last=True)
        yield Frame(DONE, last=True)

    def _chunk(self, choices: list[Json], **more: Any) -> bytes:
        value = {**self._head("chat.completion.chunk"), "choices": choices, **more}
        return b"data: " + as_json(value) + b"\n\n"

    def _head(self, kind: str) -> Json:
        model = resolved(self._body["model"])
        return {"id": self._id, "object": kind, "created": EPOCH, "model": model}

    @property
    def _finish(self) -> str:
        """In a stream, calls end with "stop" too."""
        finish = self._said.finish
        return "stop" if finish in ("stop_sequence", "tool_calls") else finish

    def _usage(self) -> Json:
        said = self._said
        usage: Json = {
            "prompt_tokens": said.prompt_tokens,
            "completion_tokens": said.completion_tokens - said.reasoning_tokens,
            "total_tokens": said.prompt_tokens + said.completion_tokens,
        }
        if said.cached_tokens:
            usage["prompt_tokens_details"] = {"cached_tokens": said.cached_tokens}
        return usage
