"""What a film is to be, from the four places that say so: the model's name, the request, what stands
behind an alias, and what is usual. They count in this order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.canonical.media import VideoJob
from app.canonical.model import ModelFacts
from app.errors import BadRequest, UnsupportedParameter
from app.platforms import google
from app.platforms.google_images import read_size
from app.upstream.names import unsupported
from app.wire import openai_images

LINES = {"360p": 360, "720p": 720, "1080p": 1080, "4k": 2160}  # the short side
IN_KS = {"1k": "720p", "2k": "1080p"}
HD = "1080p"
NAMED = frozenset(
    {"otherwise", "aspect_ratio", "resolution", "seconds", "hd", "tier", "frames", "shape"}
)
USUAL_RATIO, USUAL_RESOLUTION, USUAL_SECONDS = "16:9", "720p", 8


def wished(job: VideoJob, facts: ModelFacts) -> VideoJob:
    """The job with ratio, resolution, seconds and size as they will be; `sets` says what else the
    name asks for.
    """
    _require_one(job.extras)
    if strange := sorted(job.sets.keys() - NAMED):
        raise unsupported(strange[0])
    google.seed(job.extras)
    otherwise: Mapping[str, Any] = job.sets.get("otherwise", {})
    sides = _sides(job.size)
    ratio = (
        _of_name("aspect_ratio", job, facts.ratios)
        or _of_body("aspect_ratio", job.aspect_ratio, facts.ratios)
        or _ratio(sides)
        or otherwise.get("aspect_ratio", USUAL_RATIO)
    )
    resolution = (
        _of_name("resolution", job, facts.resolutions)
        or _of_hd(job)
        or _of_body("resolution", _lines(job.resolution), facts.resolutions)
        or _resolution(sides, facts.resolutions)
        or otherwise.get("resolution", USUAL_RESOLUTION)
    )
    return replace(
        job,
        shape=_shape(job),
        aspect_ratio=ratio,
        resolution=resolution,
        seconds=_seconds(job, facts, otherwise.get("seconds", USUAL_SECONDS)),
        size=_size(ratio, resolution),
        sets={name: job.sets[name] for name in ("frames",) if name in job.sets},
    )


def _require_one(extras: Mapping[str, Any]) -> None:
    """C-207: there is no field for how many."""
    if str(extras.get("n") or 1) != "1":
        raise BadRequest(
            "{field} must be 1 here: the platform gives one answer a call", param="n", field="n"
        )


def _shape(job: VideoJob) -> Any:
    """A name may ask for a remix to be an extension, and for nothing else to be one."""
    if not (wanted := job.sets.get("shape")):
        return job.shape
    if job.shape not in ("remix", wanted):
        raise UnsupportedParameter(
            "the model parameter {name} is for remixes only", param="model", name=wanted
        )
    return wanted


def _sides(size: str) -> tuple[int, int] | None:
    if (sides := read_size(size)) and sides[0] == sides[1]:
        raise BadRequest("the platform makes no square films", param="size")
    return sides


def _ratio(sides: tuple[int, int] | None) -> str:
    """C-180: the wider lie, the taller stand."""
    return "" if sides is None else "16:9" if sides[0] > sides[1] else "9:16"


def _resolution(sides: tuple[int, int] | None, offered: tuple[str, ...]) -> str:
    """The smallest that is not less than what is asked for, or else the largest."""
    if sides is None:
        return ""
    names = [name for name in LINES if name in (offered or LINES)]
    return next((name for name in names if LINES[name] >= min(sides)), names[-1])


def _of_hd(job: VideoJob) -> str:
    """Another platform's word for it, in its names and in requests that do not say it closer."""
    if job.sets.get("hd") or (openai_images.flag(job.extras, "hd") and not job.resolution):
        return HD
    return ""


def _lines(resolution: str) -> str:
    small = resolution.lower()
    return IN_KS.get(small, small)


def _of_name(field: str, job: VideoJob, offered: tuple[str, ...]) -> str:
    wanted = str(job.sets.get(field, ""))
    if wanted and offered and wanted not in offered:
        raise UnsupportedParameter(
            "the model {model} cannot do {wanted}", param="model", model=job.model, wanted=wanted
        )
    return wanted


def _of_body(field: str, value: str, offered: tuple[str, ...]) -> str:
    if value in ("", "auto"):
        return ""
    if offered and value not in offered:
        raise BadRequest(
            "{field} must be one of {choices}", param=field, field=field, choices=", ".join(offered)
        )
    return value


def _seconds(job: VideoJob, facts: ModelFacts, usual: int) -> int:
    if wanted := job.sets.get("seconds"):
        if facts.lengths and wanted not in facts.lengths:
            raise UnsupportedParameter(
                "the model {model} cannot do {wanted}",
                param="model",
                model=job.model,
                wanted=f"{wanted}s",
            )
        return int(wanted)
    seconds = job.seconds or usual
    if facts.lengths and seconds not in facts.lengths:
        raise BadRequest(
            "{field} must be one of {choices}",
            param="seconds",
            field="seconds",
            choices=", ".join(map(str, facts.lengths)),
        )
    return seconds


def _size(ratio: str, resolution: str) -> str:
    short = LINES[resolution]
    long = short * 16 // 9
    return f"{long}x{short}" if ratio == "16:9" else f"{short}x{long}"


def flag(extras: Mapping[str, Any], name: str) -> bool | None:
    """A wish that is on or off; None where nobody has it."""
    value = str(extras.get(name, "")).lower()
    return None if value == "" else not re.fullmatch(r"false|0|no|off", value)
