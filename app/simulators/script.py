"""What a simulated model says: neutral facts in, neutral items out, the same ones every time.

A token is one piece: what `pieces` cuts a text into is what the streams send, what `max_tokens`
counts and what the usage reports, so a limit of five cuts after five deltas. Thoughts are spent
before the answer, as with real models: a small limit may leave no text at all. Input is counted
by length, a token for four bytes.

The prompt may steer the model by directive (see `directives`): `say TEXT`, `words=N`, `cached`,
`call NAME {...}`. Without one, a tool is called when the prompt names it; with `say` or `call` only
what was ordered happens, since programs put the names of their tools around every prompt.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.simulators.directives import Directive, directives
from app.simulators.sample import sample

BYTES_PER_TOKEN = 4
LONGEST_PIECE = 16
ARGUMENTS_PIECE = 7
QUOTED = 400
MOST_WORDS = 100_000

_PIECE = re.compile(rf"\s*\S{{1,{LONGEST_PIECE}}}|\s+$")
_WORD = re.compile(r"[^\W_]{3,}")


@dataclass(frozen=True, slots=True)
class Ask:
    """What the caller wants. `forced` is "" when any tool must be called, None when none must."""

    text: str
    turns: int = 1
    tools: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    forced: str | None = None
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    reasoning: bool = False
    attachments: tuple[str, ...] = ()
    tool_results: tuple[str, ...] = ()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    model: str = ""
    bulk: int = 0  # bytes of the whole request, from which the input is counted


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says. `finish` is stop, length, tool_calls or stop_sequence.

    `completion_tokens` includes `reasoning_tokens`; `prompt_tokens` includes `cached_tokens`.
    """

    thought: str
    text: str
    calls: tuple[tuple[str, str], ...]
    finish: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    stop_sequence: str | None


def say(ask: Ask) -> Said:
    """The model's turn."""
    orders = directives(ask.text)
    calls = _calls(ask, orders)
    text = "" if calls else _text(ask, orders)
    text, stop = _stopped(text, ask.stop)
    finish = "tool_calls" if calls else "stop_sequence" if stop is not None else "stop"
    thought = _thought(ask) if ask.reasoning else ""
    room = _Room(ask.max_tokens)
    thought = room.fit(thought)
    reasoning_tokens = room.used
    text = room.fit(text)
    calls = tuple((name, room.fit(arguments)) for name, arguments in calls if room.left)
    prompt = _tokens(ask)
    return Said(
        thought=thought,
        text=text,
        calls=calls,
        finish="length" if room.full else finish,
        prompt_tokens=prompt,
        cached_tokens=prompt // 2 if any("cached" in each.words for each in orders) else 0,
        completion_tokens=room.used,
        reasoning_tokens=reasoning_tokens,
        stop_sequence=None if room.full else stop,
    )


def pieces(text: str) -> list[str]:
    """The text cut into stream deltas. Joined they are the text again, to the last space."""
    return _PIECE.findall(text)


def cuts(arguments: str) -> list[str]:
    """Arguments cut where it hurts: by length alone, also in the middle of an escape."""
    return [
        arguments[at : at + ARGUMENTS_PIECE] for at in range(0, len(arguments), ARGUMENTS_PIECE)
    ]


def count(text: str) -> int:
    """How many input tokens a text is."""
    return math.ceil(len(text.encode("utf-8", "replace")) / BYTES_PER_TOKEN)


class _Room:
    """What is left of `max_tokens`."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self.used = 0
        self.full = False

    @property
    def left(self) -> bool:
        return not self.full

    def fit(self, text: str) -> str:
        cut = pieces(text)
        if self._limit is not None and self.used + len(cut) > self._limit:
            self.full = True
            cut = cut[: max(0, self._limit - self.used)]
        self.used += len(cut)
        return "".join(cut)


def _calls(ask: Ask, orders: Sequence[Directive]) -> tuple[tuple[str, str], ...]:
    if not ask.tools or ask.tool_results:
        return ()
    ordered = dict(each.called for each in orders if each.called and each.called[0] in ask.tools)
    named = list(ordered)
    if not any(each.said is not None or each.called for each in orders):
        named = [name for name in ask.tools if name and name in ask.text]
    if ask.forced:
        named = [ask.forced] if ask.forced in ask.tools else []
    elif ask.forced == "" and not named:
        named = list(ask.tools)[:1]
    if not ask.parallel:
        named = named[:1]
    return tuple((name, _arguments(ask, name, ordered.get(name))) for name in named)


def _arguments(ask: Ask, name: str, ordered: Any) -> str:
    """What was ordered, if it can be the input of a tool at all; else a sample."""
    schema = ask.tools[name] or {}
    if isinstance(ordered, str if schema.get("type") == "string" else dict):
        return json.dumps(ordered, ensure_ascii=False)
    words = [word for word in _words(ask.text) if word not in ask.tools and word not in name]
    return json.dumps(sample(schema, words), ensure_ascii=False)


def _words(text: str) -> list[str]:
    """Words of the prompt worth repeating: the longer ones, capitalised ones first."""
    found = [word for word in _WORD.findall(text) if word.lower() != "simulate"]
    return [*(w for w in found if w[:1].isupper()), *(w for w in found if not w[:1].isupper())]


def _text(ask: Ask, orders: Sequence[Directive]) -> str:
    for each in orders:
        if each.said is not None:
            return each.said
        if "words" in each.settings:
            wanted = max(0, min(int(each.number("words")), MOST_WORDS))
            return " ".join(f"word{number}" for number in range(1, wanted + 1))
    if ask.schema is not None:
        fitting = sample(ask.schema, _words(ask.text)) if ask.schema else {"answer": "sample"}
        return json.dumps(fitting, ensure_ascii=False)
    return _sentence(ask)


def _sentence(ask: Ask) -> str:
    hello = f"This is the offline simulator of {ask.model}."
    if ask.tool_results:
        quoted = "; ".join(f'"{_short(each)}"' for each in ask.tool_results)
        return f"{hello} The tools answered {quoted}."
    said = f'You said "{_short(ask.text)}".' if ask.text.strip() else "You said nothing in words."
    if ask.attachments:
        said += f" I also received {', '.join(ask.attachments)}."
    return f"{hello} {said}"


def _thought(ask: Ask) -> str:
    return f"The caller has sent {ask.turns} message{'s'[: ask.turns != 1]}. I will answer briefly."


def _stopped(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    hits = [(text.find(stop), stop) for stop in stops if stop and stop in text]
    if not hits:
        return text, None
    at, stop = min(hits)
    return text[:at], stop


def _tokens(ask: Ask) -> int:
    heard = max(ask.bulk, len(ask.text.encode("utf-8", "replace")))
    return max(1, math.ceil(heard / BYTES_PER_TOKEN))


def _short(text: str) -> str:
    return text if len(text) <= QUOTED else text[:QUOTED] + "..."
