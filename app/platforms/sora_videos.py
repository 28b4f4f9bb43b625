"""Films by OpenAI's Videos protocol, for every server that speaks it.

OpenAI has retired its own. Servers that took the protocol over word some things differently: states
have synonyms, progress may be a share or a text, and the film may be at a link instead of at
`/content`. All of that is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from app.canonical.media import Progress, State, VideoJob
from app.errors import BadReply, BadRequest, RequestRefused, Retired, WrongModel
from app.secret import Secret
from app.spool import Pieces
from app.upstream.media import Errand
from app.upstream.multipart import form
from app.upstream.names import unsupported
from app.upstream.platform import Catalogue, Send
from app.upstream.refusals import said_code
from app.upstream.transport import Answer
from app.wire import openai_chat
from app.wire.openai_images import flag

STATES: dict[State, frozenset[str]] = {
    "queued": frozenset(
        "queued pending submitted not_start notstarted created starting preparing unknown".split()
        + [""]
    ),
    "running": frozenset("in_progress processing running generating".split()),
    "done": frozenset("completed complete success succeeded succeed finished done".split()),
    "failed": frozenset("failed failure fail error cancelled canceled expired timeout".split()),
}
LANDSCAPE, PORTRAIT = "1280x720", "720x1280"
LARGE = {LANDSCAPE: "1792x1024", PORTRAIT: "1024x1792"}
RESOLUTIONS = ("720p", "1080p", "1k", "2k")
RATIOS = ("16:9", "9:16", "7:4", "4:7")  # of these four sizes
SECONDS = (4, 8, 12)
ADDED_SECONDS = (4, 8, 12, 16, 20)
USUAL_SECONDS = 4
PRO = "-pro"
SIZE = re.compile(r"[1-9]\d{1,4}x[1-9]\d{1,4}", re.ASCII)
ANSWER_BYTES = 1 << 20


class SoraVideos:
    """`retired` is the address whose own models are gone: they are not asked for there."""

    read_error = staticmethod(openai_chat.read_error)
    variants = ("thumbnail", "spritesheet")

    def __init__(
        self, follow: Callable[[str, Secret], Send], catalogue: Catalogue, retired: str
    ) -> None:
        self._follow = follow
        self._catalogue = catalogue
        self._retired = retired

    def fitted(self, job: VideoJob) -> VideoJob:
        facts = self._catalogue.facts(job.model)
        known = any(one.id == job.model for one in self._catalogue.models)
        if known and facts.makes != "video":
            raise WrongModel(
                "the model {model} does not make films", param="model", model=job.model
            )
        job = _by_name(job)
        _require_possible(job)
        if job.shape in ("remix", "edit"):
            return replace(job, seconds=0, size="", aspect_ratio="", resolution="")
        seconds = job.seconds or USUAL_SECONDS
        if known:
            _require_known(job, seconds)
        # Another vendor's model has sizes of its own.
        size = job.size if job.size and not known else _size(job)
        model = job.model
        if job.sets.get("pro") and PRO not in model:
            model += PRO
        if known and size in LARGE.values() and not model.partition(PRO)[1]:
            field = _large(job) or "size"
            raise BadRequest(
                "{field}: this size is for the model {model} alone",
                param=field,
                field=field,
                model=model + PRO,
            )
        return replace(job, model=model, seconds=seconds, size=size, resolution="", aspect_ratio="")

    def takes(self, job: VideoJob) -> Set[str]:
        """Every film has sound. What is made of another takes nothing but words."""
        return frozenset(("hd", "resolution", "generate_audio") if job.shape == "create" else ())

    def begin(self, errand: Errand, job: VideoJob) -> str:
        require_living(errand, self._retired)
        url, fields = _create(errand.base_url, job)
        send = self._follow(url, errand.credential.token)
        body, kind = _body(fields, job)
        try:
            told = errand.ask("POST", send.url, send.headers, body, kind)
        except RequestRefused as error:
            raise _without_films(error, job) or error from error
        name = (told.get("id") or told.get("task_id")) if isinstance(told, dict) else None
        if not isinstance(name, str) or not name:
            raise BadReply("the platform sent an answer that makes no sense")
        return name

    def look(self, errand: Errand, name: str) -> Progress:
        url = f"{errand.base_url}/videos/{quote(name, safe='')}"
        send = self._follow(url, errand.credential.token)
        try:
            answer = errand.open("GET", send.url, send.headers)
        except RequestRefused as error:
            if error.status in (404, 410):
                return Progress(state="gone")
            raise
        try:
            raw = answer.read(ANSWER_BYTES, errand.seconds)
        finally:
            answer.close()
        try:
            told = orjson.loads(raw)
        except ValueError as error:
            raise BadReply("the platform sent an answer that is not JSON") from error
        if not isinstance(told, dict):
            raise BadReply("the platform sent an answer that cannot be read")
        found = _progress(told, name)
        if found.state == "done" and not _is_own(found.result, errand.base_url):
            found = replace(found, result=name)  # a link elsewhere: the same is at `/content`
        return replace(found, after=_after(answer.headers.get("openai-poll-after-ms", "")))

    def fetch(self, errand: Errand, result: str) -> Answer:
        """From `/content`, with the key; or from a link on the same host, which is all that is
        trusted.
        """
        if "://" not in result:
            result = f"{errand.base_url}/videos/{quote(result, safe='')}/content"
        if not _is_own(result, errand.base_url):
            raise BadReply("the platform sent a link that leads elsewhere")
        send = self._follow(result, errand.credential.token)
        return errand.open("GET", send.url, {**send.headers, **errand.part})

    def still(self, errand: Errand, name: str, variant: str) -> Answer:
        """Servers that know no variants send the film itself."""
        url = f"{errand.base_url}/videos/{quote(name, safe='')}/content?variant={variant}"
        send = self._follow(url, errand.credential.token)
        return errand.open("GET", send.url, send.headers)

    def cancel(self, errand: Errand, name: str) -> None:
        """The protocol deletes what has ended; what runs cannot be stopped."""


def require_living(errand: Errand, retired: str) -> None:
    """Raises where the errand would go to the address whose films are gone."""
    if errand.base_url == retired:
        raise Retired(
            "the vendor has retired its films: choose another engine for them, or another server"
        )


def _require_possible(job: VideoJob) -> None:
    if len(job.references) > 1:
        raise BadRequest(
            "{field} must be one picture", param="input_reference", field="input_reference"
        )
    if "generate_audio" in job.extras and not flag(job.extras, "generate_audio"):
        raise BadRequest(
            "the platform cannot do what {field} asks for",
            param="generate_audio",
            field="generate_audio",
        )


def _require_known(job: VideoJob, seconds: int) -> None:
    """Raises where the vendor's own models make no such film; others may have lengths and shapes of
    their own.
    """
    allowed = ADDED_SECONDS if job.shape == "extend" else SECONDS
    if "seconds" in job.sets and seconds not in allowed:
        raise unsupported(f"{seconds}s")
    if seconds not in allowed:
        raise _not_among("seconds", map(str, allowed))
    if job.aspect_ratio and _by_ratio(job.aspect_ratio) and job.aspect_ratio not in RATIOS:
        raise _not_among("aspect_ratio", RATIOS)


def _not_among(field: str, allowed: Iterable[str]) -> BadRequest:
    return BadRequest(
        "{field} must be one of {allowed}", param=field, field=field, allowed=", ".join(allowed)
    )


def _without_films(error: RequestRefused, job: VideoJob) -> RequestRefused | None:
    """The same in better words, where the server has no films at all or none by this model."""
    if job.shape != "create" or error.status not in (404, 405, 410):
        return None
    return RequestRefused(
        "the platform makes no films with the model {model}: {words}",
        status=error.status,
        code=Retired.code,
        param="model",
        model=job.model,
        words=error.facts.get("words") or "",
    )


def _by_name(job: VideoJob) -> VideoJob:
    """A film that the server has made need not be sent: its name will do. Nothing is there for pictures
    that are to go into it.
    """
    if job.shape == "create":
        return job
    films = tuple(one for one in job.references if one.media_type.startswith("video/"))
    if films != job.references:
        raise BadRequest(
            "the platform cannot do what {field} asks for",
            param="input_reference",
            field="input_reference",
        )
    return replace(job, references=() if job.source else films)


def _is_own(link: str, base_url: str) -> bool:
    """Whether it leads to where the key belongs."""
    return "://" not in link or urlsplit(link)[:2] == urlsplit(base_url)[:2]


def _create(base_url: str, job: VideoJob) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = {"prompt": job.prompt}
    if job.shape == "remix":
        return f"{base_url}/videos/{quote(job.source, safe='')}/remix", fields
    film = {"video": {"id": job.source}} if job.source else {}
    if job.shape == "edit":
        return f"{base_url}/videos/edits", fields | film
    fields["seconds"] = str(job.seconds)
    if job.shape == "extend":
        return f"{base_url}/videos/extensions", fields | film
    fields["model"] = job.model
    if job.size:
        fields["size"] = job.size
    return f"{base_url}/videos", fields


def _body(fields: Mapping[str, Any], job: VideoJob) -> tuple[bytes | Pieces, str]:
    if not job.references:
        return orjson.dumps(fields), "application/json"
    field = "input_reference" if job.shape == "create" else "video"
    return form(fields, [(field, job.references[0])])


def _size(job: VideoJob) -> str:
    """The one of the four that is meant; empty where nobody says."""
    if job.resolution and job.resolution not in RESOLUTIONS:
        raise BadRequest(
            "{field} must be one of {allowed}",
            param="resolution",
            field="resolution",
            allowed=", ".join(RESOLUTIONS),
        )
    size = _shape(job)
    if not _large(job):
        return size
    size = size or PORTRAIT  # which is the vendor's own choice
    return LARGE.get(size, size)


def _large(job: VideoJob) -> str:
    """What asks for one of the larger two, if anything does."""
    if job.sets.get("hd"):
        return "model"
    if flag(job.extras, "hd"):
        return "hd"
    return "resolution" if job.resolution in ("1080p", "2k") else ""


def _shape(job: VideoJob) -> str:
    """The size by its shape: any that is wider than tall is the landscape one (C-180)."""
    if sets := job.sets.get("aspect_ratio"):
        return _by_ratio(str(sets))
    if job.aspect_ratio:
        return _by_ratio(job.aspect_ratio)
    if not job.size or job.size in LARGE or job.size in LARGE.values():
        return job.size
    return _by_ratio(job.size.replace("x", ":"))


def _by_ratio(ratio: str) -> str:
    wide, _, high = ratio.partition(":")
    if float(wide) == float(high):
        raise BadRequest("{field}: there are no square films here", param="size", field="size")
    return LANDSCAPE if float(wide) > float(high) else PORTRAIT


def _progress(told: Mapping[str, Any], name: str) -> Progress:
    said = str(told.get("status") or "").strip().lower()
    state: State | None = next((one for one, words in STATES.items() if said in words), None)
    percent = _percent(told.get("progress"))
    if state == "failed":
        error = told.get("error")
        error = error if isinstance(error, dict) else {"message": error or said}
        return Progress(
            state="failed",
            percent=percent,
            code=said_code(error),
            message=str(error.get("message") or ""),
        )
    if state == "done":
        seconds, size = str(told.get("seconds") or ""), told.get("size")
        return Progress(
            state="done",
            percent=100,
            result=_result(told) or name,
            seconds=int(seconds) if seconds.isdecimal() else 0,
            size=size if isinstance(size, str) and SIZE.fullmatch(size) else "",
        )
    # A word nobody knows says nothing: it goes on as it did.
    return Progress(state=state or "running", percent=percent)


def _percent(value: Any) -> int:
    """A whole number, a share of one, or a text such as `36%`."""
    if isinstance(value, str):
        try:
            value = float(value.strip().rstrip("%"))
        except ValueError:
            return 0
        return max(0, min(99, int(value)))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0
    share = isinstance(value, float) and 0 < value < 1
    return max(0, min(99, int(value * 100 if share else value)))


def _result(told: Mapping[str, Any]) -> str:
    """Where the film is, in one of the places that servers have for it."""
    places = [told.get("url"), told.get("video_url")]
    for name in ("video", "metadata", "result"):
        inner = told.get(name)
        places.append(inner.get("url") if isinstance(inner, dict) else None)
    data, output = told.get("data"), told.get("output")
    if isinstance(data, list) and data and isinstance(data[0], dict):
        places.append(data[0].get("url"))
    if isinstance(output, list) and output:
        places.append(output[0])
    return next((one for one in places if isinstance(one, str) and "://" in one), "")


def _after(text: str) -> float | None:
    return int(text) / 1000 if text.isdecimal() and len(text) < 8 else None
