"""A streamed JSON array as bytes: whole elements out of arbitrary pieces.

Looks only at quotes and brackets, and at none of them twice: where the last piece ended inside a
string of megabytes, the next one is looked through from its own beginning. An object that comes
without an array around it counts as an element.
"""

from __future__ import annotations

import re

from app.errors import BadReply
from app.wire.sse import MOST_BYTES, Frame

# A whole string is one match; a quote alone begins a string whose end has not come yet.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)


class Elements:
    """Feed it what arrived, get the elements that are complete, in the shape that `Frames` gives
    its events.
    """

    __slots__ = ("closed", "_rest", "_most", "_at", "_start", "_depth", "_quoted")

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.closed = False  # the bracket that ends the array has come
        self._rest = bytearray()
        self._most = most_bytes
        self._at = 0  # everything before has been looked at
        self._start = -1  # where the element begins that is not complete
        self._depth = 0
        self._quoted = False  # what comes next is the inside of a string

    def feed(self, data: bytes) -> list[Frame]:
        """Every element that `data` completes."""
        self._rest += data
        found: list[Frame] = []
        if not self._quoted or self._leave_string():
            self._look(found)
        self._forget()
        return found

    def finish(self) -> list[Frame]:
        """Nothing: an element without its end is none."""
        return []

    @property
    def unfinished(self) -> int:
        """How many bytes of an element have come that is not complete."""
        return len(self._rest) - self._start if self._start >= 0 else 0

    def _leave_string(self) -> bool:
        """Whether the string that was cut ends in what we have."""
        rest = self._rest
        while (place := rest.find(b'"', self._at)) >= 0:
            self._at = place + 1
            if not _is_escaped(rest, place):
                self._quoted = False
                return True
        self._at = len(rest)
        return False

    def _look(self, found: list[Frame]) -> None:
        for token in _TOKEN.finditer(self._rest, self._at):
            first = token[0][:1]
            if first == b'"':
                if len(token[0]) == 1:
                    self._quoted = True
                    break
            elif first in b"{[":
                self._deeper(first, token.start())
            elif self._depth:
                self._depth -= 1
                if not self._depth:
                    found.append((b"", bytes(self._rest[self._start : token.end()])))
                    self._start = -1
            elif first == b"]":
                self.closed = True
        self._at = len(self._rest)

    def _deeper(self, bracket: bytes, place: int) -> None:
        if not self._depth:
            if bracket == b"[":
                return  # the array itself
            self._start = place
        self._depth += 1

    def _forget(self) -> None:
        """Lets go of what has been given out."""
        used = self._at if self._start < 0 else self._start
        if self._quoted and self._start < 0:
            used = 0  # a string where only objects belong; it will never become an element
        if used:
            del self._rest[:used]
            self._at -= used
            self._start = -1 if self._start < 0 else 0
        if len(self._rest) > self._most:
            raise BadReply(
                "the platform sent an event of more than {limit} bytes", limit=self._most
            )


def _is_escaped(text: bytearray, place: int) -> bool:
    """Whether an odd number of backslashes stands before."""
    before = place
    while before and text[before - 1] == 0x5C:
        before -= 1
    return (place - before) % 2 == 1
