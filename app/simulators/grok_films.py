"""Films by xAI: a request id, then polls until the film lies at an address of its own.

While a film is made every poll is 202, by turns with a body and without one. Besides mishaps a
prompt may order how it ends: `failed` (or `failed=CODE`), `expired`, `withheld` (done, but for
what it shows without an address), `moderated` (the wish itself is refused), `moderated=later` (a
poll is refused, and the film paid), `moderated=older` (in the words of old), `gone` (polls find
nothing), `statusless` (done without saying so), `polite` (200 while it is made, as it once was) and
`stuck` (never done). `takes=SECONDS` is how long it is made, `keeps=SECONDS` how long it lies
there.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.simulators.directives import asked, setting, value
from app.simulators.downloads import Shelf, origin
from app.simulators.exchange import Call, Reply, as_json
from app.simulators.films import film
from app.simulators.grok_imagine import FILM_RATIOS, director, film_size
from app.simulators.grok_imagine_rules import (
    EDITABLE,
    EXTENDABLE,
    accept_film,
    accept_film_edit,
    accept_film_extension,
    require_length,
)
from app.simulators.grok_pictures import HOURS, moderated
from app.simulators.image_sides import nearest, sides
from app.simulators.jobs import Job, takes
from app.simulators.openai_checks import Refused

MAKE = "/v1/videos/generations"
EDIT = "/v1/videos/edits"
EXTEND = "/v1/videos/extensions"
POLLS = "/v1/videos/"
FOLDER = "/xai-vidgen/"
KEPT = 200
OLDER = "Generated video rejected by content moderation."

Json = dict[str, Any]


@dataclass(slots=True)
class _Film:
    """A wish on its way; `polls` counts how often somebody asked."""

    job: Job
    key: str
    model: str
    prompt: str
    seconds: float
    resolution: str
    size: tuple[int, int]
    polls: int = 0
    url: str = ""

    @property
    def usage(self) -> Json:
        price = director(self.model).prices.get(self.resolution, 0)
        return {"cost_in_usd_ticks": round(self.seconds * price)}


class Films:
    """The routes for films. `loaded` gives the bytes of a linked file, if they are here."""

    def __init__(
        self,
        now: Callable[[], float],
        mint: Callable[[str], str],
        shelf: Shelf,
        loaded: Callable[[Call, Json], bytes | None],
    ) -> None:
        self._now = now
        self._mint = mint
        self._shelf = shelf
        self._loaded = loaded
        self._films: OrderedDict[str, _Film] = OrderedDict()
        self._lengths: dict[str, float] = {}  # of the films handed out, by address

    def make(self, call: Call, key: str, raw: Any) -> Reply:
        body = accept_film(raw)
        image = self._loaded(call, body["image"]) if "image" in body else None
        for reference in body.get("reference_images") or ():
            self._loaded(call, reference)
        shape = (sides(image) if image else None) or (16, 9)
        ratio = body.get("aspect_ratio") or nearest(*shape, FILM_RATIOS)
        size = film_size(ratio, body["resolution"])
        return self._begun(key, body, body["duration"], size)

    def edit(self, call: Call, key: str, raw: Any) -> Reply:
        """The source keeps its shape and its length."""
        body = accept_film_edit(raw)
        seconds = self._source(call, body["video"], EDITABLE)
        return self._begun(key, body, seconds or EDITABLE[1], film_size("16:9", "720p"))

    def extend(self, call: Call, key: str, raw: Any) -> Reply:
        body = accept_film_extension(raw)
        seconds = self._source(call, body["video"], EXTENDABLE) or EXTENDABLE[0]
        size = film_size("16:9", "720p")
        return self._begun(key, body, seconds + body["duration"], size)

    def poll(self, call: Call, key: str) -> Reply:
        name = call.path.removeprefix(POLLS)
        made = self._films.get(name)
        if made is None or made.key != key or asked(made.prompt, "gone"):
            raise Refused(
                f"Video generation request {name} was not found.", code="not-found", status=404
            )
        made.polls += 1
        progress = made.job.progress(self._now())
        if progress < 100 or asked(made.prompt, "stuck"):
            return _pending(made, min(progress, 99))
        return self._ended(call, name, made)

    def directed(self, path: str) -> str:
        """The prompt of the film that is polled or fetched here, empty when there is none."""
        made = self._films.get(path.rpartition("/")[2].removesuffix(".mp4"))
        return made.prompt if made else ""

    def _source(self, call: Call, link: Json, bounds: tuple[float, float]) -> float | None:
        self._loaded(call, link)
        seconds = self._lengths.get(link.get("url", ""))
        require_length(seconds, bounds)
        return seconds

    def _begun(self, key: str, body: Json, seconds: float, size: tuple[int, int]) -> Reply:
        words = body["prompt"]
        resolution = body.get("resolution", "720p")
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, self._mint("film")))
        job = Job(self._now(), takes(words))
        made = _Film(job, key, body["model"], words, seconds, resolution, size)
        if value(words, "moderated") == "":
            return moderated(made.usage, "The prompt was rejected by content moderation.")
        self._films[name] = made
        while len(self._films) > KEPT:
            self._films.popitem(last=False)
        return Reply(200, as_json({"request_id": name}))

    def _ended(self, call: Call, name: str, made: _Film) -> Reply:
        words = made.prompt
        if when := value(words, "moderated"):
            if when == "older":
                told = {"code": "Client specified an invalid argument", "error": OLDER}
                return Reply(400, as_json(told))
            return moderated(made.usage, OLDER)
        if (code := value(words, "failed")) is not None:
            error = {"code": code or "internal_error", "message": "Video generation failed."}
            return _told(made, {"status": "failed", "progress": 0, "error": error})
        if asked(words, "expired"):
            return Reply(200, as_json({"status": "expired"}))
        shown = not asked(words, "withheld")
        video = {
            "url": self._address(call, name, made) if shown else "",
            "duration": round(made.seconds),
            "respect_moderation": shown,
        }
        status = {} if asked(words, "statusless") else {"status": "done"}
        more = {"video": video, "progress": 100, "usage": made.usage}
        return _told(made, {**status, **more})

    def _address(self, call: Call, name: str, made: _Film) -> str:
        """Where the film lies; it is put there by the first poll that finds it done."""
        path = f"{FOLDER}{name}.mp4"
        if not made.url:
            data = film(*made.size, made.seconds, made.prompt)
            self._shelf.put(path, data, "video/mp4", setting(made.prompt, "keeps", HOURS))
        made.url = origin(call) + path
        self._lengths[made.url] = made.seconds
        return made.url


def _pending(made: _Film, progress: int) -> Reply:
    status = 200 if asked(made.prompt, "polite") else 202
    if status == 202 and made.polls % 2 == 0:
        return Reply(202, b"")
    told = {"status": "pending", "progress": progress, "model": made.model}
    return Reply(status, as_json(told))


def _told(made: _Film, more: Json) -> Reply:
    return Reply(200, as_json({**more, "model": made.model}))
