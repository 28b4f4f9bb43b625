"""Listening to chunks of Google's that pass byte for byte.

Usage is a running total in every chunk, so only the last one is ever parsed, and only when somebody
asks; before that, a search for a few names in the bytes tells which chunks matter. A quotation mark
in what the model says is escaped, so a name in quotation marks is a name.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from app.canonical.events import Trouble, Usage
from app.wire.gemini_stream import read_error, read_usage
from app.wire.json_array import Elements
from app.wire.sse import Frames

_SPEAKS = re.compile(rb'"text"\s*:\s*"[^"]|"(?:functionCall|inlineData|executableCode)"')
_ENDS = re.compile(rb'"(?:finishReason|blockReason|error)"')
_USAGE = b'"usageMetadata"'


class ChunkTap:
    """Listens to chunks framed as events."""

    def __init__(self, frames: Frames | Elements | None = None) -> None:
        self.done = self.spoke = False
        self.trouble: Trouble | None = None
        self._frames = frames or Frames()
        self._ended = False  # there was a finish reason
        self._counted: Usage | None = None
        self._last = b""  # the last chunk with usage, as long as nobody has looked at it

    @property
    def usage(self) -> Usage | None:
        """The totals so far; the last ones that make sense."""
        if self._last:
            chunk, self._last = _parsed(self._last), b""
            self._count(chunk)
        return self._counted

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._counted, self._last = usage, b""

    def feed(self, data: bytes) -> None:
        for _, payload in self._frames.feed(data):
            self._hear(payload)
        if self._ended and self._is_closed():
            self.done = True

    def _is_closed(self) -> bool:
        return True

    def _hear(self, payload: bytes) -> None:
        if not self.spoke and _SPEAKS.search(payload):
            self.spoke = True
        if _ENDS.search(payload):
            self._look(_parsed(payload))
        elif _USAGE in payload:
            self._last = payload

    def _look(self, chunk: dict[str, Any]) -> None:
        if chunk.get("error"):
            self.done, self.trouble = True, read_error(0, chunk)
        if "usageMetadata" in chunk:
            self._count(chunk)
        feedback, candidates = chunk.get("promptFeedback"), chunk.get("candidates")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._ended = True
        for one in candidates if isinstance(candidates, list) else ():
            if isinstance(one, dict) and one.get("finishReason"):
                self._ended = True

    def _count(self, chunk: dict[str, Any]) -> None:
        self.usage = read_usage(chunk.get("usageMetadata")) or self.usage


class ArrayTap(ChunkTap):
    """Listens to chunks framed as one JSON array, which is not complete without its last
    bracket.
    """

    def __init__(self) -> None:
        self._elements = Elements()
        super().__init__(self._elements)

    @property
    def unfinished(self) -> int:
        return self._elements.unfinished

    def _is_closed(self) -> bool:
        return self._elements.closed


def _parsed(payload: bytes) -> dict[str, Any]:
    """The chunk, or nothing: it is not ours to judge, the bytes have passed."""
    try:
        chunk = orjson.loads(payload)
    except ValueError:
        return {}
    if isinstance(chunk, list) and chunk:
        chunk = chunk[0]
    return chunk if isinstance(chunk, dict) else {}
