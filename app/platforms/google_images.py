"""Pictures by Google's models that draw: `POST /v1beta/models/{model}:generateContent`.

A call draws one picture, so for several there are several calls. What is to be edited stands before
the words. Shapes are ratios from a list, sizes are `1K`, `2K` and `4K`; neither is exact, nor can a
format be chosen. A refusal is an ordinary answer, and so is one in words alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import gevent
from gevent.pool import Pool

from app.canonical.media import File, ImageJob, Partial, Picture, Pictures
from app.canonical.media_type import HEAD_BYTES, sniff
from app.canonical.model import ModelFacts
from app.errors import (
    BadReply,
    BadRequest,
    ContentRefused,
    GatewayError,
    ModelNotFound,
    NoPicture,
    UnsupportedParameter,
    WrongModel,
    let_go,
)
from app.lift import on_disk
from app.platforms import google
from app.platforms.drawn import format_of, size_of
from app.spool import Base64, Spool, json_pieces
from app.upstream.leash import Leash
from app.upstream.media import Errand, ReadError
from app.wire import gemini_generate

Json = dict[str, Any]
Facts = Callable[[str], ModelFacts]
Shape = Callable[[int, int, tuple[str, ...]], str]

SIDE_BY_SIDE = 4
LARGEST_INPUT = 7 << 20
TAKEN = frozenset("image/png image/jpeg image/webp image/heic image/heif".split())
RESOLUTIONS = ("1K", "2K", "4K")
QUALITIES = (
    dict.fromkeys(("", "auto", "medium", "standard"), "")
    | {"low": "low"}
    | dict.fromkeys(("high", "hd", "xhigh", "max"), "high")
)
LEVELS = {"low": "minimal", "high": "high"}
SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
RATIO = re.compile(r"[1-9]\d?:[1-9]\d?")
HINT = "Answer with a picture."
WORDS = 300  # of what the model says instead, as far as anybody wants to read

BLOCKED = frozenset(
    """SAFETY PROHIBITED_CONTENT BLOCKLIST SPII RECITATION IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT
    IMAGE_RECITATION""".split()
)
UNDRAWN = frozenset(("", "STOP", "NO_IMAGE", "IMAGE_OTHER", "OTHER"))  # where asking again may help


def nearest(width: int, height: int, ratios: tuple[str, ...]) -> str:
    """The ratio that is closest to these sides."""

    def distance(ratio: str) -> float:
        across, down = ratio.split(":")
        return abs(math.log(width / height) - math.log(int(across) / int(down)))

    return min(ratios, key=distance, default="")


class GoogleImages:
    """`facts` tells what is known of a model, and `shape` which ratio a size stands for."""

    read_error: ReadError = staticmethod(gemini_generate.read_error)
    varies_with = ""

    def __init__(self, facts: Facts, shape: Shape = nearest) -> None:
        self._facts = facts
        self._shape = shape

    def fitted(self, job: ImageJob) -> ImageJob:
        facts = self._facts(job.model)
        require_kind(facts, "image")
        _require_possible(job)
        _require_inputs(job, facts)
        quality = _one_of("quality", job.quality, QUALITIES)
        otherwise = job.sets.get("otherwise", {})
        level = job.sets.get("thinking") or LEVELS.get(quality) or otherwise.get("thinking", "")
        return replace(
            job,
            aspect_ratio=self._ratio(job, facts) or otherwise.get("aspect_ratio", ""),
            resolution=_resolution(job, facts, quality) or otherwise.get("resolution", ""),
            sets={"thinking": _level(level, facts)},
        )

    def takes(self, job: ImageJob) -> Set[str]:
        """Of formats the model takes the one it likes, and nothing is opaque but everything."""
        facts = self._facts(job.model)
        known = {"resolution", "background", "output_compression", "seed", "negative_prompt"}
        has_choice = len(facts.efforts) > 1 or len(facts.resolutions) > 1
        return known | {"quality"} if has_choice or job.quality == "medium" else known

    def _ratio(self, job: ImageJob, facts: ModelFacts) -> str:
        if (wanted := job.sets.get("aspect_ratio", "")) and wanted not in (facts.ratios or wanted):
            raise UnsupportedParameter(
                "the model {model} has no shape {shape}",
                param="model",
                model=job.model,
                shape=wanted,
            )
        if wanted:
            return str(wanted)
        if job.aspect_ratio not in ("", "auto"):
            if facts.ratios:
                return _one_of("aspect_ratio", job.aspect_ratio, facts.ratios)
            if not RATIO.fullmatch(job.aspect_ratio):
                raise BadRequest(
                    "{field} must be like 16:9",
                    param="aspect_ratio",
                    field="aspect_ratio",
                )
            return job.aspect_ratio
        size = read_size(job.size)
        return self._shape(*size, facts.ratios) if size else ""

    def make(self, errand: Errand, job: ImageJob) -> Pictures:
        drawn = _side_by_side(errand, job)
        pictures = tuple(picture for one in drawn for picture in one.pictures)[: job.count]
        return Pictures(
            pictures=pictures,
            usage=_sum([one.usage for one in drawn]),
            size=size_of(pictures),
            quality=job.quality if job.quality != "auto" else "",
            background="opaque",
            output_format=format_of(pictures),
        )

    def stream(self, errand: Errand, job: ImageJob) -> Iterator[Partial | Pictures]:
        """Nothing can be seen on its way."""
        yield self.make(errand, job)


# Before anything is asked.


def require_kind(facts: ModelFacts, makes: str) -> None:
    """Raises unless the model makes such a thing. What nobody has described is not there."""
    if facts == ModelFacts(name=facts.name):
        raise ModelNotFound("there is no model {model} here", param="model", model=facts.name[:200])
    if facts.makes != makes:
        raise WrongModel(
            (
                "the model {model} does not make pictures"
                if makes == "image"
                else "the model {model} does not make films"
            ),
            param="model",
            model=facts.name,
        )


def read_size(size: str) -> tuple[int, int] | None:
    """Width and height; None where it is left to the platform."""
    if size in ("", "auto"):
        return None
    if (found := SIZE.fullmatch(size)) is None:
        raise BadRequest("{field} must be like 1024x1024, or auto", param="size", field="size")
    return int(found[1]), int(found[2])


def _require_possible(job: ImageJob) -> None:
    if job.mask is not None:
        raise _cannot("mask")
    if job.background == "transparent":
        raise _cannot("background")
    if job.output_format not in ("", "png", "jpeg", "jpg"):
        raise _cannot("output_format")  # which of these two comes is the model's choice
    if job.output_compression not in (None, 100):
        raise _cannot("output_compression")
    if job.extras.get("person_generation"):
        raise _cannot("person_generation")
    google.seed(job.extras)


def _require_inputs(job: ImageJob, facts: ModelFacts) -> None:
    if facts.most_images and len(job.images) > facts.most_images:
        raise BadRequest(
            "{field} has more than {most} entries",
            param="image",
            field="image",
            most=facts.most_images,
        )
    for image in job.images:
        if image.media_type not in TAKEN:
            raise BadRequest(
                "the platform takes no {media_type} here",
                param="image",
                media_type=image.media_type,
            )
        if image.size > LARGEST_INPUT:
            raise BadRequest(
                "{field} is larger than {most} MB", param="image", field="image", most=7
            )


def _resolution(job: ImageJob, facts: ModelFacts, quality: str) -> str:
    """What the name asks for goes first, then the field of that name, the size, the quality."""
    if wanted := job.sets.get("resolution", ""):
        if facts.resolutions and wanted not in facts.resolutions:
            raise UnsupportedParameter(
                "the model {model} has no resolution {resolution}",
                param="model",
                model=job.model,
                resolution=wanted,
            )
        return str(wanted)
    if asked := job.resolution or str(job.extras.get("image_size") or ""):
        return _one_of("resolution", asked.upper(), facts.resolutions or RESOLUTIONS)
    by_size = ""
    if size := read_size(job.size):
        longest = max(size)
        by_size = "1K" if longest <= 1800 else "2K" if longest <= 3200 else "4K"
    if quality == "high" and by_size in ("", "1K"):
        by_size = "2K"
    elif quality == "low" and not by_size:
        return facts.resolutions[0] if facts.resolutions else ""
    return _at_most(by_size, facts.resolutions)


def _at_most(wanted: str, offered: tuple[str, ...]) -> str:
    """The largest that is offered and no larger."""
    if not wanted or not offered or wanted in offered:
        return wanted
    smaller = [one for one in offered if RESOLUTIONS.index(wanted) >= _rank(one)]
    return smaller[-1] if smaller else offered[0]


def _rank(resolution: str) -> int:
    return RESOLUTIONS.index(resolution) if resolution in RESOLUTIONS else -1


def _level(wanted: str, facts: ModelFacts) -> str:
    """How hard the model is to think, as far as it leaves a choice."""
    if not wanted or len(facts.efforts) < 2:
        return ""
    if wanted in facts.efforts:
        return wanted
    return facts.efforts[0] if wanted == "minimal" else facts.efforts[-1]


def _one_of(field: str, value: str, choices: Mapping[str, str] | tuple[str, ...]) -> str:
    if value not in choices:
        offered = ", ".join(one for one in choices if one)
        raise BadRequest(
            "{field} must be one of {choices}", param=field, field=field, choices=offered
        )
    return choices[value] if isinstance(choices, Mapping) else value


def _cannot(field: str) -> BadRequest:
    return BadRequest("the platform cannot do what {field} asks for", param=field, field=field)


# Asking.


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What one call brought. `words` and `reason` say why there is no picture, if there is none."""

    pictures: tuple[Picture, ...]
    usage: Mapping[str, Any]
    words: str
    reason: str


