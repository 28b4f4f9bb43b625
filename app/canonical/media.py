"""Pictures and films as they are asked for, whoever asks whom: values only.

Files are on this machine's disk, never in memory: five pictures of 15 MB are one request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Shape = Literal["create", "remix", "edit", "extend"]


@dataclass(frozen=True, slots=True)
class File:
    """Bytes in a file of ours. What they are was told from themselves."""

    path: str
    media_type: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageJob:
    """`images` are what is to be edited; none = a picture from nothing. An empty text is a wish that
    nobody has. `sets` is what the parameters in the model's name ask for, which goes before all
    else; `extras` are fields that only some platforms know.
    """

    model: str
    prompt: str
    images: tuple[File, ...] = ()
    mask: File | None = None
    count: int = 1
    size: str = ""  # WIDTHxHEIGHT
    aspect_ratio: str = ""  # WIDTH:HEIGHT
    resolution: str = ""  # 1K, 2K, 4K
    quality: str = ""
    background: str = ""
    output_format: str = ""
    output_compression: int | None = None
    partial_images: int = 0
    sets: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """`references` are pictures (or films) to begin from. `source` is the platform's own name for an
    earlier film, which all shapes but `create` work on, unless it is among the references.
    """

    model: str
    prompt: str
    shape: Shape = "create"
    seconds: int = 0
    size: str = ""
    aspect_ratio: str = ""
    resolution: str = ""
    references: tuple[File, ...] = ()
    source: str = ""
    sets: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that was made."""

    file: File
    revised_prompt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What came of an image job. `usage` is in OpenAI's words, as far as the platform counts."""

    pictures: tuple[Picture, ...]
    usage: Mapping[str, Any] | None = None
    size: str = ""
    quality: str = ""
    background: str = ""
    output_format: str = ""


@dataclass(frozen=True, slots=True)
class Partial:
    """A picture on its way: one that will still change."""

    file: File
    place: int


State = Literal["queued", "running", "done", "failed", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a platform says of a job. `result` is where the film is, in words that only its engine
    understands; `gone` = the platform has never heard of the job. `after` is how many seconds to
    wait before asking again, if it says; `seconds` and `size` are those of the film, if it says.
    """

    state: State
    percent: int = 0
    result: str = ""
    code: str = ""
    message: str = ""
    seconds: int = 0
    size: str = ""
    after: float | None = None
    usage: Mapping[str, Any] | None = None
