"""The words by which a prompt steers a simulator: `simulate: throttle seconds=3`.

A directive works through any client and any dialect, because it is only text. It starts with
`simulate:` in any case and runs to the end of its line; `say` alone runs to the end of the text,
so that an answer of several lines can be asked for. A text may hold several directives.

`simulate: call NAME {...}` orders a call of that tool, with the JSON behind its name.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_START = re.compile(r"simulate:[ \t]*", re.IGNORECASE)
_SAY = re.compile(r"say[ \t]", re.IGNORECASE)
_CALL = re.compile(r"call[ \t]+(\S+)[ \t]*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Directive:
    """The bare words in order, and the `name=value` settings, all in lower case.

    `called` is the tool that is to be called and its arguments, None where there were none.
    """

    words: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    said: str | None = None
    called: tuple[str, Any] | None = None

    def number(self, name: str, default: float = 0.0) -> float:
        """A setting as a number; the default when it is missing or not finite."""
        try:
            value = float(self.settings[name])
        except (KeyError, ValueError):
            return default
        return value if math.isfinite(value) else default


def directives(text: str) -> list[Directive]:
    """Every directive in the text, in order."""
    found: list[Directive] = []
    position = 0
    while start := _START.search(text, position):
        if said := _SAY.match(text, start.end()):
            return [*found, Directive(("say",), {}, text[said.end() :])]
        if called := _CALL.match(text, start.end()):
            found.append(Directive(("call",), called=(called[1], _json(called[2]))))
            position = called.end()
            continue
        end = text.find("\n", start.end())
        line = text[start.end() : len(text) if end < 0 else end]
        if following := _START.search(line):
            line = line[: following.start()]
        found.append(_read(line))
        position = start.end() + len(line)
    return found


def asked(text: str, word: str) -> bool:
    """Whether a directive of the text names this word, as a word or as a setting."""
    return any(word in each.words or word in each.settings for each in directives(text))


def setting(text: str, name: str, default: float) -> float:
    """The first value any directive of the text gives this setting."""
    for each in directives(text):
        if name in each.settings:
            return each.number(name, default)
    return default


def value(text: str, name: str) -> str | None:
    """What the first directive that names this gives it: "" for the bare word, None if none does."""
    for each in directives(text):
        if name in each.settings or name in each.words:
            return each.settings.get(name, "")
    return None


def _read(line: str) -> Directive:
    tokens = [token.strip(".,;!?\"'`()").lower() for token in line.split()]
    pairs = [token.partition("=") for token in tokens if token]
    words = tuple(name for name, equals, _ in pairs if not equals)
    settings = {name: value for name, equals, value in pairs if equals}
    return Directive(words, settings)


def _json(text: str) -> Any:
    """The JSON at the beginning of the text, None if there is none; what stands behind it, such as
    a client's own quotes, does not count.
    """
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except ValueError:
        return None
