"""OpenAI's images: one engine for every platform that has them.

Sizes: the second generation takes any whose sides are multiples of 16, within a ratio of three to
one; older ones take three. Everything else is OpenAI's to judge: whoever calls speaks its language.

Variations are passed on for servers that have them. OpenAI's own went with the only model that made
them, and it says so to whoever asks.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any

import orjson

from app.canonical.media import File, ImageJob, Partial, Picture, Pictures
from app.canonical.media_type import HEAD_BYTES, sniff
from app.errors import BadReply, BadRequest, BrokenTransfer, WrongModel
from app.lift import MOST_LEFT, Lifted, Lifter
from app.secret import Secret
from app.spool import Pieces, Spool
from app.upstream.media import Errand
from app.upstream.multipart import form
from app.upstream.platform import Catalogue, Send
from app.upstream.refusals import from_stream
from app.upstream.transport import Answer
from app.wire import openai_chat
from app.wire.sse import Frames

CLASSIC = ("1024x1024", "1536x1024", "1024x1536")
PIXELS = {"1K": 1024 * 1024, "2K": 2048 * 2048, "4K": 3840 * 2160}
LONGEST_SIDE = 3840
MOST_IMAGES = 16
FIELDS = ("size", "quality", "background", "output_format", "output_compression")
EXTRAS = ("moderation", "user")
EDIT_EXTRAS = (*EXTRAS, "input_fidelity")
VARIATION_EXTRAS = ("user",)


class OpenAIImages:
    """`follow` signs; with `shapes` a size says which of the three classic ones is meant, by shape
    (C-180).
    """

    read_error = staticmethod(openai_chat.read_error)
    varies_with = "dall-e-2"

    def __init__(
        self, follow: Callable[[str, Secret], Send], catalogue: Catalogue, *, shapes: bool = False
    ) -> None:
        self._follow = follow
        self._catalogue = catalogue
        self._shapes = shapes

    def fitted(self, job: ImageJob) -> ImageJob:
        facts = self._catalogue.facts(job.model)
        if facts.makes != "image" and any(one.id == job.model for one in self._catalogue.models):
            raise WrongModel(
                "the model {model} does not make pictures", param="model", model=job.model
            )
        if job.varies:
            return job
        if len(job.images) > MOST_IMAGES:
            raise BadRequest(
                "{field} has more than {most} entries",
                param="image",
                field="image",
                most=MOST_IMAGES,
            )
        if job.background == "transparent" and job.output_format == "jpeg":
            raise BadRequest(
                "{field} must be one of {allowed}",
                param="output_format",
                field="output_format",
                allowed="png, webp",
            )
        size = _size(job, free=self._is_free(job.model), shapes=self._shapes)
        return replace(job, size=size, aspect_ratio="", resolution="")

    def takes(self, job: ImageJob) -> Set[str]:
        if job.varies:
            return {"size", *VARIATION_EXTRAS}
        known = {*FIELDS, *(EDIT_EXTRAS if job.images else EXTRAS), "partial_images"}
        return known | {"resolution"} if self._is_free(job.model) else known

    def _is_free(self, model: str) -> bool:
        return self._catalogue.facts(model).free_sizes

    def make(self, errand: Errand, job: ImageJob) -> Pictures:
        body, kind = _body(job, errand.spool, stream=False)
        send = self._follow(_url(errand, job), errand.credential.token)
        return _pictures(errand.ask("POST", send.url, send.headers, body, kind), errand.spool)

    def stream(self, errand: Errand, job: ImageJob) -> Iterator[Partial | Pictures]:
        body, kind = _body(job, errand.spool, stream=True)
        send = self._follow(_url(errand, job), errand.credential.token)
        answer = errand.open("POST", send.url, send.headers, body, kind)
        try:
            yield from _told(answer, errand)
        finally:
            answer.close()


def _url(errand: Errand, job: ImageJob) -> str:
    kind = "variations" if job.varies else "edits" if job.images else "generations"
    return f"{errand.base_url}/images/{kind}"


def _body(job: ImageJob, spool: Spool, *, stream: bool) -> tuple[bytes | Pieces, str]:
    """The body, and what kind it is: a form where there are files to send."""
    if job.varies:
        return form(_variation(job), [("image", image) for image in job.images])
    fields: dict[str, Any] = {"model": job.model, "prompt": job.prompt}
    if job.count > 1:
        fields["n"] = job.count
    for name in FIELDS:
        if (value := getattr(job, name)) not in ("", None):
            fields[name] = value
    known = EDIT_EXTRAS if job.images else EXTRAS  # whatever else there is, is refused there
    fields |= {name: job.extras[name] for name in known if name in job.extras}
    if stream:
        fields |= {"stream": True, "partial_images": job.partial_images}
    if not job.images:
        return orjson.dumps(fields), "application/json"
    many = "image[]" if len(job.images) > 1 else "image"
    files = [(many, image) for image in job.images] + ([("mask", job.mask)] if job.mask else [])
    return form(fields, files)


def _variation(job: ImageJob) -> dict[str, Any]:
    """It would come as a link that is good for an hour, if nobody said otherwise."""
    fields: dict[str, Any] = {"model": job.model, "response_format": "b64_json", "n": job.count}
    if job.size:
        fields["size"] = job.size
    return fields | {name: job.extras[name] for name in VARIATION_EXTRAS if name in job.extras}


def _pictures(told: Any, spool: Spool) -> Pictures:
    try:
        pictures = tuple(
            Picture(picture_file(one["b64_json"], spool), one.get("revised_prompt") or "")
            for one in told["data"]
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise BadReply("the platform sent an answer that makes no sense") from error
    return Pictures(pictures=pictures, usage=_object(told, "usage"), **_about(told))


def _about(told: Mapping[str, Any]) -> dict[str, str]:
    names = ("size", "quality", "background", "output_format")
    return {name: told[name] for name in names if isinstance(told.get(name), str)}


def _object(told: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = told.get(name)
    return value if isinstance(value, dict) else None


def picture_file(held: Any, spool: Spool) -> File:
    """A picture that came as base64, long or short."""
    if isinstance(held, Lifted):
        path = held.path
    else:
        try:
            path = spool.keep(base64.b64decode(held.rpartition(",")[2]))
        except (binascii.Error, ValueError, AttributeError) as error:
            raise BadReply("the platform sent an answer that makes no sense") from error
    with open(path, "rb") as file:
        media_type = sniff(file.read(HEAD_BYTES))
    if media_type is None or not media_type.startswith("image/"):
        raise BadReply("the platform sent something that is not a picture")
    return File(str(path), media_type, path.stat().st_size)


def _told(answer: Answer, errand: Errand) -> Iterator[Partial | Pictures]:
    lifter, frames = Lifter(errand.spool), Frames(MOST_LEFT)
    made: list[Picture] = []
    last: Mapping[str, Any] = {}
    while data := _next(answer, errand.seconds):
        for name, raw in frames.feed(lifter.feed(data)):
            event = lifter.put_back(_event(raw))
            kind = str(event.get("type") or name.decode("ascii", "replace"))
            if kind.endswith(".partial_image"):
                place = event.get("partial_image_index")
                file = picture_file(event.get("b64_json"), errand.spool)
                yield Partial(file, place if isinstance(place, int) else 0)
            elif kind.endswith(".completed"):
                made.append(Picture(picture_file(event.get("b64_json"), errand.spool)))
                last = event
            elif "error" in event:
                raise from_stream(openai_chat.read_error(0, event), model=errand.model)
    if not made:
        raise BrokenTransfer("the platform's answer ended before it was complete")
    yield Pictures(pictures=tuple(made), usage=_object(last, "usage"), **_about(last))


def _next(answer: Answer, seconds: float) -> bytes:
    """What comes next; nothing at the end. The answer itself knows when it has taken too long."""
    while (data := answer.next(seconds)) is None:
        continue
    return data


def _event(raw: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(raw)
    except ValueError as error:
        raise BadReply("the platform sent an event that is not JSON") from error
    if not isinstance(event, dict):
        raise BadReply("the platform sent an event that is not JSON")
    return event


def _size(job: ImageJob, *, free: bool, shapes: bool) -> str:
    """The size that is meant, as the model takes it. What the name says of the shape goes before the
    field of that name (C-146), and that before the size.
    """
    size = _classic(_ratio(job.size.replace("x", ":"))) if shapes and job.size else job.size
    shape = str(job.sets.get("aspect_ratio", "")) or job.aspect_ratio
    ratio = _ratio(shape or size.replace("x", ":"))
    if not shape and not job.resolution and (free or size in CLASSIC):
        return size
    if not ratio and not job.resolution:
        return size
    if not free:
        return _classic(ratio) if ratio else ""
    if ratio and not 1 / 3 <= ratio <= 3:
        raise BadRequest(
            "{field} must be from 1:3 to 3:1", param="aspect_ratio", field="aspect_ratio"
        )
    return _sized(ratio or 1.0, PIXELS[job.resolution or "1K"])


def _ratio(text: str) -> float:
    wide, _, high = text.partition(":")
    return float(wide) / float(high) if high else 0.0


def _classic(ratio: float) -> str:
    return CLASSIC[0] if ratio == 1 else CLASSIC[1] if ratio > 1 else CLASSIC[2]


def _sized(ratio: float, pixels: int) -> str:
    """Sides in steps of 16 with about so many pixels in that shape."""
    wide = min(math.sqrt(pixels * ratio), LONGEST_SIDE, LONGEST_SIDE * ratio)
    sides = [max(round(side / 16) * 16, 16) for side in (wide, wide / ratio)]
    if math.prod(sides) > pixels:
        sides[sides.index(max(sides))] -= 16
    return f"{sides[0]}x{sides[1]}"
