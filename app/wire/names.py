"""Names that stand twice in one JSON object.

We would read the last of them, a platform perhaps the first: a licence for one model could buy
another. So bytes that are passed on as they came must not say a name twice at the top; what is
encoded anew cannot.
"""

from __future__ import annotations

import re

import orjson

_TOKENS = re.compile(rb'(?P<name>"(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}\[\]]')
_LETTER_ESCAPED = re.compile(rb"\\u00(?:6[1-9a-f]|7[0-9a])", re.IGNORECASE)


def given_twice(raw: bytes) -> str:
    """The first name given twice at the top of valid JSON; empty where there is none.

    Looks closely only where the name that routes a call shows up more than once, or might be hidden
    by an escape.
    """
    if raw.count(b'"model"') < 2 and not _LETTER_ESCAPED.search(raw):
        return ""
    depth, names = 0, set()
    for token in _TOKENS.finditer(raw):
        text = token[0]
        if text in b"{[":
            depth += 1
        elif text in b"}]":
            depth -= 1
        elif depth == 1 and token["name"] is not None:
            name = orjson.loads(token["name"])
            if name in names:
                return str(name)
            names.add(name)
    return ""
