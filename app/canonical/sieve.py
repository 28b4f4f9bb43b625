"""What a caller does not want is left out before anybody counts it as said: an answer of thoughts
alone is empty to who hears no thoughts, and another attempt may follow one.

Not every platform can be told to make one call at a time. A call that is left out loses nothing:
the model has the result of the first before it asks again.
"""

from __future__ import annotations

from app.canonical.blocks import CALLS
from app.canonical.events import Cited, Closed, Delta, Event, Opened, Sealed


class Sieve:
    """Passes events on without whole blocks: without thoughts, or without any call but the
    first.
    """

    __slots__ = ("_thoughts", "_one_call", "_called", "_out")

    def __init__(self, *, thoughts: bool, one_call: bool) -> None:
        self._thoughts = thoughts
        self._one_call = one_call
        self._called = False
        self._out: set[int] = set()  # blocks that are left out

    def pass_on(self, events: list[Event]) -> list[Event]:
        return [event for event in events if self._passes(event)]

    def _passes(self, event: Event) -> bool:
        if isinstance(event, Opened):
            if self._is_unwanted(event):
                self._out.add(event.index)
                return False
        elif isinstance(event, (Delta, Sealed, Cited, Closed)):
            return event.index not in self._out
        return True

    def _is_unwanted(self, block: Opened) -> bool:
        if block.kind not in CALLS:
            return block.kind == "thinking" and not self._thoughts
        is_another, self._called = self._called, True
        return is_another and self._one_call
