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
    """`images` are what is to be edited; none = a picture from nothing. A job that `varies` wants the
    one picture once more, only otherwise, and has no prompt. An empty text is a wish that nobody has.
    `sets` is what the parameters in the model's name ask for, which goes before all else; `extras`
    are fields that only some platforms know.
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
    varies: bool = False
    sets: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """`references` are pictures (or films) to begin from. All shapes but `create` work on a film: it is
    the first of the references, where we have it, and `source` is the platform's own name for it, if
    it has made it. A platform needs one of the two.
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


@dataclass(frozen=True, slots=True)
class Character:
    """Somebody out of a film, under the platform's own `id`."""

    id: str
    name: str
    created_at: int


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
