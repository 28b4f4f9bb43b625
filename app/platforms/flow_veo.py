"""Films by Veo: `POST /v1beta/models/{model}:predictLongRunning`, and the operation that comes of it.

Google has taken Veo off its API for developers in favour of Omni; this is for hosts that still speak
its language. Nothing can be made of an earlier film but more of it, and nothing be called off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from dataclasses import replace
from typing import Any

from app.canonical.media import File, Progress, VideoJob
from app.canonical.model import ModelFacts
from app.errors import BadReply, BadRequest, RequestRefused, Verbatim
from app.lift import on_disk
from app.platforms import google, google_films
from app.platforms.flow_omni import by_name, require_frames, sorted_out
from app.platforms.google_film_wishes import flag, wished
from app.spool import Base64, json_pieces
from app.upstream.media import Errand, ReadError
from app.upstream.transport import Answer

Json = dict[str, Any]

NAME = re.compile(r"models/[\w.-]+/operations/[\w-]+", re.ASCII)
MODEL = re.compile(r"(?P<family>veo-[\d.]+)(?:-fast|-lite)?(?P<edition>-generate.*)")
POLL_SECONDS = 10.0
EXPECTED_SECONDS = 90.0
MOST_REFERENCES = 3
LONG = 8  # seconds, without which some things cannot be had
PICTURES = frozenset(("image/png", "image/jpeg", "image/webp"))
LARGEST_PICTURE = 20 << 20
PERSON = "person_generation"


class Veo:
    """`facts` tells what is known of a model."""

    read_error: ReadError = staticmethod(google_films.read_error)

    def __init__(self, facts: Callable[[str], ModelFacts]) -> None:
        self._facts = facts

    def fitted(self, job: VideoJob) -> VideoJob:
        """A tier is a model of its own here."""
        if (tier := job.sets.get("tier")) and (found := MODEL.fullmatch(job.model)):
            middle = "" if tier == "quality" else f"-{tier}"
            job = replace(job, model=f"{found['family']}{middle}{found['edition']}")
        job = wished(job, self._facts(job.model))
        if flag(job.extras, "generate_audio") is False:
            raise _cannot("generate_audio")
        job = by_name(job)
        _require_references(job)
        _require_long(job)
        return job

    def takes(self, job: VideoJob) -> Set[str]:
        return frozenset(("hd", "resolution", "generate_audio", "seed", "negative_prompt", PERSON))

    def begin(self, errand: Errand, job: VideoJob) -> str:
        source = self._source(errand, job.source) if job.shape == "extend" else ""
        url, headers = google_films.signed(errand, f"models/{job.model}:predictLongRunning")
        answer = errand.ask("POST", url, headers, json_pieces(_body(job, source)))
        name = answer.get("name") if isinstance(answer, dict) else None
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise BadReply("the platform sent an answer that cannot be read")
        return name

    def look(self, errand: Errand, name: str) -> Progress:
        try:
            answer = self._asked(errand, name)
        except (RequestRefused, Verbatim) as error:
            if google_films.is_unknown(error):
                return Progress(state="gone")
            raise
        try:
            return _progress(errand, name, answer)
        except (KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an answer that cannot be read") from error

    def fetch(self, errand: Errand, result: str) -> Answer:
        if not (name := google_films.job_of(result)):
            return google_films.fetch(errand, result)
        try:
            film = _film(self._asked(errand, name)["response"]) or {}
            return google_films.handed_over(on_disk(google_films.data_of(film), errand.spool))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadReply("the platform sent an answer that cannot be read") from error

    def cancel(self, errand: Errand, name: str) -> None:
        """There is no way to."""

    def _asked(self, errand: Errand, name: str) -> Any:
        if not NAME.fullmatch(name):  # it becomes a part of an address
            raise BadReply("the platform sent an answer that cannot be read")
        return errand.ask("GET", *google_films.signed(errand, name))

    def _source(self, errand: Errand, name: str) -> str:
        """The address of an earlier film, as the vendor told it."""
        try:
            film = _film(self._asked(errand, name)["response"]) or {}
        except (KeyError, TypeError, AttributeError) as error:
            raise BadReply("the platform sent an answer that cannot be read") from error
        if not isinstance(uri := film.get("uri"), str):
            raise RequestRefused(
                "the film is no longer at the platform", status=404, code="video_expired"
            )
        return uri


def _cannot(field: str) -> BadRequest:
    return BadRequest("the platform cannot do what {field} asks for", param=field, field=field)


# What is asked.


def _require_references(job: VideoJob) -> None:
    if job.shape in ("remix", "edit") or (job.shape == "extend" and not job.source):
        raise BadRequest(
            "the model {model} cannot do {wanted}",
            param="model",
            model=job.model,
            wanted=job.shape,
        )
    field = "input_reference"
    for one in job.references:
        if one.media_type not in PICTURES:
            raise BadRequest(
                "the platform takes no {media_type} here", param=field, media_type=one.media_type
            )
        if one.size > LARGEST_PICTURE:
            raise BadRequest(
                "{field} is larger than {most} MB",
                param=field,
                field=field,
                most=LARGEST_PICTURE >> 20,
            )
    most = 0 if job.shape == "extend" else MOST_REFERENCES
    if len(job.references) > most:
        raise BadRequest(
            "{field} has more than {most} entries", param=field, field=field, most=most
        )
    if job.sets.get("frames"):
        require_frames(job, *sorted_out(job.references))


def _require_long(job: VideoJob) -> None:
    """What only films of full length can have; and more of a film is always of the small size."""
    large = job.resolution != "720p"
    if job.shape == "extend" and large:
        raise BadRequest(
            "{field} must be one of {choices}",
            param="resolution",
            field="resolution",
            choices="720p",
        )
    if job.seconds != LONG and (large or job.shape == "extend" or len(job.references) > 1):
        raise BadRequest(
            "{field} must be one of {choices}", param="seconds", field="seconds", choices=str(LONG)
        )


def _body(job: VideoJob, source: str) -> Json:
    instance: Json = {"prompt": job.prompt}
    if source:
        instance["video"] = {"uri": source}
    elif len(job.references) == MOST_REFERENCES:
        instance["referenceImages"] = [
            {"image": _picture(one), "referenceType": "asset"} for one in job.references
        ]
    else:
        instance |= dict(zip(("image", "lastFrame"), map(_picture, job.references), strict=False))
    parameters: Json = {
        "aspectRatio": job.aspect_ratio,
        "resolution": job.resolution,
        "durationSeconds": job.seconds,
    }
    for ours, theirs in (
        ("negative_prompt", "negativePrompt"),
        (PERSON, "personGeneration"),
    ):
        if value := job.extras.get(ours):
            parameters[theirs] = value
    if (seed := google.seed(job.extras)) is not None:
        parameters["seed"] = seed
    return {"instances": [instance], "parameters": parameters}


def _picture(file: File) -> Json:
    return {"bytesBase64Encoded": Base64(file.path), "mimeType": file.media_type}


# What comes of it.


def _progress(errand: Errand, name: str, answer: Json) -> Progress:
    if answer.get("done") is not True:
        begun = (answer.get("metadata") or {}).get("createTime")
        percent = google_films.share(begun, errand.now(), EXPECTED_SECONDS)
        return Progress(state="running", percent=percent, after=POLL_SECONDS)
    if error := answer.get("error"):
        words = str(error.get("message") or "the platform made no film")
        refused = google_films.is_refusal(words)
        code = "moderation_blocked" if refused else "upstream_error"
        return Progress(state="failed", code=code, message=words)
    response = answer.get("response") or {}
    if film := _film(response):
        return google_films.arrived(errand, film, name, None)
    reasons = _told(response).get("raiMediaFilteredReasons") or ()
    words = " ".join(map(str, reasons)) or "the platform made no film"
    return Progress(state="failed", code="moderation_blocked", message=words)


def _told(response: Json) -> Json:
    told: Json = response.get("generateVideoResponse") or response
    return told


def _film(response: Json) -> Json | None:
    """The film, under whichever name the host gives it."""
    told = _told(response)
    for name in ("generatedSamples", "generatedVideos", "videos"):
        for sample in told.get(name) or ():
            film: Json = sample.get("video") or sample
            if film.get("uri") or google_films.data_of(film):
                return film
    return None