class _Leashes:
    """Several calls that are ended together."""

    def __init__(self, count: int) -> None:
        self.each = [Leash() for _ in range(count)]

    def shutdown(self, how: int) -> None:
        for leash in self.each:
            leash.pull()


def _side_by_side(errand: Errand, job: ImageJob) -> list[_Drawn]:
    """As many calls as pictures are wanted. What worked counts: it has been paid for."""
    if job.count == 1:
        return [_draw(errand, job)]
    leashes = _Leashes(job.count)
    errand.leash.hold(leashes)
    pool = Pool(SIDE_BY_SIDE)
    try:
        calls = [pool.spawn(_attempt, replace(errand, leash=one), job) for one in leashes.each]
        gevent.joinall(calls)
    finally:
        pool.kill()
        errand.leash.hold(None)
    if errand.leash.pulled:
        raise errand.leash.end()
    results = [call.get() for call in calls]
    drawn = [one for one in results if isinstance(one, _Drawn)]
    if not drawn:
        raise results[0]
    return drawn


def _attempt(errand: Errand, job: ImageJob) -> _Drawn | GatewayError:
    try:
        return _draw(errand, job)
    except GatewayError as error:
        let_go(error)
        return error


def _draw(errand: Errand, job: ImageJob) -> _Drawn:
    """One picture. A model that only talks is asked once more, and told to draw; both answers are
    charged for. Who brought the credential is called for once and no more.
    """
    drawn = _call(errand, job, job.prompt)
    if not drawn.pictures and drawn.reason in UNDRAWN and not errand.verbatim:
        more = _call(errand, job, f"{job.prompt}\n\n{HINT}")
        drawn = replace(more, usage=_sum([drawn.usage, more.usage]) or {})
    if not drawn.pictures:
        raise NoPicture(
            "the platform made no picture: {words}", words=drawn.words[:WORDS] or drawn.reason
        )
    return drawn


