"""Words of ours that were written down in English, told to whoever asks for them later."""

from __future__ import annotations

import re
import string
from functools import cache

from app.web.chinese import CHINESE


def in_chinese(words: str) -> str:
    """The message in Chinese, if it is one of ours; what a platform said stays as it is. A message that
    begins with a fact cannot be told from a platform's.
    """
    for pattern, template in _patterns():
        if found := pattern.fullmatch(words):
            return template.format(**found.groupdict())
    return words


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """The one that says most comes first."""
    ours = sorted((one for one in CHINESE if not one.startswith("{")), key=len, reverse=True)
    return [(re.compile(_pattern(one), re.DOTALL), CHINESE[one]) for one in ours]


def _pattern(template: str) -> str:
    pieces, names = [], set[str]()
    for words, name, _, _ in string.Formatter().parse(template):
        pieces.append(re.escape(words))
        if name:
            pieces.append(f"(?P={name})" if name in names else f"(?P<{name}>.*)")
            names.add(name)
    return "".join(pieces)
