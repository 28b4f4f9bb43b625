"""OpenAI's Videos protocol, as OpenAI served it and others still do, beside OpenAI's pictures.

A job belongs to the key that began it. Besides mishaps a prompt may order how it ends: `failed` (or
`failed=CODE`), `moderated` (refused at once), `moderated=later`, `stuck` (never done), `vanished`
(polls find nothing), `gone` (the server has no films any more) and `synonyms` (states, progress and
place of the film as other servers word them). `takes=SECONDS` is how long it is made,
`keeps=SECONDS` how long the film is there, and `bare` has it come for every variant, as it does from
servers that know none. A character belongs to the key that made it, too, and its name stands in for
a prompt.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from app.simulators.directives import asked, setting, value
from app.simulators.downloads import origin, served
from app.simulators.exchange import Call, Reply, as_json
from app.simulators.films import film
from app.simulators.jobs import Job, takes
from app.simulators.openai_checks import Refused, missing, string, wrong_type, wrong_value
from app.simulators.openai_house import OpenaiSimulator, Route, read_json
from app.simulators.openai_images import Images, check_prompt, prompt_of, read_form
from app.simulators.pictures import picture

VIDEOS = "/v1/videos"
ONE = re.compile(r"/v1/videos/(video_[0-9a-f]+)(/content|/remix)?")
CHARACTERS = "/v1/videos/characters"
CHARACTER = re.compile(rf"{CHARACTERS}/(char_[0-9a-f]+)")
SIZES = ("720x1280", "1280x720")
LARGE = ("1024x1792", "1792x1024")
SECONDS = ("4", "8", "12")
ADDED = ("4", "8", "12", "16", "20")
MODEL = re.compile(r"sora-2(-pro)?(-\d{4}-\d\d-\d\d)?")
KEEPS = 3600.0
KEPT = 500
PAGE = 20
LONGEST_PAGE = 100
HEADS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
check_name = string(1, 80)
LINK = re.compile(r"https?://|data:image/(png|jpeg|webp);base64,")
NESTED = re.compile(r"(\w+)\[(\w+)\]")
SYNONYMS = {"queued": "NOT_START", "in_progress": "processing", "completed": "SUCCESS"}

Json = dict[str, Any]
Files = dict[str, bytes]


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


@dataclass(frozen=True, slots=True)
class _Character:
    id: str
    key: str
    name: str
    created: int

    @property
    def told(self) -> Json:
        return {"id": self.id, "name": self.name, "created_at": self.created}


class SoraSimulator(OpenaiSimulator):
    name = "sora"

    def __init__(self) -> None:
        super().__init__()
        self._images = Images(self.mint)
        self._films: OrderedDict[str, _Film] = OrderedDict()
        self._characters: OrderedDict[str, _Character] = OrderedDict()

    def prompt(self, call: Call) -> str:
        if call.method != "POST":
            return ""
        if call.path == CHARACTERS:
            return read_form(call)[0].get("name", "")
        return prompt_of(call)

    def routes(self, call: Call) -> dict[str, Route]:
        if found := self._images.routes(call):
            return found
        if call.path == VIDEOS:
            return {"POST": self._create, "GET": self._listed}
        if call.path == f"{VIDEOS}/edits":
            return {"POST": self._edit}
        if call.path == f"{VIDEOS}/extensions":
            return {"POST": self._extend}
        if call.path == CHARACTERS:
            return {"POST": self._cast}
        if CHARACTER.fullmatch(call.path):
            return {"GET": self._character}
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
        body, files = _read(call, ("prompt", "model", "seconds", "size", "input_reference"))
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
        body, _ = _read(call, ("prompt",))
        source = self._finished(call, _name(call))
        return self._again(call, _prompt(body), source, source.seconds)

    def _edit(self, call: Call) -> Reply:
        body, files = _read(call, ("prompt", "video"))
        source = self._source(call, body, files)
        return self._again(call, _prompt(body), source, source.seconds)

    def _extend(self, call: Call) -> Reply:
        body, files = _read(call, ("prompt", "video", "seconds"))
        source = self._source(call, body, files)
        if "seconds" not in body:
            missing("seconds")
        seconds = str(int(source.seconds) + int(_seconds(body, ADDED)))
        return self._again(call, _prompt(body), source, seconds)

    def _source(self, call: Call, body: Json, files: Files) -> _Film:
        """The film that was made here, or one that was sent along and has no name."""
        if "video" in files:
            if files["video"][4:8] != b"ftyp":
                raise Refused("Invalid video file.", "video", "invalid_value")
            now = self.clock.now()
            return _Film("", "", "sora-2", "", SECONDS[0], SIZES[0], now, Job(now, 0))
        video = body.get("video")
        if video is None:
            missing("video")
        if not isinstance(video, dict) or not isinstance(video.get("id"), str):
            wrong_type(video, "video", "an object with an id")
        return self._finished(call, video["id"])

    def _finished(self, call: Call, name: str) -> _Film:
        found = self._film(call, name)
        if self._status(found)[0] != "completed":
            raise Refused("The video is not completed.", "video", "invalid_value")
        return found

    def _again(self, call: Call, prompt: str, source: _Film, seconds: str) -> Reply:
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

    # ------------------------------------------------------------ characters

    def _cast(self, call: Call) -> Reply:
        body, files = _read(call, ("video", "name"))
        if "video" not in files:
            missing("video")
        if files["video"][4:8] != b"ftyp":
            raise Refused("Invalid video file.", "video", "invalid_value")
        if "name" not in body:
            missing("name")
        check_name(body["name"], "name")
        name, now = self.mint("char_", 32), int(self.clock.now())
        made = _Character(name, self.credential(call), str(body["name"]), now)
        self._characters[name] = made
        while len(self._characters) > KEPT:
            self._characters.popitem(last=False)
        return Reply(200, as_json(made.told))

    def _character(self, call: Call) -> Reply:
        name = call.path.rpartition("/")[2]
        found = self._characters.get(name)
        if found is None or found.key != self.credential(call):
            raise Refused(f"Character with id '{name}' not found.", status=404)
        return Reply(200, as_json(found.told))

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
        order = call.parameter("order") or "desc"
        if order not in ("asc", "desc"):
            wrong_value(order, "order", ("asc", "desc"))
        if order == "desc":
            own.reverse()
        names = [one.id for one in own]
        after = call.parameter("after")
        if after:
            if after not in names:
                raise _unknown(after)
            own = own[names.index(after) + 1 :]
        limit = _limit(call.parameter("limit"))
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
        if asked(made.prompt, "bare"):
            variant = "video"
        if variant in ("thumbnail", "spritesheet"):
            small = picture(wide // 4, high // 4, made.prompt, "webp")
            return Reply(200, small, {}, "image/webp")
        if variant != "video":
            wrong_value(variant, "variant", ("video", "thumbnail", "spritesheet"))
        return served(call, film(wide, high, float(made.seconds), made.prompt), "video/mp4")

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
    more: Json = {"task_id": told["id"], "status": SYNONYMS.get(told["status"], "FAILURE")}
    more["progress"] = f"{told['progress']}%"
    if told["status"] == "completed":
        more["metadata"] = {"url": f"{origin(call)}{VIDEOS}/{told['id']}/content"}
    return told | more


def _read(call: Call, fields: tuple[str, ...]) -> tuple[Json, Files]:
    """The wishes and the files, whether they came as JSON or as a form."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    files: Files = {}
    if kind == "multipart/form-data":
        texts, parts = read_form(call)
        body, files = _nested(texts), dict(parts)
    else:
        body = read_json(call)
    if not isinstance(body, dict):
        wrong_type(body, "body", "an object")
    for name in body.keys() | files.keys():
        if name not in fields:
            raise Refused(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return {name: value for name, value in body.items() if value is not None}, files


def _nested(texts: dict[str, str]) -> Json:
    """A form has no objects: `video[id]` is the id of the video."""
    body: Json = {}
    for name, text in texts.items():
        inner = NESTED.fullmatch(name)
        if inner is None:
            body[name] = text
            continue
        outer = body.setdefault(inner[1], {})
        if isinstance(outer, dict):
            outer[inner[2]] = text
    return body


def _prompt(body: Json) -> str:
    prompt = body.get("prompt")
    if prompt is None:
        missing("prompt")
    check_prompt(prompt, "prompt")
    return str(prompt)


def _seconds(body: Json, allowed: tuple[str, ...]) -> str:
    seconds = body.get("seconds", allowed[0])
    if not isinstance(seconds, str):
        wrong_type(seconds, "seconds", "a string")
    if seconds not in allowed:
        wrong_value(seconds, "seconds", allowed)
    return str(seconds)


def _check_reference(body: Json, files: Files) -> None:
    at = "input_reference"
    if at in files:
        if not files[at].startswith(HEADS):
            raise Refused("Invalid reference image.", at, "invalid_image_file")
        return
    given = body.get(at)
    if given is None:
        return
    if not isinstance(given, dict):
        wrong_type(given, at, "an object")
    if len(given.keys() & {"image_url", "file_id"}) != 1:
        raise Refused("Give one of image_url and file_id.", at, "invalid_value")
    url = given.get("image_url", "https://")
    if not isinstance(url, str) or not LINK.match(url):
        raise Refused("Invalid image URL.", f"{at}.image_url", "invalid_image_url")


def _limit(text: str | None) -> int:
    if text is None:
        return PAGE
    if not re.fullmatch(r"-?[0-9]{1,9}", text):
        wrong_type(text, "limit", "an integer")
    if int(text) < 0:
        raise Refused("Invalid 'limit': too small.", "limit", "integer_below_min_value")
    if int(text) > LONGEST_PAGE:
        raise Refused("Invalid 'limit': too large.", "limit", "integer_above_max_value")
    return int(text)
