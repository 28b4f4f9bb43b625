"""Gemini's own API: generateContent in its three forms, token counting and the models.

Besides mishaps a prompt may order what the vendor does on rare days: `blocked` (or
`blocked=REASON`: no candidates, only `promptFeedback`), `safety` (stopped in the middle),
`finish=REASON` (any finish reason), `bare` (a stream begins with a chunk without candidates),
`hop=N` (an answer of a model that can be continued stops after N tokens).

There is no request id and no retry-after header: a refusal says how long to wait in its details.
A wrong API key is a 400 and a missing one a 403; only a wrong Bearer token is a 401.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.gemini_answer import Answer
from app.simulators.gemini_ask import last_user_text, token_counts
from app.simulators.gemini_checks import RPC, Refused, violation
from app.simulators.gemini_limits import accept
from app.simulators.gemini_models import described, listing, resolved, traits
from app.simulators.gemini_rules import COUNT
from app.simulators.gemini_turns import require_turns
from app.simulators.mishaps import Mishap
from app.simulators.simulator import Simulator

Json = dict[str, Any]

JSON_TYPE = "application/json; charset=UTF-8"
MODELS = re.compile(r"/(v1|v1beta|v1alpha)/models(?:/([^:/]+)(?::(\w+))?)?")
DEFAULT_PAGE, GREATEST_PAGE = 50, 1000

HOUSE: dict[str, str] = {
    "vary": "Origin, X-Origin, Referer",
    "server": "scaffolding on HTTPServer2",
    "x-xss-protection": "0",
    "x-frame-options": "SAMEORIGIN",
    "x-content-type-options": "nosniff",
    "server-timing": "gfet4t7; dur=12",
    "x-gemini-service-tier": "standard",
    "alt-svc": 'h3=":443"; ma=2592000',
}

# Status and words of the refusals that do not depend on the body.
REFUSALS: dict[str, tuple[str, str]] = {
    "keyless": (
        "PERMISSION_DENIED",
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API consumer identity to call this API.",
    ),
    "refuse": ("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    "token": (
        "UNAUTHENTICATED",
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential.",
    ),
    "forbid": ("PERMISSION_DENIED", "The caller does not have permission"),
    "throttle": (
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "broke": (
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "overload": ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    "fail": ("INTERNAL", "An internal error has occurred. Please retry."),
}
OVERLOADED = Refused(REFUSALS["overload"][1], "UNAVAILABLE")


class GeminiSimulator(Simulator):
    """The Gemini Developer API as the vendor serves it."""

    name = "gemini"
    more_models: tuple[Json, ...] = ()  # that are listed, beside those of generateContent

    def credential(self, call: Call) -> str:
        given = call.headers.get("x-goog-api-key", "").strip() or call.parameter("key")
        return given or super().credential(call)

    def prompt(self, call: Call) -> str:
        body = call.body() if call.method == "POST" else None
        return last_user_text(body.get("contents")) if isinstance(body, dict) else ""

    def answer(self, call: Call) -> Reply:
        try:
            return self._routed(call)
        except Refused as refused:
            return _told(call, refused)

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        if kind == "refuse" and super().credential(call) == self.credential(call):
            kind = "token"
        status, words = REFUSALS[kind]
        details = _DETAILS[kind](mishap) if kind in _DETAILS else ()
        return _told(call, Refused(words, status, details), mishap.status)

    def _routed(self, call: Call) -> Reply:
        found = MODELS.fullmatch(call.path)
        if found is None:
            raise Refused("Requested entity was not found.", "NOT_FOUND")
        version, model, verb = found.groups()
        if verb is None:
            return self._models(call, model, version)
        verbs: dict[str, Callable[[Call, str, str], Reply]] = {
            "generateContent": self._generate,
            "streamGenerateContent": self._stream,
            "countTokens": _count,
        }
        if call.method != "POST" or verb not in verbs:
            raise Refused("Requested entity was not found.", "NOT_FOUND")
        return verbs[verb](call, model, version)

    def _generate(self, call: Call, model: str, version: str) -> Reply:
        answer = self._answer(call, resolved(model, version), streaming=False)
        return _json(answer.whole())

    def _stream(self, call: Call, model: str, version: str) -> Reply:
        answer = self._answer(call, resolved(model, version), streaming=True)
        if call.parameter("alt") == "sse":
            frames = list(_events(answer))
            stream = Stream(frames, b'data: {"candidates": [{"con\r\n\r\n', (_event(_FAILED),))
            return Reply(200, stream, HOUSE, "text/event-stream")
        frames = list(_elements(answer))
        stream = Stream(frames, b',\r\n{"candidates": [{"con\r\n', _failure)
        return Reply(200, stream, HOUSE, JSON_TYPE)

    def _models(self, call: Call, model: str | None, version: str) -> Reply:
        if call.method != "GET":
            raise Refused("Requested entity was not found.", "NOT_FOUND")
        if model is not None:
            more = {each["name"]: each for each in self.more_models}
            if f"models/{model}" in more:
                return _json(more[f"models/{model}"])
            resolved(model, version)
            return _json(described(model))
        size = call.parameter("pageSize") or str(DEFAULT_PAGE)
        if not re.fullmatch(r"\d{1,9}", size, re.ASCII):
            raise Refused("Invalid value for page_size.")
        wanted = min(int(size) or DEFAULT_PAGE, GREATEST_PAGE)
        return _json(listing(wanted, call.parameter("pageToken") or "", self.more_models))

    def _answer(self, call: Call, model: str, streaming: bool) -> Answer:
        body = accept(read(call), model, streaming)
        tokens, window = sum(token_counts(body).values()), traits(model).window
        if tokens > window:
            raise Refused(
                f"The input token count ({tokens}) exceeds the maximum number of tokens allowed "
                f"({window})."
            )
        return Answer(body, model, streaming, self.mint)


def _elements(answer: Answer) -> Iterator[Frame]:
    """The framing without `alt=sse`: one JSON array, sent piece by piece."""
    for number, chunk in enumerate(answer.chunks()):
        yield Frame(_element(chunk.value, number), content=chunk.content, last=chunk.last)
    yield Frame(b"\r\n]\r\n", last=True)


def _element(value: Json, number: int) -> bytes:
    return (b",\r\n" if number else b"[") + as_json(value)


def _failure(number: int) -> tuple[bytes, ...]:
    """An error is one more element; the array is closed after it."""
    return _element(_FAILED, number), b"\r\n]\r\n"


_FAILED = OVERLOADED.envelope()


def _events(answer: Answer) -> Iterator[Frame]:
    for chunk in answer.chunks():
        yield Frame(_event(chunk.value), content=chunk.content, last=chunk.last)


def _event(value: Json) -> bytes:
    return b"data: " + as_json(value) + b"\r\n\r\n"


def _json(value: Json, status: int = 200) -> Reply:
    return Reply(status, as_json(value), HOUSE, JSON_TYPE)


def _told(call: Call, refused: Refused, code: int = 0) -> Reply:
    """A refusal; where an array was expected it is the only element of one."""
    body: Any = refused.envelope(code)
    if call.path.endswith(":streamGenerateContent") and call.parameter("alt") != "sse":
        body = [body]
    return Reply(code or refused.code, as_json(body), HOUSE, JSON_TYPE)


def read(call: Call) -> Any:
    """The body as JSON; raises the refusal of the front end for one that is none."""
    try:
        value = call.parsed()
        json.dumps(value, ensure_ascii=False).encode("utf-8")
        return value
    except UnicodeEncodeError:
        raise violation("", "Invalid JSON payload received. Unpaired surrogate.") from None
    except (ValueError, RecursionError) as error:
        raise violation("", f"Invalid JSON payload received. {error}") from None


def _count(call: Call, model: str, version: str) -> Reply:
    model = resolved(model, version)
    body: Json = COUNT(read(call), "")
    inner = body.get("generateContentRequest")
    if inner is not None and "contents" in body:
        raise Refused("Only one of contents and generate_content_request may be set.")
    counted = {"contents": [], **(inner or body)}
    require_turns(counted["contents"], traits(model))
    counts = token_counts(counted)
    details = [{"modality": kind, "tokenCount": number} for kind, number in counts.items()]
    return _json({"totalTokens": sum(counts.values()), "promptTokensDetails": details})


def _key_details(_mishap: Mishap) -> tuple[Json, ...]:
    info = {
        "@type": f"{RPC}ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    words = {
        "@type": f"{RPC}LocalizedMessage",
        "locale": "en-US",
        "message": REFUSALS["refuse"][1],
    }
    return info, words


def _quota_details(period: str, mishap: Mishap) -> tuple[Json, ...]:
    quota = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
        "quotaId": f"GenerateRequestsPer{period}PerProjectPerModel",
        "quotaDimensions": {"location": "global"},
        "quotaValue": "1000",
    }
    failure = {"@type": f"{RPC}QuotaFailure", "violations": [quota]}
    retry = {"@type": f"{RPC}RetryInfo", "retryDelay": f"{mishap.seconds:g}s"}
    return (failure, retry) if period == "Minute" else (failure,)


_DETAILS: dict[str, Callable[[Mishap], tuple[Json, ...]]] = {
    "refuse": _key_details,
    "throttle": partial(_quota_details, "Minute"),
    "broke": partial(_quota_details, "Day"),
}
