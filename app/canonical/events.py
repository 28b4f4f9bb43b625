"""A stream, as seven kinds of event plus the two ways it can be remarked upon.

`Started`, then blocks (`Opened`, `Delta`..., perhaps `Sealed`, `Closed`), then `Finished`; `Usage`
anywhere after the start. Tool calls may be open side by side; text and thought may not. Values by
convention: they are not frozen because making a frozen one costs three times as much, and there is
one per chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.canonical.parts import Opaque

Kind = Literal["text", "thinking", "refusal", "tool_call", "custom_call", "image", "opaque"]
Reason = Literal["stop", "stop_sequence", "length", "tool_calls", "refused"]


@dataclass(slots=True)
class Started:
    """The platform has begun to answer; its own names for the answer and the model."""

    id: str
    model: str


@dataclass(slots=True)
class Opened:
    """A block begins. For an `image`, `name` is the media type and the deltas are base64; an
    `opaque` block has no deltas, only `opaque`.
    """

    index: int
    kind: Kind
    call_id: str = ""
    name: str = ""
    opaque: Opaque | None = None


@dataclass(slots=True)
class Delta:
    """More of an open block: text, thought, or JSON text of a call's arguments."""

    index: int
    text: str


@dataclass(slots=True)
class Sealed:
    """What must come back verbatim with the block in a later turn."""

    index: int
    opaque: Opaque


@dataclass(slots=True)
class Cited:
    """The text of a block rests on a source."""

    index: int
    url: str
    title: str = ""


@dataclass(slots=True)
class Closed:
    """The block is complete."""

    index: int


@dataclass(slots=True)
class Usage:
    """Totals so far. `input` includes what was read from or written to a cache, `output` includes
    `reasoning`.
    """

    input: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False


@dataclass(slots=True)
class Finished:
    """The platform says that the answer is complete, and why it ends here."""

    reason: Reason
    stop_sequence: str | None = None


@dataclass(slots=True)
class Trouble:
    """An error as the platform words it, before or inside an answer. `status` 0 = it did not say;
    `final` = to ask again would only cost again. `own` is the platform's own object for the error that
    came in a stream, for a caller who is to hear it (C-048).
    """

    message: str
    status: int = 0
    code: str = ""
    type: str = ""
    param: str | None = None
    retry_after: float | None = None
    final: bool = False
    own: Mapping[str, Any] | None = field(default=None, compare=False)  # says the same again


@dataclass(slots=True)
class Failed:
    """The platform broke off with an error of its own."""

    trouble: Trouble


Event = Started | Opened | Delta | Sealed | Cited | Closed | Usage | Finished | Failed
