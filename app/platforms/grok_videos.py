"""Films at xAI: a request is taken at once, and asked after until there is a link, which is good for
hours. The link leads to a host of xAI's own and needs no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.canonical.endings import FORBIDDEN, GIVEN_UP
from app.canonical.media import Progress, VideoJob
from app.errors import BadReply, BadRequest, RequestRefused, WrongModel
from app.platforms.grok_images import BLOCKED, as_number, data_url, nearest, read_error
from app.secret import Secret
from app.spool import Base64, Pieces
from app.upstream.media import Errand
from app.upstream.names import unsupported
from app.upstream.platform import Catalogue, Send
from app.upstream.refusals import said_code
from app.upstream.transport import Answer
from app.wire.openai_images import flag

RATIOS = "16:9 9:16 1:1 4:3 3:4 3:2 2:3".split()
RESOLUTIONS = ("480p", "720p", "1080p")
MOST_SECONDS = 15
MOST_REFERENCES = 7
SECONDS_WITH_REFERENCES = 10
ADDED_SECONDS = (2, 10)
USUAL_SECONDS, USUAL_RATIO = 8, "16:9"
NAMED = frozenset({"seconds", "aspect_ratio", "resolution", "hd"})  # what a name may ask for
SIDES = ((540, "480p"), (900, "720p"))  # the short side, up to which it is enough
HEIGHTS = {"480p": 480, "720p": 720, "1080p": 1080}
HOST = ".x.ai"  # where films are fetched from, besides the platform's own address
PATHS = {"create": "generations", "remix": "edits", "edit": "edits", "extend": "extensions"}


class GrokVideos:
    read_error = staticmethod(read_error)

    def __init__(self, follow: Callable[[str, Secret], Send], catalogue: Catalogue) -> None:
        self._follow = follow
        self._catalogue = catalogue

    def fitted(self, job: VideoJob) -> VideoJob:
        facts = self._catalogue.facts(job.model)
        if facts.makes != "video" and any(one.id == job.model for one in self._catalogue.models):
            raise WrongModel(
                "the model {model} does not make films", param="model", model=job.model
            )
        if strange := sorted(job.sets.keys() - NAMED):
            raise unsupported(strange[0])
        if job.shape != "create":
            job = _of_film(job)
        if job.shape == "extend" and job.references:
            seconds = _within(job.seconds or 6, *ADDED_SECONDS)
            return replace(job, seconds=seconds, size="", aspect_ratio="", resolution="")
        if job.shape != "create":
            if not job.references:
                raise BadRequest(
                    "the film is no longer kept here, so nothing can be made of it", param="video"
                )
            return replace(job, seconds=0, size="", aspect_ratio="", resolution="")
        films = [one for one in job.references if not one.media_type.startswith("image/")]
        if films or len(job.references) > MOST_REFERENCES:
            raise BadRequest(
                "{field} must be up to {most} pictures",
                param="input_reference",
                field="input_reference",
                most=MOST_REFERENCES,
            )
        many = len(job.references) > 1
        most = SECONDS_WITH_REFERENCES if many else MOST_SECONDS
        seconds = _within(job.seconds or USUAL_SECONDS, 1, most)
        ratio = job.aspect_ratio or nearest(job.size, RATIOS)
        if ratio and ratio not in RATIOS:
            raise BadRequest(
                "{field} must be one of {allowed}",
                param="aspect_ratio",
                field="aspect_ratio",
                allowed=", ".join(RATIOS),
            )
        resolution = self._resolution(job, many)
        return replace(
            job,
            seconds=seconds,
            aspect_ratio=ratio,
            resolution=resolution,
            size=_size(ratio or USUAL_RATIO, resolution) if ratio or not job.references else "",
        )

    def takes(self, job: VideoJob) -> Set[str]:
        if job.shape != "create":
            return frozenset()
        return frozenset(("hd", "resolution", "generate_audio"))

    def begin(self, errand: Errand, job: VideoJob) -> str:
        url = f"{errand.base_url}/videos/{PATHS[job.shape]}"
        send = self._follow(url, errand.credential.token)
        told = errand.ask("POST", send.url, send.headers, _body(job))
        name = told.get("request_id") if isinstance(told, dict) else None
        if not isinstance(name, str) or not name:
            raise BadReply("the platform sent an answer that makes no sense")
        return name

    def look(self, errand: Errand, name: str) -> Progress:
        send = self._follow(f"{errand.base_url}/videos/{name}", errand.credential.token)
        try:
            answer = errand.open("GET", send.url, send.headers)
        except RequestRefused as error:
            if error.code == BLOCKED:
                return Progress(state="failed", code=BLOCKED, message=str(error))
            if error.status in (404, 410):
                return Progress(state="gone")
            raise
        try:
            raw = answer.read(1 << 20, errand.seconds)
        finally:
            answer.close()
        try:
            told = orjson.loads(raw) if raw.strip() else {}
        except ValueError as error:
            raise BadReply("the platform sent an answer that is not JSON") from error
        return _progress(told if isinstance(told, dict) else {}, answer.status)

    def fetch(self, errand: Errand, result: str) -> Answer:
        """The key stays at home: the link is all it takes."""
        host = urlsplit(result).hostname or ""
        if host != urlsplit(errand.base_url).hostname and not host.endswith(HOST):
            raise BadReply("the platform sent a link that leads elsewhere")
        return errand.open("GET", result, errand.part)

    def cancel(self, errand: Errand, name: str) -> None:
        """There is no way to stop a film at xAI; it is paid for."""

    def _resolution(self, job: VideoJob, many: bool) -> str:
        """What was asked for, as far as the model goes."""
        full = "1080p" in self._catalogue.facts(job.model).resolutions and not many
        if job.sets.get("hd") or (flag(job.extras, "hd") and not job.resolution):
            return "1080p" if full else "720p"
        asked = {"1k": "720p", "2k": "1080p", "360p": "480p"}.get(job.resolution, job.resolution)
        if asked and (asked not in RESOLUTIONS or (asked == "1080p" and not full)):
            allowed = RESOLUTIONS if full else RESOLUTIONS[:2]
            raise BadRequest(
                "{field} must be one of {allowed}",
                param="resolution",
                field="resolution",
                allowed=", ".join(allowed),
            )
        if asked or not job.size:
            return asked
        short = min(map(int, job.size.split("x")))
        fits = next((name for side, name in SIDES if short <= side), "1080p")
        return fits if full or fits != "1080p" else "720p"


def _of_film(job: VideoJob) -> VideoJob:
    """The job with its film alone: there is no room for pictures beside it."""
    if any(one.media_type.startswith("image/") for one in job.references):
        raise BadRequest(
            "the platform cannot do what {field} asks for",
            param="input_reference",
            field="input_reference",
        )
    return replace(job, references=job.references[:1])


def _body(job: VideoJob) -> Pieces:
    fields: dict[str, Any] = {"model": job.model, "prompt": job.prompt}
    if job.shape in ("create", "extend"):
        fields["duration"] = job.seconds
    if job.aspect_ratio:
        fields["aspect_ratio"] = job.aspect_ratio
    if job.resolution:
        fields["resolution"] = job.resolution
    if job.shape == "create" and "generate_audio" in job.extras:
        fields["generate_audio"] = flag(job.extras, "generate_audio")
    head = orjson.dumps(fields)[:-1]
    if not job.references:
        return Pieces(head + b"}")
    if job.shape != "create":
        return Pieces(head + b',"video":', *data_url(job.references[0]), b"}")
    if len(job.references) == 1:
        return Pieces(head + b',"image":', *data_url(job.references[0]), b"}")
    parts: list[bytes | Base64] = [head + b',"reference_images":[']
    for place, image in enumerate(job.references):
        parts += [b"," if place else b"", *data_url(image)]
    return Pieces(*parts, b"]}")


def _progress(told: Mapping[str, Any], status: int) -> Progress:
    film = told.get("video")
    film = film if isinstance(film, dict) else {}
    percent = told.get("progress")
    percent = percent if isinstance(percent, int) else 0
    said = told.get("status")
    if said == "failed":
        error = told.get("error")
        error = error if isinstance(error, dict) else {}
        code, message = said_code(error), str(error.get("message") or "")
        return Progress(state="failed", code=code, message=message)
    if said == "expired":
        return Progress(state="failed", code="expired", message=GIVEN_UP)
    if said == "done" or (film and status == 200 and said != "pending"):
        if film.get("respect_moderation") is False or not film.get("url"):
            return Progress(state="failed", code=BLOCKED, message=FORBIDDEN)
        seconds = film.get("duration")
        return Progress(
            state="done",
            percent=100,
            result=str(film["url"]),
            seconds=round(seconds) if isinstance(seconds, (int, float)) else 0,
        )
    return Progress(state="running" if percent else "queued", percent=percent)


def _within(seconds: int, least: int, most: int) -> int:
    if not least <= seconds <= most:
        raise BadRequest(
            "{field} must be a whole number from {least} to {most}",
            param="seconds",
            field="seconds",
            least=least,
            most=most,
        )
    return seconds


def _size(ratio: str, resolution: str) -> str:
    """What comes of a shape and a resolution, in pixels."""
    short, shape = HEIGHTS[resolution or "480p"], as_number(ratio)
    wide, high = (short * shape, short) if shape >= 1 else (short, short / shape)
    return f"{round(wide / 2) * 2}x{round(high / 2) * 2}"
