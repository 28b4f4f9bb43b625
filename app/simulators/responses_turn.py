"""One answer of the Responses API: its output items, the response object, and its events.

Besides what a model says, a prompt may order (as in `simulate: late`): `refusal`,
`content_filter`, `late` (arguments only in `output_item.done`), `escaped` (arguments with every
letter outside ASCII written as an escape), `commentary` (a remark before the calls), `search` and
`picture` (those hosted tools, when offered), `unknown` (an event nobody knows), `failed`,
`quota` and `flat` (which error a failing stream tells, and how).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from app.simulators.directives import asked, directives
from app.simulators.openai_chat_ask import FREE_TEXT, free_text
from app.simulators.openai_models import speaks_in_phases
from app.simulators.responses_events import framed, item_events
from app.simulators.script import Ask, Said, pieces, say
from app.simulators.simulator import EPOCH

Json = dict[str, Any]
Mint = Callable[..., str]

REFUSING = "The offline simulator was asked to refuse, so it will not answer that."
REMARK = "I will look that up."
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5E"
    "rkJggg=="
)
LOGPROB = -0.125
SOURCE = {"url": "https://example.com/simulated", "title": "A simulated page"}

ERRORS: dict[str, tuple[str, str]] = {
    "server_error": ("server_error", "The server had an error while processing your request."),
    "insufficient_quota": (
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "rate_limit_exceeded": ("tokens", "Rate limit reached. Please try again in 1.5s."),
    "context_length_exceeded": (
        "invalid_request_error",
        "Your input exceeds the context window of this model.",
    ),
    "server_is_overloaded": ("service_unavailable_error", "The server is currently overloaded."),
}
DEFAULTS: Json = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
TIERS = {"auto": "default", "fast": "priority"}


class Turn:
    """Decided completely when it is made; `body` has been accepted."""

    def __init__(self, mint: Mint, body: Json, ask: Ask) -> None:
        said = say(ask)
        if refused := asked(ask.text, "refusal"):
            said = replace(said, text=REFUSING, calls=())
        self._body = body
        self._ask = ask
        self._said = said
        self._refused = refused
        self._mint = mint
        self.id = mint("resp_", 48)
        self.output = self._items()
        self._late = asked(ask.text, "late")

    # The object.

    def opened(self, status: str = "in_progress") -> Json:
        """The response before anything was said."""
        echoed = {
            name: DEFAULTS[name] if self._body.get(name) is None else self._body[name]
            for name in DEFAULTS
        }
        reasoning = self._body.get("reasoning") or {}
        text = self._body.get("text") or {}
        tier = self._body.get("service_tier") or "default"
        return {
            "id": self.id,
            "object": "response",
            "created_at": EPOCH,
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._body["model"],
            "output": [],
            "usage": None,
            "reasoning": {
                "effort": reasoning.get("effort") or ("medium" if self._ask.reasoning else None),
                "summary": reasoning.get("summary"),
            },
            "text": {
                "format": text.get("format") or {"type": "text"},
                "verbosity": text.get("verbosity") or "medium",
            },
            "service_tier": TIERS.get(tier, tier),
            "billing": {"payer": "developer"},
            "frequency_penalty": 0,
            "presence_penalty": 0,
            **echoed,
        }

    def closed(self) -> Json:
        """The response when all was said."""
        if asked(self._ask.text, "failed"):
            return self.failed()
        reason = self._cut_short
        return {
            **self.opened("incomplete" if reason else "completed"),
            "completed_at": None if reason else EPOCH + 1,
            "incomplete_details": {"reason": reason} if reason else None,
            "output": self.output,
            "usage": self._usage(),
        }

    def failed(self) -> Json:
        code = self._error_code
        return {**self.opened("failed"), "error": {"code": code, "message": ERRORS[code][1]}}

    def error_frames(self, number: int) -> tuple[bytes, ...]:
        """How a stream tells of a failure after so many events: both shapes the vendor has."""
        code = self._error_code
        kind, message = ERRORS[code]
        told = {"code": code, "message": message, "param": None}
        if asked(self._ask.text, "flat"):
            return (framed({"type": "error", **told}, number),)
        nested = {"type": "error", "error": {"type": kind, **told}}
        failed = {"type": "response.failed", "response": self.failed()}
        return framed(nested, number), framed(failed, number + 1)

    # The events.

    def events(self) -> Iterator[Json]:
        background = bool(self._body.get("background"))
        first = "queued" if background else "in_progress"
        yield {"type": "response.created", "response": self.opened(first)}
        if background:
            yield {"type": "response.queued", "response": self.opened(first)}
        yield {"type": "response.in_progress", "response": self.opened()}
        if asked(self._ask.text, "unknown"):
            yield {"type": "response.simulated.novelty", "detail": {"nobody": "knows this"}}
        closed = self.closed()
        for index, item in enumerate(closed["output"]):
            yield from item_events(index, item, self._late)
        yield {"type": f"response.{closed['status']}", "response": closed}

    # The items.

    def _items(self) -> list[Json]:
        items = self._reasoning()
        if self._compacts:
            return [*items, self.compaction()]
        items += self._hosted()
        if self._said.calls and asked(self._ask.text, "commentary"):
            items.append(self._message(REMARK, "commentary"))
        if self._said.text or not (self._said.calls or self._cut_short):
            items.append(self._message(self._text, "final_answer"))
        items += [self._call(name, arguments) for name, arguments in self._said.calls]
        if self._cut_short and items and items[-1]["type"] != "reasoning":
            items[-1]["status"] = "incomplete"
        return items

    def compaction(self) -> Json:
        return {"type": "compaction", "id": self._mint("cmp_", 32), "encrypted_content": _sealed()}

    def _reasoning(self) -> list[Json]:
        if not self._ask.reasoning:
            return []
        wanted = (self._body.get("reasoning") or {}).get("summary")
        parts = [f"{part.rstrip('.')}." for part in self._said.thought.split(". ") if part]
        summary = [{"type": "summary_text", "text": part} for part in parts] if wanted else []
        item: Json = {"type": "reasoning", "id": self._mint("rs_", 48), "summary": summary}
        if "reasoning.encrypted_content" in (self._body.get("include") or ()):
            item["encrypted_content"] = _sealed()
        return [item]

    def _hosted(self) -> list[Json]:
        offered = {tool["type"].partition("_2")[0] for tool in self._body.get("tools") or ()}
        items: list[Json] = []
        if asked(self._ask.text, "search") and offered & {"web_search", "web_search_preview"}:
            query = self._ask.text.lower().partition("simulate:")[0].strip()
            action = {"type": "search", "query": query, "queries": [query]}
            items.append(self._item("web_search_call", "ws_", action=action))
        if asked(self._ask.text, "picture") and "image_generation" in offered:
            facts = {"size": "1024x1024", "quality": "low", "background": "opaque"}
            items.append(
                self._item(
                    "image_generation_call",
                    "ig_",
                    result=PIXEL,
                    revised_prompt="a single pixel",
                    output_format="png",
                    **facts,
                )
            )
        return items

    def _item(self, kind: str, prefix: str, **facts: Any) -> Json:
        return {"type": kind, "id": self._mint(prefix, 48), "status": "completed", **facts}

    def _message(self, text: str, phase: str) -> Json:
        if self._refused:
            part: Json = {"type": "refusal", "refusal": REFUSING}
        else:
            part = {
                "type": "output_text",
                "text": text,
                "annotations": self._citations(text),
                "logprobs": self._logprobs(text),
            }
        phases = {"phase": phase} if speaks_in_phases(self._body["model"]) else {}
        return self._item("message", "msg_", role="assistant", **phases, content=[part])

    def _call(self, name: str, arguments: str) -> Json:
        call_id = self._mint("call_")
        if self._ask.tools.get(name) is FREE_TEXT:
            given = free_text(arguments)
            return self._item("custom_tool_call", "ctc_", call_id=call_id, name=name, input=given)
        if asked(self._ask.text, "escaped"):
            arguments = _escaped(arguments)
        return self._item("function_call", "fc_", call_id=call_id, name=name, arguments=arguments)

    def _citations(self, text: str) -> list[Json]:
        if not asked(self._ask.text, "search") or len(text) < 4:
            return []
        return [{"type": "url_citation", **SOURCE, "start_index": 0, "end_index": 4}]

    def _logprobs(self, text: str) -> list[Json]:
        if "message.output_text.logprobs" not in (self._body.get("include") or ()):
            return []
        top = min(1, self._body.get("top_logprobs") or 0)
        entries = [
            {"token": piece, "logprob": LOGPROB, "bytes": list(piece.encode())}
            for piece in pieces(text)
        ]
        return [{**entry, "top_logprobs": [entry][:top]} for entry in entries]

    # Facts.

    @property
    def _text(self) -> str:
        text = self._said.text
        return text[: len(text) // 2] if asked(self._ask.text, "content_filter") else text

    @property
    def _cut_short(self) -> str:
        if asked(self._ask.text, "content_filter"):
            return "content_filter"
        return "max_output_tokens" if self._said.finish == "length" else ""

    @property
    def _error_code(self) -> str:
        orders = directives(self._ask.text)
        named = next((each.settings["code"] for each in orders if "code" in each.settings), "")
        if asked(self._ask.text, "quota"):
            named = "insufficient_quota"
        return named if named in ERRORS else "server_error"

    @property
    def _compacts(self) -> bool:
        given = self._body.get("input")
        last = given[-1] if isinstance(given, list) and given else {}
        return bool(last.get("type") == "compaction_trigger")

    def _usage(self) -> Json:
        return usage(self._said)


def usage(said: Said) -> Json:
    return {
        "input_tokens": said.prompt_tokens,
        "input_tokens_details": {"cached_tokens": said.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": said.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": said.reasoning_tokens},
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }


def _escaped(arguments: str) -> str:
    return "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in arguments)


def _sealed() -> str:
    return "gAAAAA" + "simulated" * 8 + "=="
