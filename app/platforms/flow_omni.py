"""Films by Gemini Omni: Google's Interactions, `POST /v1beta/interactions`.

A film is an interaction in the background, looked at until it is complete; what comes after it
(another version, more of it) names it as the previous one. What a picture is there for is said in
the prompt, in tags. A refusal is a complete interaction without a film, and an interaction nobody
knows is a 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from app.canonical.media import File, Progress, VideoJob
from app.canonical.model import ModelFacts
from app.errors import BadReply, BadRequest, RequestRefused, Verbatim
from app.lift import on_disk
from app.platforms import google, google_films
from app.platforms.google_film_wishes import flag, wished
from app.platforms.google_images import TAKEN as PICTURES
from app.spool import Base64, json_pieces
from app.upstream.media import Errand, ReadError
from app.upstream.names import unsupported
from app.upstream.transport import Answer

Json = dict[str, Any]

REVISION = {"Api-Revision": "2026-05-20"}  # fixes the shape of the steps
POLL_SECONDS = 5.0
EXPECTED_SECONDS = 70.0
MOST_IMAGES, MOST_FILMS = 10, 3
MOST_BYTES = 70 << 20  # of files, which are a third longer as text; the vendor takes 100 MB
LITE_RESOLUTION = "360p"

# Our names for what films are, and the vendor's.
FILMS = {
    "video/mp4": "video/mp4",
    "video/mpeg": "video/mpeg",
    "video/quicktime": "video/mov",
    "video/x-msvideo": "video/avi",
    "video/x-flv": "video/x-flv",
    "video/webm": "video/webm",
    "video/x-ms-wmv": "video/wmv",
    "video/3gpp": "video/3gpp",
}
TAGGED = re.compile(
    r"<(?:FIRST_FRAME|LAST_FRAME|IMAGE_REF_\d+|VIDEO_REF_\d+|VIDEO_0|PREVIOUS_VIDEO)>"
)
FAILURES = frozenset(("failed", "cancelled", "incomplete", "budget_exceeded", "requires_action"))


class Omni:
    """`facts` tells what is known of a model."""

    read_error: ReadError = staticmethod(google_films.read_error)

    def __init__(self, facts: Callable[[str], ModelFacts]) -> None:
        self._facts = facts

    def fitted(self, job: VideoJob) -> VideoJob:
        tier = job.sets.get("tier")
        if tier == "lite":  # there is no lighter model here, but a smaller film
            job = replace(job, sets={"resolution": LITE_RESOLUTION, **job.sets})
        elif tier:
            raise unsupported(tier)
        job = wished(job, self._facts(job.model))
        if job.extras.get("person_generation"):
            raise _cannot("person_generation")
        if flag(job.extras, "generate_audio") is False:
            raise _cannot("generate_audio")
        job = by_name(job)
        _require_references(job)
        return job

    def takes(self, job: VideoJob) -> Set[str]:
        return frozenset(("hd", "resolution", "generate_audio", "seed", "negative_prompt"))

    def begin(self, errand: Errand, job: VideoJob) -> str:
        url, headers = google_films.signed(errand, "interactions")
        answer = errand.ask("POST", url, headers | REVISION, json_pieces(_body(job)))
        name = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(name, str) or not name:
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
            film = _film(self._asked(errand, name)) or {}
            return google_films.handed_over(on_disk(google_films.data_of(film), errand.spool))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BadReply("the platform sent an answer that cannot be read") from error

    def cancel(self, errand: Errand, name: str) -> None:
        url, headers = google_films.signed(errand, f"interactions/{_quoted(name)}/cancel")
        try:
            errand.open("POST", url, headers | REVISION).close()
        except (RequestRefused, Verbatim):
            return  # it has ended by itself, or is gone

    def _asked(self, errand: Errand, name: str) -> Any:
        url, headers = google_films.signed(errand, f"interactions/{_quoted(name)}")
        return errand.ask("GET", url, headers | REVISION)


def _quoted(name: str) -> str:
    return quote(name, safe="")


def _cannot(field: str) -> BadRequest:
    return BadRequest("the platform cannot do what {field} asks for", param=field, field=field)


# What is asked.


def _require_references(job: VideoJob) -> None:
    field = "input_reference"
    pictures, films = sorted_out(job.references)
    for one in job.references:
        if one.media_type not in PICTURES and one.media_type not in FILMS:
            raise BadRequest(
                "the platform takes no {media_type} here", param=field, media_type=one.media_type
            )
    for found, most in ((pictures, MOST_IMAGES), (films, MOST_FILMS)):
        if len(found) > most:
            raise BadRequest(
                "{field} has more than {most} entries", param=field, field=field, most=most
            )
    if sum(one.size for one in job.references) > MOST_BYTES:
        raise BadRequest(
            "{field} is larger than {most} MB", param=field, field=field, most=MOST_BYTES >> 20
        )
    if job.sets.get("frames"):
        require_frames(job, pictures, films)
    if job.shape != "create" and not job.source and not films:
        raise BadRequest("{field} is required", param="video", field="video")


def require_frames(job: VideoJob, pictures: list[File], films: list[File]) -> None:
    """Raises unless there is a first picture, and perhaps a last."""
    if job.shape != "create" or films or len(pictures) not in (1, 2):
        raise BadRequest(
            "{field} must be a first picture, or a first and a last",
            param="input_reference",
            field="input_reference",
        )


def by_name(job: VideoJob) -> VideoJob:
    """A film that the platform has made is not shown to it: its name will do."""
    if job.shape == "create" or not job.source:
        return job
    pictures, _ = sorted_out(job.references)
    return replace(job, references=tuple(pictures))


def sorted_out(references: tuple[File, ...]) -> tuple[list[File], list[File]]:
    """Pictures and films."""
    pictures = [one for one in references if one.media_type.startswith("image/")]
    return pictures, [one for one in references if one.media_type.startswith("video/")]


def _body(job: VideoJob) -> Json:
    task, prompt = _cast(job)
    if avoid := job.extras.get("negative_prompt"):
        prompt = f"{prompt}\n\nAvoid: {avoid}"
    body: Json = {
        "model": job.model,
        "background": True,
        "store": True,
        "input": [*map(_content, job.references), {"type": "text", "text": prompt}],
        "response_format": {
            "type": "video",
            "aspect_ratio": job.aspect_ratio,
            "resolution": job.resolution,
            "duration": f"{job.seconds}s",
            "delivery": "uri",
        },
        "generation_config": {"video_config": {"task": task}},
    }
    if job.shape != "create" and job.source:
        body["previous_interaction_id"] = job.source
    if (seed := google.seed(job.extras)) is not None:
        body["generation_config"]["seed"] = seed
    return body


def _content(file: File) -> Json:
    is_film = file.media_type in FILMS
    return {
        "type": "video" if is_film else "image",
        "mime_type": FILMS.get(file.media_type, file.media_type),
        "data": Base64(file.path),
    }


def _cast(job: VideoJob) -> tuple[str, str]:
    """The task, and the prompt with the roles that the references play; a prompt that casts them
    itself stays as it is.
    """
    pictures, films = sorted_out(job.references)
    tagged = frozenset(TAGGED.findall(job.prompt))
    if job.shape == "extend":
        return "extend", job.prompt
    if job.shape != "create" or (films and not any("_REF_" in tag for tag in tagged)):
        return "edit", job.prompt if tagged else _starring(job.prompt, pictures)
    if not job.references:
        return "text_to_video", job.prompt
    if tagged:
        task = "image_to_video" if "<FIRST_FRAME>" in tagged and not films else "reference_to_video"
        return task, job.prompt
    if len(pictures) <= 2:
        roles = ("<FIRST_FRAME>@Image1", "<LAST_FRAME>@Image2")[: len(pictures)]
        return "image_to_video", f"[# Sources {' '.join(roles)}] {job.prompt}"
    return "reference_to_video", _starring(job.prompt, pictures)


def _starring(prompt: str, pictures: list[File]) -> str:
    """Roles are counted from 0, pictures from 1."""
    if not pictures:
        return prompt
    roles = " ".join(f"<IMAGE_REF_{i}>@Image{i + 1}" for i in range(len(pictures)))
    return f"[# References {roles}] {prompt}"


# What comes of it.


def _progress(errand: Errand, name: str, answer: Json) -> Progress:
    status = answer.get("status")
    if status == "queued":
        return Progress(state="queued", after=POLL_SECONDS)
    usage = _usage(answer.get("usage") or {})
    if status == "completed":
        if film := _film(answer):
            return google_films.arrived(errand, film, name, usage)
        words = " ".join(_words(answer)) or "the platform made no film"
        return Progress(state="failed", code="moderation_blocked", message=words, usage=usage)
    if status in FAILURES:
        words = _reason(answer) or f"the platform says that the job is {status}"
        code = "cancelled" if status == "cancelled" else "upstream_error"
        if google_films.is_refusal(words):
            code = "moderation_blocked"
        return Progress(state="failed", code=code, message=words, usage=usage)
    percent = google_films.share(answer.get("created"), errand.now(), EXPECTED_SECONDS)
    return Progress(state="running", percent=percent, after=POLL_SECONDS)


def _contents(answer: Json) -> Iterator[Json]:
    for step in answer.get("steps") or ():
        if step.get("type") == "model_output":
            yield from step.get("content") or ()


def _film(answer: Json) -> Json | None:
    """The last one: those before it are on the way there."""
    films = [
        one
        for one in _contents(answer)
        if one.get("type") == "video" and (one.get("uri") or google_films.data_of(one))
    ]
    return films[-1] if films else None


def _words(answer: Json) -> Iterator[str]:
    for one in _contents(answer):
        if one.get("type") == "text" and one.get("text"):
            yield one["text"]


def _reason(answer: Json) -> str:
    errors = [*(answer.get("errors") or ()), answer.get("error")]
    errors += [step.get("error") for step in answer.get("steps") or ()]
    found = (error.get("message") for error in errors if error)
    return next((words for words in found if isinstance(words, str) and words), "")


def _usage(counted: Json) -> Json | None:
    """In OpenAI's words."""
    names = {
        "input_tokens": "total_input_tokens",
        "output_tokens": "total_output_tokens",
        "total_tokens": "total_tokens",
    }
    found = {ours: counted[theirs] for ours, theirs in names.items() if theirs in counted}
    return found or None
