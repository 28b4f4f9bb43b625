"""What a dialect is: a module that reads and writes one public protocol, in both directions.

Streams are machines that are fed, not generators that are pulled: `feed` takes what one read
brought and gives all the events in it, `write` takes a list of events and gives one piece of bytes.
So one read of the upstream becomes one send to the caller, however many chunks it held, and a
heartbeat may go out between any two. Ids and times come in as arguments; nothing here asks a clock
or a dice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.canonical.events import Event, Trouble, Usage
from app.canonical.model import ModelFacts
from app.canonical.reply import ChatReply
from app.canonical.request import ChatRequest

Json = dict[str, Any]
ReasoningPlace = Literal["field", "inline", "none"]


@dataclass(frozen=True, slots=True)
class Telling:
    """How the answer is to be told. `id` is unique and has no prefix; each dialect puts its own in
    front.

    `model` is the name the caller asked for. `usage` says whether the caller wants usage in a chat
    stream. `asked` are the fields of the request, for a dialect whose answer repeats them; without what was said.
    """

    id: str
    model: str
    created: int
    reasoning: ReasoningPlace = "field"
    usage: bool = False
    asked: Mapping[str, Any] = field(default_factory=dict)


class StreamReader(Protocol):
    """Upstream bytes to events."""

    done: bool  # the platform has said that the answer is complete (or has failed)

    def feed(self, data: bytes) -> list[Event]: ...

    def finish(self) -> list[Event]:
        """What is left when the transfer has ended. Raises `BrokenTransfer` if the answer is not
        complete.
        """


class StreamWriter(Protocol):
    """Events to caller bytes."""

    def write(self, events: list[Event]) -> bytes: ...

    def open(self) -> bytes:
        """What may be sent as soon as the platform has accepted, before it has said anything. May
        be empty. `Started` then adds nothing that was already sent.
        """

    def beat(self) -> bytes:
        """A sign of life that no client stumbles over."""

    def fail(self, trouble: Trouble) -> bytes:
        """The error event, without what ends a stream in this dialect (`STREAM_END`)."""


class Tap(Protocol):
    """Listens to a stream that passes untouched."""

    done: bool
    spoke: bool  # content, thought or a call has gone by
    usage: Usage | None
    trouble: Trouble | None

    def feed(self, data: bytes) -> None: ...


class ElementTap(Tap, Protocol):
    """Listens to an array of JSON objects."""

    @property
    def unfinished(self) -> int:
        """How many of the last bytes belong to an object that is not complete."""


class Dialect(Protocol):
    """The ten functions, and some facts. A module is one by having them."""

    NAME: str
    INLINES: frozenset[str]  # kinds of part ("image", ...) whose links this upstream cannot open
    STREAM_TYPE: str  # media type of a stream
    STREAM_END: (
        bytes  # said after the last event, also after an error; never after a broken transfer
    )
    STOP_FIELD: str  # what the upstream calls stop sequences; empty = it has none
    MOST_STOPS: int  # how many it takes

    def read_request(self, body: Mapping[str, Any]) -> ChatRequest: ...

    def write_request(self, request: ChatRequest, facts: ModelFacts) -> Json: ...

    def read_reply(self, body: Mapping[str, Any]) -> ChatReply: ...

    def write_reply(self, reply: ChatReply, telling: Telling) -> Json: ...

    def read_stream(self) -> StreamReader: ...

    def write_stream(self, telling: Telling) -> StreamWriter: ...

    def read_error(self, status: int, body: Any) -> Trouble:
        """`body` is parsed JSON, or None where it was not JSON."""

    def write_error(self, trouble: Trouble) -> Json: ...

    def tap(self) -> Tap: ...

    def find_usage(self, body: Mapping[str, Any]) -> Usage | None:
        """Usage of a whole answer that is passed on untouched."""


class Spoken(Dialect, Protocol):
    """A dialect that callers speak, and not only a platform."""

    def output_limit(self, body: Mapping[str, Any]) -> int | None:
        """How many tokens the answer may have; None where the request does not say."""

    def answers(self, body: Mapping[str, Any]) -> int:
        """How many answers are asked for at once."""

    def with_output_limit(self, body: Mapping[str, Any], most: int) -> Json:
        """The request, for an answer of so many tokens or less, also where it did not say."""
