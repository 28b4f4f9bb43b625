"""Stop sequences for upstreams that have none: the text is cut on its way through.

A sequence may be split over two deltas, so as many characters as the longest one has, less one, are
held back until it is clear that they are not its beginning (C-074).
"""

from __future__ import annotations

from app.canonical.events import Closed, Delta, Event, Finished, Kind, Opened


class Cut:
    """Passes events on until a stop sequence shows up in the text; `hit` says that it has."""

    __slots__ = ("hit", "_stops", "_hold", "_held", "_text", "_open")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self.hit = False
        self._stops = stops
        self._hold = max(map(len, stops)) - 1
        self._held = ""
        self._text: int | None = None
        self._open: dict[int, Kind] = {}

    def pass_on(self, events: list[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if self.hit:
                break
            self._one(event, out)
        return out

    def _one(self, event: Event, out: list[Event]) -> None:
        if isinstance(event, Opened):
            self._open[event.index] = event.kind
            self._text = event.index if event.kind == "text" else self._text
            out.append(event)
        elif isinstance(event, Delta) and event.index == self._text:
            self._look(event, out)
        else:
            if isinstance(event, Closed):
                self._release(event, out)
            out.append(event)

    def _look(self, event: Delta, out: list[Event]) -> None:
        text = self._held + event.text
        places = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if not places:
            kept = len(text) - self._hold
            self._held = text[max(kept, 0) :]
            if kept > 0:
                out.append(Delta(event.index, text[:kept]))
            return
        place, stop = min(places)
        if place:
            out.append(Delta(event.index, text[:place]))
        out.extend(Closed(index) for index in self._open)
        out.append(Finished("stop_sequence", stop))
        self.hit = True

    def _release(self, event: Closed, out: list[Event]) -> None:
        self._open.pop(event.index, None)
        if event.index == self._text:
            if self._held:
                out.append(Delta(event.index, self._held))
            self._held, self._text = "", None
