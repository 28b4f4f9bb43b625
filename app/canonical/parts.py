"""What a turn is made of.

A part that one dialect alone understands, or the fields that one dialect alone has on a common part
(a signature, a cache mark), is an `Opaque`. It goes back verbatim to the dialect that wrote it.
To survive a trip through a caller who speaks another dialect, it travels in an envelope: `carry`
makes it one line of text which fits wherever that dialect keeps a signature, `uncarry` opens it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import orjson

ENVELOPE = "tokens1."


@dataclass(frozen=True, slots=True)
class Opaque:
    """A JSON value that only `dialect` understands."""

    dialect: str
    value: Any


@dataclass(frozen=True, slots=True)
class Inline:
    """Bytes in the request itself, kept as the base64 text they came in."""

    media_type: str
    base64: str


@dataclass(frozen=True, slots=True)
class Link:
    """An http(s) address the caller gave. Nobody but the guarded fetcher or the platform may open
    it. `place` is the field of the caller's that it came in.
    """

    url: str
    media_type: str = ""
    place: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Stored:
    """A file the caller has uploaded to the platform that speaks `dialect`."""

    dialect: str
    file_id: str


Source = Inline | Link | Stored


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """A thought; `opaque` is the signature or the encrypted form that must come back with it."""

    text: str
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's own words for why it does not answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    source: Source
    detail: str = ""
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class Document:
    source: Source
    name: str = ""
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    source: Source
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class Video:
    source: Source
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is JSON text as the model wrote it; a `custom` call takes free text instead."""

    call_id: str
    name: str
    arguments: str
    custom: bool = False
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`name` is known where the dialect says it; others look it up by `call_id`."""

    call_id: str
    content: tuple[Text | Image | Document | Audio | Video | Opaque, ...]
    is_error: bool = False
    name: str = ""
    custom: bool = False
    opaque: Opaque | None = None


Part = Text | Thinking | Refusal | Image | Document | Audio | Video | ToolCall | ToolResult | Opaque


def carry(opaque: Opaque) -> str:
    """One line of text that `uncarry` turns back into the same value."""
    packed = orjson.dumps({"d": opaque.dialect, "v": opaque.value})
    return ENVELOPE + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def uncarry(text: str) -> Opaque | None:
    """What `carry` packed, or nothing where the text is not an envelope of ours."""
    if not text.startswith(ENVELOPE):
        return None
    packed = text.removeprefix(ENVELOPE)
    try:
        value = orjson.loads(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        return Opaque(value["d"], value["v"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
