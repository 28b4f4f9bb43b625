"""Pictures at xAI. Its edits take JSON only, shapes have names instead of sizes, and a picture is a
link that is good for hours: so it is always asked for as base64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from typing import Any

import orjson

from app.canonical.events import Trouble
from app.canonical.media import File, ImageJob, Partial, Picture, Pictures
from app.errors import BadReply, BadRequest, RequestRefused, WrongModel
from app.platforms import grok_wire
from app.platforms.drawn import format_of, size_of
from app.platforms.openai_images import picture_file
from app.secret import Secret
from app.spool import Base64, Pieces
from app.upstream.media import Errand
from app.upstream.platform import Catalogue, Send

RATIOS = "1:1 3:4 4:3 9:16 16:9 2:3 3:2 9:19.5 19.5:9 9:20 20:9 1:2 2:1".split()
OLD_HD = {"1792x1024": "16:9", "1024x1792": "9:16"}  # of these sizes nobody means two kilopixels
LARGE_SIDE = 1536
MOST_IMAGES = 3
MADE, FOREIGN = "jpeg", "webp"  # what it makes, and what nobody takes for it
MODERATED = ("imagine:content-moderated", "content-moderated")
BLOCKED = "moderation_blocked"
USUAL_QUALITY = ("medium",)


def read_error(status: int, body: Any) -> Trouble:
    """xAI's error; a refusal for what a picture shows under the code that OpenAI has for it."""
    trouble = grok_wire.read_error(status, body)
    if trouble.code in MODERATED or (status == 400 and "moderation" in trouble.message.lower()):
        return replace(trouble, code=BLOCKED, final=True)
    return trouble


class GrokImages:
    read_error = staticmethod(read_error)
    varies_with = ""

    def __init__(self, follow: Callable[[str, Secret], Send], catalogue: Catalogue) -> None:
        self._follow = follow
        self._catalogue = catalogue

    def fitted(self, job: ImageJob) -> ImageJob:
        facts = self._catalogue.facts(job.model)
        if facts.makes != "image" and any(one.id == job.model for one in self._catalogue.models):
            raise WrongModel(
                "the model {model} does not make pictures", param="model", model=job.model
            )
        if job.mask is not None:
            raise _cannot("mask")
        if job.background == "transparent":
            raise _cannot("background")
        if job.output_format == FOREIGN:
            raise _cannot("output_format")
        if job.output_compression not in (None, 100):
            raise _cannot("output_compression")
        if len(job.images) > MOST_IMAGES:
            raise BadRequest(
                "{field} has more than {most} entries",
                param="image",
                field="image",
                most=MOST_IMAGES,
            )
        ratio = job.aspect_ratio
        if ratio and ratio not in RATIOS:
            raise BadRequest(
                "{field} must be one of {allowed}",
                param="aspect_ratio",
                field="aspect_ratio",
                allowed=", ".join(RATIOS),
            )
        if job.resolution == "4K":
            raise BadRequest(
                "{field} must be one of {allowed}",
                param="resolution",
                field="resolution",
                allowed="1K, 2K",
            )
        large = job.size and max(map(int, job.size.split("x"))) > LARGE_SIDE
        resolution = job.resolution or ("2K" if large and job.size not in OLD_HD else "")
        ratio = ratio or nearest(job.size, RATIOS)
        if len(job.images) == 1:
            ratio = ""  # one picture keeps its own shape
        return replace(job, aspect_ratio=ratio, size="", resolution=resolution)

    def takes(self, job: ImageJob) -> Set[str]:
        known = {"resolution", "user", "background", "output_compression"}
        if job.output_format == MADE:
            known.add("output_format")
        if job.quality in (self._catalogue.facts(job.model).efforts or USUAL_QUALITY):
            known.add("quality")
        return known

    def make(self, errand: Errand, job: ImageJob) -> Pictures:
        path = "images/edits" if job.images else "images/generations"
        send = self._follow(f"{errand.base_url}/{path}", errand.credential.token)
        quality = self._quality(job)
        told = errand.ask("POST", send.url, send.headers, _body(job, quality))
        return replace(_pictures(told, errand), quality=quality)

    def stream(self, errand: Errand, job: ImageJob) -> Iterator[Partial | Pictures]:
        """It shows nothing on the way."""
        yield self.make(errand, job)

    def _quality(self, job: ImageJob) -> str:
        """Only the newest model has a choice, of two."""
        if not self._catalogue.facts(job.model).efforts:
            return ""
        return {"low": "low", "medium": "medium", "high": "medium"}.get(job.quality, "")


def _body(job: ImageJob, quality: str) -> Pieces:
    fields: dict[str, Any] = {
        "model": job.model,
        "prompt": job.prompt,
        "n": job.count,
        "response_format": "b64_json",
    }
    if job.aspect_ratio:
        fields["aspect_ratio"] = job.aspect_ratio
    if job.resolution:
        fields["resolution"] = job.resolution.lower()
    if quality:
        fields["quality"] = quality
    if isinstance(job.extras.get("user"), str):
        fields["user"] = job.extras["user"]
    head = orjson.dumps(fields)[:-1]
    if not job.images:
        return Pieces(head + b"}")
    if len(job.images) == 1:
        return Pieces(head + b',"image":', *data_url(job.images[0]), b"}")
    parts: list[bytes | Base64] = [head + b',"images":[']
    for place, image in enumerate(job.images):
        parts += [b"," if place else b"", *data_url(image)]
    return Pieces(*parts, b"]}")


def data_url(file: File) -> tuple[bytes, Base64, bytes]:
    """A file as an object with a data URL in it."""
    return b'{"url":"data:' + file.media_type.encode() + b";base64,", Base64(file.path), b'"}'


def _pictures(told: Any, errand: Errand) -> Pictures:
    try:
        shown = [one for one in told["data"] if one.get("respect_moderation") is not False]
        if told["data"] and not shown:
            raise RequestRefused(
                "the platform does not show what it made: it breaks the platform's rules",
                code=BLOCKED,
            )
        made = tuple(
            Picture(picture_file(one["b64_json"], errand.spool), one.get("revised_prompt") or "")
            for one in shown
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that makes no sense") from error
    return Pictures(
        pictures=made,
        size=size_of(made),
        background="opaque" if made else "",  # xAI knows no other
        output_format=format_of(made),
    )


def nearest(size: str, ratios: list[str] | tuple[str, ...]) -> str:
    """The shape that comes closest to a size; nothing where there is none."""
    if not size:
        return ""
    if size in OLD_HD:
        return OLD_HD[size]
    wide, high = map(int, size.split("x"))
    return min(ratios, key=lambda ratio: abs(math.log(wide / high) - math.log(as_number(ratio))))


def as_number(ratio: str) -> float:
    wide, _, high = ratio.partition(":")
    return float(wide) / float(high)


def _cannot(field: str) -> BadRequest:
    return BadRequest(
        "the platform's documented API has nothing that {field} could mean",
        param=field,
        field=field,
    )
