"""Films as OpenAI's clients ask for them, and as they are told of them: fields in, fields out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.canonical.media import File, Shape, VideoJob
from app.errors import BadRequest
from app.wire.openai_images import aspect_ratio, extras, one_of, prompt, size

RESOLUTIONS = ("360p", "480p", "720p", "1080p", "1k", "2k", "4k")
EXTRAS = ("hd", "seed", "negative_prompt", "generate_audio", "person_generation")
ORIENTATIONS = {"landscape": "16:9", "portrait": "9:16"}
# What the product that our callers know could do, and no documented API can (C-206).
NOWHERE = ("watermark", "private", "style", "storyboard", "characters")
_DEFAULTS: tuple[Any, ...] = (None, False, "", 0, "false", "0", [], {})


def read_job(
    fields: Mapping[str, Any],
    model: str,
    *,
    shape: Shape = "create",
    references: tuple[File, ...] = (),
    source: str = "",
    sets: Mapping[str, Any] = {},
) -> VideoJob:
    """The job that the fields describe. Numbers may be texts, as OpenAI's own seconds are. What the
    model's name says in `sets` goes before what they say (C-146).
    """
    for name, value in fields.items():
        if (name in NOWHERE or name.startswith("character_")) and _said(value) not in _DEFAULTS:
            raise BadRequest(
                "the platform's documented API has nothing that {field} could mean",
                param=name,
                field=name,
            )
    if fields.get("n") not in (None, "", 1, "1"):
        raise BadRequest(
            "{field} must be 1 here: the platform gives one answer a call", param="n", field="n"
        )
    ratio = aspect_ratio(fields)
    if orientation := one_of(fields, "orientation", tuple(ORIENTATIONS)):
        ratio = ratio or ORIENTATIONS[orientation]
    return VideoJob(
        model=model,
        prompt=prompt(fields),
        shape=shape,
        seconds=sets.get("seconds", _seconds(fields)),
        size=size(fields),
        aspect_ratio=sets.get("aspect_ratio", ratio),
        resolution=sets.get("resolution", one_of(fields, "resolution", RESOLUTIONS)),
        references=references,
        source=source,
        sets=sets,
        extras=extras(fields, EXTRAS),
    )


def _said(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value


def _seconds(fields: Mapping[str, Any]) -> int:
    """`seconds`, or `duration` as others call it; 0 where nobody says. How many there may be is the
    model's business.
    """
    name = "seconds" if fields.get("seconds") not in (None, "") else "duration"
    value = fields.get(name)
    if value in (None, ""):
        return 0
    text = str(value).strip().lower().removesuffix("s").removesuffix(".0")
    is_number = not isinstance(value, bool) and text.isdecimal() and len(text) < 9
    if not is_number:
        raise BadRequest("{field} must be a whole number", param=name, field=name)
    if not int(text):
        raise BadRequest("{field} must be at least {least}", param=name, field=name, least=1)
    return int(text)


def write_video(
    *,
    id: str,
    model: str,
    status: str,
    progress: int,
    created_at: int,
    completed_at: int | None,
    expires_at: int | None,
    prompt: str,
    seconds: int,
    size: str,
    remixed_from: str,
    error: Mapping[str, str] | None,
) -> dict[str, Any]:
    """The object that OpenAI's clients know (C-198)."""
    return {
        "id": id,
        "object": "video",
        "model": model,
        "status": status,
        "progress": progress,
        "created_at": created_at,
        "completed_at": completed_at,
        "expires_at": expires_at,
        "prompt": prompt,
        "seconds": str(seconds) if seconds else "",
        "size": size,
        "remixed_from_video_id": remixed_from or None,
        "error": dict(error) if error else None,
    }