def _call(errand: Errand, job: ImageJob, prompt: str) -> _Drawn:
    send = google.GENERATE.address(errand.base_url, errand.credential.token, job.model, "whole")
    answer = errand.ask("POST", send.url, send.headers, json_pieces(_body(job, prompt)))
    try:
        return _read(answer, errand.spool)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadReply("the platform sent an answer that cannot be read") from error


def _body(job: ImageJob, prompt: str) -> Json:
    parts: list[Json] = [
        {"inlineData": {"mimeType": image.media_type, "data": Base64(image.path)}}
        for image in job.images
    ]
    if avoid := job.extras.get("negative_prompt"):
        prompt = f"{prompt}\n\nAvoid: {avoid}"
    image = {"aspectRatio": job.aspect_ratio, "imageSize": job.resolution}
    config: Json = {"responseModalities": ["TEXT", "IMAGE"]}
    if chosen := {name: value for name, value in image.items() if value}:
        config["imageConfig"] = chosen
    if level := job.sets.get("thinking"):
        config["thinkingConfig"] = {"thinkingLevel": level.upper()}
    if (seed := google.seed(job.extras)) is not None:
        config["seed"] = seed
    turn = {"role": "user", "parts": [*parts, {"text": prompt}]}
    return {"contents": [turn], "generationConfig": config}


