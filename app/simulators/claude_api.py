"""Anthropic's Messages API: messages, token counting and the models.

Besides mishaps a prompt may order what the vendor does on rare days: `redacted` (the thinking
comes back encrypted), `refusal`, `pause`, `window` (the context window is full), `interleave`
(text before every tool call); and how its stream is told: `pings=N`, `padding`, `unclosed` (the
last block has no stop), `early` (a mishap may come before the first block).

Prompt caching is real: a prefix that ends at a cache mark is written when first seen and read
afterwards, once it is long enough for the model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from app.simulators.anthropic_ask import (
    Cached,
    PromptCache,
    ask_of,
    input_tokens,
    last_user_text,
)
from app.simulators.anthropic_blocks import (
    Block,
    Manner,
    block_frames,
    event,
    redacted_block,
    search_blocks,
    text_block,
    thinking_block,
    tool_block,
)
from app.simulators.anthropic_checks import Refused, fail
from app.simulators.anthropic_limits import VERSIONS, accept
from app.simulators.anthropic_models import described, listing, resolved, traits
from app.simulators.anthropic_rules import TYPED_TOOLS
from app.simulators.directives import asked, setting
from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.mishaps import Mishap
from app.simulators.script import Said, pieces, say
from app.simulators.simulator import Simulator

Json = dict[str, Any]

MESSAGES = "/v1/messages"
COUNT_TOKENS = "/v1/messages/count_tokens"
MODELS = "/v1/models"
MOST_BYTES = 32 * 1024 * 1024
PROBES = ("/", "/api/hello")
OAUTH = "oauth-2025-04-20"
GARBAGE = b'event: content_block_delta\ndata: {"type": "content_block_delta", "ind\n\n'

STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
}
ORDERED_STOPS = {"pause": "pause_turn", "window": "model_context_window_exceeded"}

RESET = "2026-11-20T12:01:00Z"
HOUSE: dict[str, str] = {
    "anthropic-organization-id": "00000000-0000-4000-8000-0000000000a1",
    "anthropic-workspace-id": "wrkspc_simulated0000000000",
    **{
        f"anthropic-ratelimit-{bucket}-{name}": value
        for bucket, limit, left in (
            ("requests", "4000", "3999"),
            ("tokens", "2400000", "2399000"),
            ("input-tokens", "2000000", "1999000"),
            ("output-tokens", "400000", "400000"),
        )
        for name, value in (("limit", limit), ("remaining", left), ("reset", RESET))
    },
    "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
    "via": "1.1 google",
    "cf-cache-status": "DYNAMIC",
    "cf-ray": "9a1b2c3d4e5f6071-SIM",
    "server": "cloudflare",
    "set-cookie": "_cfuvid=simulated; path=/; HttpOnly; Secure; SameSite=None",
    "x-robots-tag": "none",
}

# Status, type and words of the refusals that do not depend on the body.
REFUSALS: dict[str, tuple[int, str, str]] = {
    "keyless": (401, "authentication_error", "x-api-key header is required"),
    "refuse": (401, "authentication_error", "invalid x-api-key"),
    "forbid": (
        403,
        "permission_error",
        "Your API key does not have permission to use the specified resource.",
    ),
    "throttle": (
        429,
        "rate_limit_error",
        "This request would exceed the rate limit for your organization of 4,000 requests per "
        "minute.",
    ),
    "broke": (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing "
        "to upgrade or purchase credits.",
    ),
    "overload": (529, "overloaded_error", "Overloaded"),
    "fail": (500, "api_error", "Internal server error"),
}
RETRIED = frozenset({408, 409, 429})


class ClaudeApiSimulator(Simulator):
    """The Messages API as the vendor serves it."""

    name = "claude_api"

    def __init__(self) -> None:
        super().__init__()
        self._cache = PromptCache()

    def credential(self, call: Call) -> str:
        if call.method == "HEAD" and call.path in PROBES:
            return "probe"
        return call.headers.get("x-api-key", "").strip() or super().credential(call)

    def prompt(self, call: Call) -> str:
        body = call.body() if call.path == MESSAGES else None
        return last_user_text(body.get("messages")) if isinstance(body, dict) else ""

    def answer(self, call: Call) -> Reply:
        try:
            reply = self._routed(call)
        except Refused as refused:
            return self._told(refused)
        return self._headed(reply, self.mint("req_"))

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        status, name, words = REFUSALS[kind]
        reply = self._told(Refused(words, mishap.status or status, name))
        if kind == "throttle" or (kind == "overload" and mishap.seconds):
            waiting = {"retry-after": str(max(1, math.ceil(mishap.seconds)))}
            reply = replace(reply, headers={**reply.headers, **waiting})
        return reply

    def _told(self, refused: Refused) -> Reply:
        request_id = self.mint("req_")
        error = {"type": refused.kind, "message": refused.message}
        body = {"type": "error", "error": error, "request_id": request_id}
        again = refused.status in RETRIED or refused.status >= 500
        headers = {"x-should-retry": "true" if again else "false"}
        return self._headed(Reply(refused.status, as_json(body), headers), request_id)

    def _headed(self, reply: Reply, request_id: str) -> Reply:
        return replace(reply, headers={**HOUSE, "request-id": request_id, **reply.headers})

    def _routed(self, call: Call) -> Reply:
        if call.method == "HEAD" and call.path in PROBES:
            return Reply(200, b"")
        routes = self._routes(call.path)
        if not routes:
            raise Refused("Not Found", 404, "not_found_error")
        if call.method not in routes:
            raise Refused("Method Not Allowed", 405)
        _require_house_rules(call)
        return routes[call.method](call)

    def _routes(self, path: str) -> dict[str, Callable[[Call], Reply]]:
        if path == MESSAGES:
            return {"POST": self._create}
        if path == COUNT_TOKENS:
            return {"POST": _count}
        if path == MODELS:
            return {"GET": _list}
        return {"GET": _one_model} if path.startswith(MODELS + "/") else {}

    def _create(self, call: Call) -> Reply:
        body = accept(_read(call), _betas(call), version=_version(call))
        _require_room(body)
        turn = _Turn(self, body, self._cache.look(body, self.credential(call)))
        if not body.get("stream"):
            return Reply(200, as_json(turn.whole()))
        stream = Stream(list(turn.frames()), GARBAGE, (_overloaded(),))
        headers = {"cache-control": "no-cache"}
        return Reply(200, stream, headers, "text/event-stream; charset=utf-8")


class _Turn:
    """One answer in both of its forms; everything in it is decided when it is made."""

    def __init__(self, simulator: ClaudeApiSimulator, body: Json, cached: Cached) -> None:
        self._mint = simulator.mint
        self._body = body
        self._ask = ask_of(body)
        self._said = say(self._ask)
        self._cached = cached
        self._spoken = 0  # tokens beyond what the script said
        self._searches = 0
        self._refused = self._asked("refusal")
        self._id = self._mint("msg_")
        self._blocks = [] if self._refused else list(self._content())

    def whole(self) -> Json:
        return self._message(
            [block.whole for block in self._blocks], self._stop(), self._usage(self._written)
        )

    def frames(self) -> Iterator[Frame]:
        manner = self._manner()
        first = self._message([], _NOT_YET, self._usage(min(1, self._written)))
        yield Frame(event({"type": "message_start", "message": first}, manner.padded))
        yield from block_frames(self._blocks or [text_block("")], manner)
        usage = self._usage(self._written)
        told = {name: usage[name] for name in _DELTA_USAGE}
        ending = {"type": "message_delta", "delta": self._stop(), "usage": told}
        yield Frame(event(ending, manner.padded), last=True)
        yield Frame(event({"type": "message_stop"}, manner.padded), last=True)

    def _content(self) -> Iterator[Block]:
        model, said = self._body["model"], self._said
        if said.thought and self._asked("redacted"):
            yield redacted_block(model, said.thought)
        elif said.thought:
            yield thinking_block(model, said.thought, self._shows_thoughts())
        if self._searching():
            self._searches = 1
            yield from self._aside(search_blocks(self._mint("srvtoolu_"), self._ask.text))
        for name, arguments in said.calls:
            if self._asked("interleave"):
                yield from self._aside([text_block(f"I will call {name} now.")])
            yield tool_block(self._mint("toolu_"), name, arguments)
        if said.text:
            yield text_block(said.text)

    def _aside(self, blocks: list[Block]) -> list[Block]:
        """Blocks the script knows nothing of, put on the bill."""
        self._spoken += sum(len(pieces(block.whole.get("text", ""))) for block in blocks)
        return blocks

    def _searching(self) -> bool:
        kinds = [tool.get("type") for tool in self._body.get("tools") or ()]
        offered = any(TYPED_TOOLS.get(kind) == "web_search" for kind in kinds if kind)
        return offered and "web_search" in self._ask.text and not self._ask.tool_results

    def _shows_thoughts(self) -> bool:
        display = (self._body.get("thinking") or {}).get("display")
        if display is None:
            return traits(self._body["model"]).shows_thoughts
        return bool(display == "summarized")

    def _message(self, content: list[Json], stop: Json, usage: Json) -> Json:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._body["model"],
            "content": content,
            **stop,
            "usage": usage,
        }

    def _stop(self) -> Json:
        reason = STOPS[self._said.finish]
        for order, ordered in ORDERED_STOPS.items():
            if self._asked(order):
                reason = ordered
        details = None
        if self._refused:
            reason = "refusal"
            details = {
                "type": "refusal",
                "category": None,
                "explanation": "The simulator was asked to refuse.",
            }
        sequence = self._said.stop_sequence if reason == "stop_sequence" else None
        return {
            "stop_reason": reason,
            "stop_sequence": sequence,
            "stop_details": details,
            "container": None,
        }

    @property
    def _written(self) -> int:
        return 0 if self._refused else self._said.completion_tokens + self._spoken

    def _usage(self, written: int) -> Json:
        return _usage(self._said, self._cached, written, self._searches)

    def _manner(self) -> Manner:
        return Manner(
            pings=max(0, int(setting(self._ask.text, "pings", 0))),
            padded=self._asked("padding"),
            unclosed=self._asked("unclosed"),
            early=self._asked("early"),
        )

    def _asked(self, word: str) -> bool:
        return asked(self._ask.text, word)


_NOT_YET: Json = {
    "stop_reason": None,
    "stop_sequence": None,
    "stop_details": None,
    "container": None,
}
_DELTA_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "output_tokens_details",
    "server_tool_use",
)


def _usage(said: Said, cached: Cached, written: int, searches: int) -> Json:
    """Input tokens leave out what the cache took part in, read or written."""
    read = max(cached.read, said.cached_tokens)
    fresh = max(0, said.prompt_tokens - read - cached.written)
    made = {"web_search_requests": searches, "web_fetch_requests": 0} if searches else None
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": cached.written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cached.written_5m,
            "ephemeral_1h_input_tokens": cached.written_1h,
        },
        "output_tokens": written,
        "output_tokens_details": {"thinking_tokens": min(said.reasoning_tokens, written)},
        "server_tool_use": made,
        "service_tier": "standard",
        "inference_geo": "not_available",
    }


def _require_house_rules(call: Call) -> None:
    """What every route wants: one credential, and a version."""
    bearer = call.headers.get("authorization", "")
    if bearer and call.headers.get("x-api-key"):
        raise Refused(
            "Only one of the x-api-key and authorization headers may be sent.",
            401,
            "authentication_error",
        )
    if bearer.lower().startswith("bearer sk-ant-oat") and OAUTH not in _betas(call):
        raise Refused(
            "OAuth authentication is currently not supported.", 401, "authentication_error"
        )
    _version(call)


def _version(call: Call) -> str:
    version = call.headers.get("anthropic-version")
    if version is None:
        fail("anthropic-version", "header is required")
    if version not in VERSIONS:
        fail("anthropic-version", f'"{version}" is not a valid version')
    return version


def _betas(call: Call) -> tuple[str, ...]:
    given = call.headers.get("anthropic-beta", "").split(",")
    return tuple(each.strip() for each in given if each.strip())


def _read(call: Call) -> Any:
    if len(call.raw) > MOST_BYTES:
        raise Refused("Request exceeds the maximum size", 413, "request_too_large")
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused("content-type: application/json is required")
    try:
        value = call.parsed()
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeEncodeError:
        raise Refused("The request body is not valid JSON: no low surrogate in string") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"The request body is not valid JSON: {error}") from None


def _require_room(body: Json) -> None:
    found, window = input_tokens(body), traits(body["model"]).window
    if found > window:
        raise Refused(f"prompt is too long: {found} tokens > {window} maximum")


def _overloaded() -> bytes:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    return event({"type": "error", "error": error})


def _count(call: Call) -> Reply:
    body = accept(_read(call), _betas(call), True, _version(call))
    return Reply(200, as_json({"input_tokens": input_tokens(body)}))


def _list(call: Call) -> Reply:
    given = call.parameter("limit")
    limit = int(given) if given and given.isascii() and given.isdigit() else 20
    if not 1 <= limit <= 1000 or (given and not given.isdigit()):
        fail("limit", "Input should be between 1 and 1000")
    page = listing(limit, call.parameter("after_id"), call.parameter("before_id"))
    return Reply(200, as_json(page))


def _one_model(call: Call) -> Reply:
    return Reply(200, as_json(described(resolved(call.path.removeprefix(MODELS + "/")))))
