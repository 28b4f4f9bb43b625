"""OpenAI's Videos protocol, as OpenAI served it and others still do, beside OpenAI's pictures.

A job belongs to the key that began it. Besides mishaps a prompt may order how it ends: `failed` (or
`failed=CODE`), `moderated` (refused at once), `moderated=later`, `stuck` (never done), `vanished`
(polls find nothing), `gone` (the server has no films any more) and `synonyms` (states, progress and
place of the film as other servers word them). `takes=SECONDS` is how long it is made,
`keeps=SECONDS` how long the film is there.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from app.simulators.directives import asked, setting, value
from app.simulators.exchange import Call, Reply, as_json
from app.simulators.films import film
from app.simulators.jobs import Job, takes
from app.simulators.openai_checks import Refused, missing, wrong_type, wrong_value
from app.simulators.openai_house import OpenaiSimulator, Route, read_json
from app.simulators.openai_images import Images, prompt_of, read_form
from app.simulators.pictures import picture

VIDEOS = "/v1/videos"
ONE = re.compile(r"/v1/videos/(video_[0-9a-f]+)(/content|/remix)?")
SIZES = ("720x1280", "1280x720")
LARGE = ("1024x1792", "1792x1024")
SECONDS = ("4", "8", "12")
ADDED = ("4", "8", "12", "16", "20")
MODEL = re.compile(r"sora-2(-pro)?(-\d{4}-\d\d-\d\d)?")
LONGEST_PROMPT = 32_000
KEEPS = 3600.0
KEPT = 500
PAGE = 20
HEADS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
PLURALS = {"queued": "NOT_START", "in_progress": "processing", "completed": "SUCCESS"}

Json = dict[str, Any]


@dataclass(slots=True)
class _Film:
    """A job on its way."""

    id: str
    key: str
    model: str
    prompt: str
    seconds: str
    size: str
    created: float
    job: Job
    source: str = ""


class SoraSimulator(OpenaiSimulator):
    name = "sora"

    def __init__(self) -> None:
        super().__init__()
        self._images = Images(self.mint)
        self._films: OrderedDict[str, _Film] = OrderedDict()

    def prompt(self, call: Call) -> str:
        if call.method == "POST":
            return prompt_of(call)
        return ""

    def routes(self, call: Call) -> dict[str, Route]:
        if found := self._images.routes(call):
            return found
        if call.path == VIDEOS:
            return {"POST": self._create, "GET": self._listed}
        if call.path == f"{VIDEOS}/edits":
            return {"POST": self._edit}
        if call.path == f"{VIDEOS}/extensions":
            return {"POST": self._extend}
        one = ONE.fullmatch(call.path)
        if one is None:
            return {}
        if one[2] == "/content":
            return {"GET": self._content}
        if one[2] == "/remix":
            return {"POST": self._remix}
        return {"GET": self._shown, "DELETE": self._deleted}

    # ------------------------------------------------------------ beginning

    def _create(self, call: Call) -> Reply:
        body, files = _read(call)
        prompt = _prompt(body)
        model = body.get("model", "sora-2")
        if not isinstance(model, str) or not MODEL.fullmatch(model):
            raise Refused(f"The model '{model}' does not exist.", "model", "model_not_found", 404)
        size = body.get("size", SIZES[0])
        sizes = SIZES + LARGE if "pro" in model else SIZES
        if size not in sizes:
            wrong_value(size, "size", sizes)
        seconds = _seconds(body, SECONDS)
        _check_reference(body, files)
        return self._begun(call, prompt, model, seconds, size)

    def _remix(self, call: Call) -> Reply:
        body, _ = _read(call)
        source = self._film(call, _name(call))
        return self._again(call, _prompt(body), source, source.seconds)

    def _edit(self, call: Call) -> Reply:
        body, _ = _read(call)
        source = self._source(call, body)
        return self._again(call, _prompt(body), source, source.seconds)

    def _extend(self, call: Call) -> Reply:
        body, _ = _read(call)
        source = self._source(call, body)
        seconds = str(int(source.seconds) + int(_seconds(body, ADDED)))
        return self._again(call, _prompt(body), source, seconds)

    def _source(self, call: Call, body: Json) -> _Film:
        video = body.get("video")
        name = video.get("id") if isinstance(video, dict) else body.get("video[id]")
        if not isinstance(name, str):
            missing("video")
        return self._film(call, str(name))

    def _again(self, call: Call, prompt: str, source: _Film, seconds: str) -> Reply:
        if source.job.progress(self.clock.now()) < 100:
            raise Refused("The video is not completed yet.", "video", "invalid_value")
        return self._begun(call, prompt, source.model, seconds, source.size, source.id)

    def _begun(
        self, call: Call, prompt: str, model: str, seconds: str, size: str, source: str = ""
    ) -> Reply:
        if asked(prompt, "gone"):
            raise Refused("The Videos API has been shut down.", code="model_not_found", status=404)
        if value(prompt, "moderated") == "":
            raise Refused(
                "Your request was blocked by our moderation system.", code="moderation_blocked"
            )
        now = self.clock.now()
        name = self.mint("video_", 32)
        job = Job(now, float("inf") if asked(prompt, "stuck") else takes(prompt))
        made = _Film(name, self.credential(call), model, prompt, seconds, size, now, job, source)
        self._films[name] = made
        while len(self._films) > KEPT:
            self._films.popitem(last=False)
        told = self._told(made) | {"status": "queued", "progress": 0, "completed_at": None}
        return Reply(200, as_json(told | {"expires_at": None, "error": None}))

    # ------------------------------------------------------------ looking

    def _shown(self, call: Call) -> Reply:
        made = self._film(call, _name(call))
        if asked(made.prompt, "vanished"):
            raise _unknown(made.id)
        told = self._told(made)
        if asked(made.prompt, "synonyms"):
            told = _otherwise(told, call)
        return Reply(200, as_json(told), {"openai-poll-after-ms": "1000"})

    def _listed(self, call: Call) -> Reply:
        key = self.credential(call)
        own = [one for one in self._films.values() if one.key == key]
        if call.parameter("order") != "asc":
            own.reverse()
        names = [one.id for one in own]
        after = call.parameter("after")
        if after:
            if after not in names:
                raise _unknown(after)
            own = own[names.index(after) + 1 :]
        limit = int(call.parameter("limit") or PAGE)
        page = [self._told(one) for one in own[:limit]]
        told = {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(own) > limit,
        }
        return Reply(200, as_json(told))

    def _deleted(self, call: Call) -> Reply:
        made = self._film(call, _name(call))
        if self._status(made)[0] not in ("completed", "failed"):
            raise Refused("The video is still being processed.", status=409)
        del self._films[made.id]
        return Reply(200, as_json({"id": made.id, "object": "video.deleted", "deleted": True}))

    def _content(self, call: Call) -> Reply:
        made = self._film(call, _name(call))
        status, _ = self._status(made)
        if status != "completed":
            raise Refused("The video is not ready.", code="video_not_ready", status=404)
        if self.clock.now() > self._expires(made):
            raise _unknown(made.id)
        wide, high = map(int, made.size.split("x"))
        variant = call.parameter("variant") or "video"
        if variant in ("thumbnail", "spritesheet"):
            small = picture(wide // 4, high // 4, made.prompt, "webp")
            return Reply(200, small, {}, "image/webp")
        if variant != "video":
            wrong_value(variant, "variant", ("video", "thumbnail", "spritesheet"))
        return _part(film(wide, high, float(made.seconds), made.prompt), call)

    # ------------------------------------------------------------ telling

    def _film(self, call: Call, name: str) -> _Film:
        made = self._films.get(name)
        if made is None or made.key != self.credential(call):
            raise _unknown(name)
        return made

    def _status(self, made: _Film) -> tuple[str, int]:
        progress = made.job.progress(self.clock.now())
        if progress < 100:
            return ("in_progress", progress) if progress else ("queued", 0)
        ends = value(made.prompt, "failed") is not None or value(made.prompt, "moderated")
        return ("failed", 99) if ends else ("completed", 100)

    def _expires(self, made: _Film) -> float:
        return made.job.started + made.job.takes + setting(made.prompt, "keeps", KEEPS)

    def _told(self, made: _Film) -> Json:
        status, progress = self._status(made)
        done = status == "completed"
        code = value(made.prompt, "failed")
        code = "moderation_blocked" if code is None else code or "video_generation_failed"
        return {
            "id": made.id,
            "object": "video",
            "model": made.model,
            "status": status,
            "progress": progress,
            "created_at": int(made.created),
            "completed_at": int(made.job.started + made.job.takes) if done else None,
            "expires_at": int(self._expires(made)) if done else None,
            "prompt": made.prompt,
            "seconds": made.seconds,
            "size": made.size,
            "remixed_from_video_id": made.source or None,
            "error": (
                {"code": code, "message": f"It ended with {code}."} if status == "failed" else None
            ),
        }


def _name(call: Call) -> str:
    return call.path.split("/")[3]


def _unknown(name: str) -> Refused:
    return Refused(f"Video with id '{name}' not found.", status=404)


def _otherwise(told: Json, call: Call) -> Json:
    """The same as servers word it that are not OpenAI's."""
    scheme_and_host = f"http://{call.headers.get('host', '')}"
    more: Json = {"task_id": told["id"], "status": PLURALS.get(told["status"], "FAILURE")}
    more["progress"] = f"{told['progress']}%"
    if told["status"] == "completed":
        more["metadata"] = {"url": f"{scheme_and_host}{VIDEOS}/{told['id']}/content"}
    return told | more