# The answer.


def _read(answer: Json, spool: Spool) -> _Drawn:
    usage = _usage(answer.get("usageMetadata") or {})
    feedback = answer.get("promptFeedback") or {}
    if reason := feedback.get("blockReason"):
        raise _blocked(reason, feedback.get("blockReasonMessage"))
    if "error" in answer:  # with a status of success
        raise ValueError
    candidates = answer.get("candidates") or [{}]
    candidate = candidates[0]
    parts = (candidate.get("content") or {}).get("parts") or []
    shown = [part for part in parts if not part.get("thought")]  # drafts are thoughts
    words = "".join(part.get("text") or "" for part in shown).strip()
    pictures = tuple(
        Picture(_kept(part["inlineData"], spool), words) for part in shown if "inlineData" in part
    )
    reason = candidate.get("finishReason") or ""
    if not pictures and reason in BLOCKED:
        raise _blocked(reason, candidate.get("finishMessage") or words)
    return _Drawn(pictures, usage, words, reason)


def _blocked(reason: str, words: str | None) -> ContentRefused:
    return ContentRefused(
        "the platform refuses to make this: {words}", words=(words or reason)[:WORDS]
    )


def _kept(blob: Json, spool: Spool) -> File:
    found = on_disk(blob["data"], spool)
    with open(found.path, "rb") as file:
        media_type = sniff(file.read(HEAD_BYTES)) or ""
    if not media_type.startswith("image/"):
        raise ValueError("that is no picture")
    return File(str(found.path), media_type, found.size)


def _usage(counted: Json) -> Json:
    """In OpenAI's words."""
    if not counted:
        return {}
    kinds = {
        one.get("modality"): int(one.get("tokenCount") or 0)
        for one in counted.get("promptTokensDetails") or ()
    }
    taken = int(counted.get("promptTokenCount") or 0)
    given = int(counted.get("candidatesTokenCount") or 0)
    given += int(counted.get("thoughtsTokenCount") or 0)
    images = kinds.get("IMAGE", 0)
    return {
        "input_tokens": taken,
        "input_tokens_details": {"text_tokens": taken - images, "image_tokens": images},
        "output_tokens": given,
        "total_tokens": taken + given,
    }


def _sum(counts: list[Mapping[str, Any]]) -> Json | None:
    total: Json = {}
    for usage in counts:
        for name, value in usage.items():
            if isinstance(value, Mapping):
                total[name] = _sum([total.get(name) or {}, value])
            else:
                total[name] = total.get(name, 0) + value
    return total or None
