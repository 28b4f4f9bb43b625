"""One answer of Gemini in all of its forms; everything in it is decided when it is made.

The chunks of a stream hold only what is new, but each holds the usage so far, in which numbers
that are zero are left out. Function calls arrive whole, one to a chunk, and only the first of a
step is signed; an answer in words is signed on a last, empty part. The end of an answer with
calls is an ordinary STOP.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from app.simulators.directives import asked, setting, value
from app.simulators.gemini_ask import ask_of, token_counts
from app.simulators.gemini_checks import Refused, decoded
from app.simulators.gemini_images import Drawing, drawing
from app.simulators.gemini_limits import CHOICE
from app.simulators.gemini_models import traits
from app.simulators.gemini_thoughts import of_call, of_text
from app.simulators.script import pieces, say

Json = dict[str, Any]

FINISHES = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "stop_sequence": "STOP"}
CATEGORIES = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
# Finish reasons of an answer that has no content, with the words that come instead.
EMPTY: dict[str, str] = {
    "MALFORMED_FUNCTION_CALL": "Malformed function call",
    "NO_IMAGE": "The model did not produce an image.",
    **dict.fromkeys(
        ("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER"),
        "Unable to show the generated image. Try rephrasing the prompt.",
    ),
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A whole response object, with its part in a stream."""

    value: Json
    content: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True)
class _Item:
    """A part, what it costs, and whether the cost is that of thinking or of drawing."""

    part: Json
    tokens: int = 0
    thought: bool = False
    drawn: bool = False


