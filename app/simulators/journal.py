"""What a simulator was asked, with nothing in it that must stay secret.

An entry is redacted before it is kept, so no reader can forget to do it. Headers that carry a
credential keep their scheme word ("Bearer") and lose the rest; so does `key=` in a query string,
which is how Gemini's clients may identify themselves. Only the last thousand requests are kept.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

KEPT = 1000
DOTS = "........"

CREDENTIAL_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
    }
)
_KEY_IN_QUERY = re.compile(r"(^|&)(key|access_token|api_key)=[^&]*")


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: header names in lower case, the body as parsed JSON or else as text."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


class Journal:
    """The last requests, oldest first. Safe to read from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def note(self, entry: Entry) -> None:
        safe = _redacted(entry)
        with self._lock:
            self._entries.append(safe)

    def entries(self) -> list[Entry]:
        with self._lock:
            return list(self._entries)

    def last(self) -> Entry:
        """The latest request; IndexError when nothing was asked yet."""
        with self._lock:
            return self._entries[-1]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


def _redacted(entry: Entry) -> Entry:
    headers = {
        name.lower(): _dots(value) if name.lower() in CREDENTIAL_HEADERS else value
        for name, value in entry.headers.items()
    }
    query = _KEY_IN_QUERY.sub(rf"\1\2={DOTS}", entry.query)
    return replace(entry, headers=headers, query=query)


def _dots(value: str) -> str:
    scheme, space, _ = value.partition(" ")
    return f"{scheme} {DOTS}" if space and scheme.isalpha() else DOTS
