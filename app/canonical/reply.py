"""A whole answer, and its two-way road to a stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.canonical.events import (
    Cited,
    Closed,
    Delta,
    Event,
    Failed,
    Finished,
    Kind,
    Opened,
    Reason,
    Sealed,
    Started,
    Usage,
)
from app.canonical.parts import Image, Inline, Opaque, Part, Refusal, Text, Thinking, ToolCall


@dataclass(frozen=True, slots=True)
class Citation:
    url: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class ChatReply:
    """`id` and `model` are the platform's own; what the caller is told is decided by the writer."""

    id: str
    model: str
    parts: tuple[Part, ...]
    usage: Usage | None
    reason: Reason
    stop_sequence: str | None = None
    citations: tuple[Citation, ...] = ()


@dataclass(slots=True)
class _Block:
    opened: Opened
    pieces: list[str] = field(default_factory=list)
    opaque: Opaque | None = None

    def part(self) -> Part:
        text, opaque = "".join(self.pieces), self.opaque or self.opened.opaque
        match self.opened.kind:
            case "thinking":
                return Thinking(text, opaque)
            case "refusal":
                return Refusal(text)
            case "tool_call" | "custom_call" as kind:
                return ToolCall(
                    self.opened.call_id, self.opened.name, text, kind == "custom_call", opaque
                )
            case "image":
                return Image(Inline(self.opened.name, text), opaque=opaque)
            case "opaque":
                assert opaque is not None
                return opaque
            case _:
                return Text(text, opaque)


def fold(events: Iterable[Event]) -> ChatReply:
    """The whole answer that a stream of events tells. The events must be in order."""
    blocks: dict[int, _Block] = {}
    started, finished = Started("", ""), Finished("stop")
    usage: Usage | None = None
    citations: dict[Citation, None] = {}
    for event in events:
        match event:
            case Delta(index, text):
                blocks[index].pieces.append(text)
            case Opened():
                blocks[event.index] = _Block(event)
            case Sealed(index, opaque):
                blocks[index].opaque = opaque
            case Cited(_, url, title):
                citations[Citation(url, title)] = None
            case Started():
                started = event
            case Usage():
                usage = event
            case Finished():
                finished = event
            case Closed() | Failed():
                pass
    parts = tuple(block.part() for block in blocks.values())
    return ChatReply(
        started.id,
        started.model,
        parts,
        usage,
        finished.reason,
        finished.stop_sequence,
        tuple(citations),
    )


def unfold(reply: ChatReply) -> list[Event]:
    """The stream that tells the same as `reply`: one delta a block."""
    events: list[Event] = [Started(reply.id, reply.model)]
    for index, part in enumerate(reply.parts):
        opened, text, opaque = _opening(index, part)
        events.append(opened)
        if text:
            events.append(Delta(index, text))
        if opaque is not None and opened.opaque is None:
            events.append(Sealed(index, opaque))
        if opened.kind == "text" and index == _last_text(reply):
            events.extend(Cited(index, one.url, one.title) for one in reply.citations)
        events.append(Closed(index))
    if reply.usage is not None:
        events.append(reply.usage)
    events.append(Finished(reply.reason, reply.stop_sequence))
    return events


def _last_text(reply: ChatReply) -> int:
    return max((i for i, part in enumerate(reply.parts) if isinstance(part, Text)), default=-1)


def _opening(index: int, part: Part) -> tuple[Opened, str, Opaque | None]:
    match part:
        case Text(text, opaque):
            return Opened(index, "text", opaque=opaque), text, opaque
        case Thinking(text, opaque):
            return Opened(index, "thinking"), text, opaque
        case Refusal(text):
            return Opened(index, "refusal"), text, None
        case ToolCall(call_id, name, arguments, custom, opaque):
            kind: Kind = "custom_call" if custom else "tool_call"
            return Opened(index, kind, call_id, name, opaque), arguments, opaque
        case Image(Inline(media_type, data), _, opaque):
            return Opened(index, "image", name=media_type), data, opaque
        case Opaque():
            return Opened(index, "opaque", opaque=part), "", part
        case _:
            raise ValueError(f"a reply cannot hold {type(part).__name__}")