def _read(call: Call) -> tuple[Json, list[tuple[str, bytes]]]:
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        texts, files = read_form(call)
        return dict(texts), files
    body = read_json(call)
    if not isinstance(body, dict):
        wrong_type(body, "body", "an object")
    return body, []


def _prompt(body: Json) -> str:
    prompt = body.get("prompt")
    if prompt is None:
        missing("prompt")
    if not isinstance(prompt, str):
        wrong_type(prompt, "prompt", "a string")
    if not 0 < len(prompt) <= LONGEST_PROMPT:
        raise Refused("Invalid 'prompt': wrong length.", "prompt", "string_above_max_length")
    return prompt


def _seconds(body: Json, allowed: tuple[str, ...]) -> str:
    seconds = body.get("seconds", allowed[0])
    if not isinstance(seconds, str):
        wrong_type(seconds, "seconds", "a string")
    if seconds not in allowed:
        wrong_value(seconds, "seconds", allowed)
    return str(seconds)


def _check_reference(body: Json, files: list[tuple[str, bytes]]) -> None:
    found = [data for name, data in files if name == "input_reference"]
    if found and not found[0].startswith(HEADS):
        raise Refused("Invalid reference image.", "input_reference", "invalid_image_file")
    given = body.get("input_reference")
    if given is not None:
        keys = given.keys() & {"image_url", "file_id"} if isinstance(given, dict) else ()
        if len(keys) != 1:
            raise Refused("Give one of image_url and file_id.", "input_reference", "invalid_value")


def _part(data: bytes, call: Call) -> Reply:
    """All of it, or the range that was asked for."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("range", ""))
    if found is None:
        return Reply(200, data, {"accept-ranges": "bytes"}, "video/mp4")
    start, end = int(found[1]), int(found[2] or len(data) - 1) + 1
    if start >= len(data):
        raise Refused("The range cannot be satisfied.", status=416)
    part = data[start:end]
    about = {"content-range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"}
    return Reply(206, part, about, "video/mp4")
