"""A chat as it was asked for, in nobody's dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.canonical.parts import Opaque, Part, Text

Role = Literal["system", "user", "assistant"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One speaker's parts. Tool results are parts of a user turn. A `system` turn here came in
    mid-conversation.
    """

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. Tools that only the platform can run are `hosted`."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    kind: Literal["function", "custom", "hosted"] = "function"
    opaque: Opaque | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`required` with one name forces that tool; names otherwise narrow the choice. `parallel` None
    = not said.
    """

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()
    parallel: bool | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """None means that the caller did not say. Log probabilities are no part of our form: answers
    have no place for them, so nobody is asked for any, and to ask does no harm (C-078).
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()
    logit_bias: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How hard to think, in either of the two currencies; `visible` asks for the thoughts in
    words. `told` False = the caller does not expect any in the answer, not even sealed ones.
    """

    effort: Effort | None = None
    budget: int | None = None  # tokens; -1 leaves it to the model
    visible: bool | None = None
    told: bool = True


@dataclass(frozen=True, slots=True)
class Format:
    """The shape the answer must have: any JSON object, or one that fits `schema`."""

    kind: Literal["json", "schema"]
    name: str = ""
    description: str = ""
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`extras` holds the top-level fields only one dialect understands; it goes back to that
    dialect alone.
    """

    model: str
    turns: tuple[Turn, ...]
    system: tuple[Text, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    sampling: Sampling = field(default_factory=Sampling)
    reasoning: Reasoning = field(default_factory=Reasoning)
    format: Format | None = None
    max_output: int | None = None
    stream: bool = False
    variants: int = 1
    user: str = ""
    cache_key: str = ""
    service_tier: str = ""
    verbosity: str = ""
    extras: Opaque | None = None