class Answer:
    """What the model says to an accepted request."""

    def __init__(
        self, body: Json, model: str, streaming: bool, mint: Callable[[str, int], str]
    ) -> None:
        self._body = body
        self._model = model
        self._traits = traits(model)
        self._mint = mint
        self._id = mint("", 22)
        self._ask = ask_of(body, model)
        self._said = say(self._ask)
        self._config: Json = body.get("generationConfig") or {}
        self._finish = _ordered_finish(self._ask.text) or FINISHES[self._said.finish]
        thinking = self._config.get("thinkingConfig") or {}
        self._shows = thinking.get("includeThoughts", self._traits.shows_thoughts)
        whole = self._finish in ("STOP", "MAX_TOKENS")
        self._drawing = drawing(body, self._ask.text, self._traits) if whole else None
        self._shows = self._shows or (bool(self._drawing) and asked(self._ask.text, "draft"))
        self._token = ""
        self._words = pieces(self._text())
        self._hop(streaming)
        self._items = [*self._thoughts(), *self._rest()]

    @property
    def _blocked(self) -> str:
        if asked(self._ask.text, "blocked"):
            return value(self._ask.text, "blocked") or "PROHIBITED_CONTENT"
        return ""

    def whole(self) -> Json:
        """The answer in one piece; parts of one kind run together."""
        if self._blocked:
            return self._feedback()
        parts: list[Json] = []
        for item in self._items:
            _join(parts, item.part)
        usage = self._usage(len(self._items))
        return self._response([self._ended(self._content(parts))], usage)

    def chunks(self) -> Iterator[Chunk]:
        """The answer as a stream."""
        if self._blocked:
            yield Chunk(self._feedback(), last=True)
            return
        if asked(self._ask.text, "bare"):
            yield Chunk(self._response([], self._usage(0)))
        told = self._items
        ending: Json = {}
        if told and told[-1].part.get("text") == "":
            ending, told = self._content([told[-1].part]), told[:-1]
        elif self._traits.signed:
            ending = self._content([{"text": ""}])
        for index, item in enumerate(told):
            if item.thought and not self._shows:
                continue
            usage = self._usage(index + 1)
            value = self._response([self._content([item.part])], usage)
            yield Chunk(value, content=True)
        usage = self._usage(len(self._items))
        yield Chunk(self._response([self._ended(ending)], usage), last=True)

    # What is said.

    def _text(self) -> str:
        text = self._said.text
        if self._config.get("responseMimeType") == CHOICE and self._ask.schema:
            text = str(json.loads(text)) if self._said.finish == "stop" else text.strip('"')
        halved = self._finish not in ("STOP", "MAX_TOKENS")
        return text[: len(text) // 2] if halved else text

    def _hop(self, streaming: bool) -> None:
        """Cuts the answer to what one request gives, for a model that can be continued."""
        token = self._body.get("continuationToken")
        if self._traits.hop is None:
            if token:
                raise Refused("continuation_token is not supported for this model.")
            return
        start = _offset(token) if token else 0
        most = int(setting(self._ask.text, "hop", self._traits.hop[0 if streaming else 1]))
        rest = self._words[start:]
        if len(rest) > most:
            self._finish = "CONTINUATION"
            self._token = _continuation(start + most)
        self._words = rest[:most]

    def _thoughts(self) -> Iterator[_Item]:
        for piece in pieces(self._said.thought):
            yield _Item({"text": piece, "thought": True}, 1, thought=True)
        if self._drawing and self._shows:
            yield _Item(self._drawing.draft(), self._drawing.tokens, thought=True)

    def _rest(self) -> Iterator[_Item]:
        if self._finish in EMPTY:
            return
        if self._drawing:
            yield from self._drawn(self._drawing)
            return
        for index, (name, arguments) in enumerate(self._said.calls):
            yield _Item(self._call(name, arguments, index == 0), len(pieces(arguments)))
        for piece in self._words:
            yield _Item({"text": piece}, 1)
        if self._words and self._traits.signed:
            yield _Item({"text": "", "thoughtSignature": of_text("".join(self._words))})

    def _drawn(self, drawing: Drawing) -> Iterator[_Item]:
        """Words, if they are wanted, then the pictures; `mixed` puts words before each of them."""
        words = (
            self._words if "TEXT" in (self._config.get("responseModalities") or ["TEXT"]) else []
        )
        share = len(words) // drawing.count if asked(self._ask.text, "mixed") else len(words)
        for number, part in enumerate(drawing.parts()):
            for piece in words[number * share : (number + 1) * share]:
                yield _Item({"text": piece}, 1)
            yield _Item(part, drawing.tokens, drawn=True)
        for piece in words[drawing.count * share :]:
            yield _Item({"text": piece}, 1)

    def _call(self, name: str, arguments: str, first: bool) -> Json:
        try:
            args = json.loads(arguments)
        except ValueError:  # cut short by the limit on the output
            args = {}
        call: Json = {"name": name, "args": args}
        if not self._traits.signed:
            return {"functionCall": call}
        part: Json = {"functionCall": {"id": self._mint("", 8), **call}}
        if first:
            part["thoughtSignature"] = of_call(name, args)
        return part

    # How it is told.

    def _content(self, parts: list[Json]) -> Json:
        shown = [part for part in parts if self._shows or not part.get("thought")]
        content: Json = {"parts": shown} if shown else {}
        return {"content": {**content, "role": "model"}}

    def _ended(self, candidate: Json) -> Json:
        ended = {**candidate, "finishReason": self._finish}
        if self._finish == "SAFETY":
            ended["safetyRatings"] = _ratings(blocked=True)
        if self._finish in EMPTY:
            ended = {"finishReason": self._finish, "finishMessage": EMPTY[self._finish]}
        if self._token:
            ended["continuationToken"] = self._token
        return ended

    def _response(self, candidates: list[Json], usage: Json) -> Json:
        count = self._config.get("candidateCount", 1)
        told = [{**each, "index": index} for each in candidates for index in range(count)]
        return {
            **({"candidates": told} if told else {}),
            "usageMetadata": usage,
            "modelVersion": self._model,
            "responseId": self._id,
        }

    def _feedback(self) -> Json:
        feedback = {"blockReason": self._blocked.upper(), "safetyRatings": _ratings(blocked=False)}
        return {**self._response([], self._usage(0)), "promptFeedback": feedback}

    def _usage(self, items: int) -> Json:
        """What so many items and all before them have cost."""
        told = self._items[:items] if items else []
        thought = sum(item.tokens for item in told if item.thought)
        times = self._config.get("candidateCount", 1)
        drawn = sum(item.tokens for item in told if item.drawn)
        answered = times * sum(item.tokens for item in told if not item.thought)
        counts = token_counts(self._body)
        prompt = sum(counts.values())
        cached = self._said.cached_tokens or (prompt // 2 if "cachedContent" in self._body else 0)
        numbers = {
            "promptTokenCount": prompt,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": answered,
            "thoughtsTokenCount": thought,
            "totalTokenCount": prompt + answered + thought,
        }
        usage: Json = {name: number for name, number in numbers.items() if number}
        usage["promptTokensDetails"] = _details(counts)
        if cached:
            usage["cacheTokensDetails"] = _details({"TEXT": cached})
        if drawn:
            usage["candidatesTokensDetails"] = _details({"TEXT": answered - drawn, "IMAGE": drawn})
        return usage


def _join(parts: list[Json], part: Json) -> None:
    """Adds a part; a text without a signature goes on with the one before it."""
    last = parts[-1] if parts else {}
    same = set(part) == set(last) or set(part) - set(last) == {"thoughtSignature"}
    if "text" in part and "text" in last and same and "thoughtSignature" not in last:
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


def _details(counts: dict[str, int]) -> list[Json]:
    return [{"modality": kind, "tokenCount": number} for kind, number in counts.items() if number]


def _ratings(blocked: bool) -> list[Json]:
    ratings: list[Json] = [
        {"category": f"HARM_CATEGORY_{each}", "probability": "NEGLIGIBLE"} for each in CATEGORIES
    ]
    if blocked:
        ratings[-1] |= {"probability": "HIGH", "blocked": True}
    return ratings


def _ordered_finish(text: str) -> str:
    return "SAFETY" if asked(text, "safety") else (value(text, "finish") or "").upper()


def _continuation(offset: int) -> str:
    return base64.b64encode(f"simulated:{offset}".encode()).decode()


def _offset(token: str) -> int:
    kind, _, number = decoded(token).decode("utf-8", "replace").partition(":")
    if kind != "simulated" or not number.isdigit():
        raise Refused("Invalid continuation_token.")
    return int(number)
