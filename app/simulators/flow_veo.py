"""Films and pictures of the older shape: operations that are polled, and pictures at once.

Besides mishaps a prompt may order how it ends: `filtered` (nothing but a count of what was kept
back; for pictures `filtered=N` keeps back so many), `failed` (or `failed=NUMBER`, a code of RPC),
`stuck`, `encoded` (the film itself in the place of its address) and `retired` (404, as for a
model that is no more). An operation that runs says by turns that it is not done, and nothing.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.simulators.directives import asked, setting, value
from app.simulators.exchange import Call
from app.simulators.films import film
from app.simulators.flow_files import File, Files
from app.simulators.flow_rules import FILE
from app.simulators.flow_veo_rules import EXTENSION, LONGEST_SOURCE, Print, Take
from app.simulators.gemini_checks import Refused
from app.simulators.gemini_images import PIXELS, SCALES
from app.simulators.jobs import Job, takes
from app.simulators.pictures import MEDIA_TYPES, picture

KEPT = 200
ENGINE = "veo"
DEVELOPERS_TYPE = (
    "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse"
)
CLOUD_TYPE = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
REASON = "The video was blocked by safety filters. You have not been charged for this attempt."

Json = dict[str, Any]


@dataclass(slots=True)
class Operation:
    """`seconds` is the length of the film in the end; `cloud` is which of the hosts it runs on."""

    name: str
    key: str
    model: str
    take: Take
    job: Job
    seconds: float
    cloud: bool
    polls: int = 0
    file: File | None = None


class Operations:
    """The operations of all keys."""

    def __init__(self, now: Callable[[], float], mint: Callable[[str], str], files: Files) -> None:
        self._now = now
        self._mint = mint
        self._files = files
        self._kept: OrderedDict[str, Operation] = OrderedDict()

    def begin(self, key: str, model: str, take: Take, parent: str, cloud: bool) -> Json:
        """`parent` is what the name of the operation begins with."""
        seconds = float(take.seconds)
        if take.source and not cloud:
            seconds = self._extended(take.source, key) + EXTENSION
        name = f"{parent}/operations/{self._mint('')}"
        job = Job(self._now(), takes(take.prompt))
        self._kept[name] = Operation(name, key, model, take, job, seconds, cloud)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return {"name": name}

    def poll(self, call: Call, name: str, key: str) -> Json:
        found = self._kept.get(name)
        if found is None:
            raise Refused(f"Operation {name} was not found.", "NOT_FOUND")
        if found.key != key:
            raise Refused("The caller does not have permission", "PERMISSION_DENIED")
        found.polls += 1
        words = found.take.prompt
        if found.job.progress(self._now()) < 100 or asked(words, "stuck"):
            return {"name": name, **({} if found.polls % 2 else {"done": False})}
        if (code := value(words, "failed")) is not None:
            number = int(code) if code.isdecimal() else 13
            error = {"code": number, "message": "Video generation failed. Please try again."}
            return {"name": name, "done": True, "error": error}
        outcome = self._in_the_cloud(found) if found.cloud else self._of_developers(call, found)
        return {"name": name, "done": True, "response": outcome}

    def directed(self, name: str) -> str:
        """The prompt of an operation, empty when there is none."""
        found = self._kept.get(name)
        return found.take.prompt if found else ""

    def _extended(self, uri: str, key: str) -> float:
        found = FILE.fullmatch(uri)
        source = self._files.usable(found.group(1), key) if found else None
        if source is None or source.engine != ENGINE:
            raise Refused("Only a video that this model has made can be extended.")
        if source.seconds > LONGEST_SOURCE:
            raise Refused(f"A video longer than {LONGEST_SOURCE} seconds cannot be extended.")
        return source.seconds

    def _film(self, operation: Operation) -> bytes:
        return film(*operation.take.size, operation.seconds, operation.take.prompt)

    def _of_developers(self, call: Call, operation: Operation) -> Json:
        words = operation.take.prompt
        if asked(words, "filtered"):
            return {"@type": DEVELOPERS_TYPE, "generateVideoResponse": _kept_back()}
        if asked(words, "encoded"):
            data = base64.b64encode(self._film(operation)).decode()
            video = {"encodedVideo": data, "encoding": "video/mp4"}
        else:
            if operation.file is None:
                operation.file = self._files.make(
                    operation.key, self._film(operation), operation.seconds, ENGINE, words
                )
            address = self._files.address(call, operation.file)
            video = {"uri": f"{address}:download?alt=media"}
        samples = {"generatedSamples": [{"video": video}]}
        return {"@type": DEVELOPERS_TYPE, "generateVideoResponse": samples}

    def _in_the_cloud(self, operation: Operation) -> Json:
        take = operation.take
        if asked(take.prompt, "filtered"):
            return {"@type": CLOUD_TYPE, **_kept_back()}
        if take.bucket:
            place = f"{take.bucket.rstrip('/')}/{operation.name.rpartition('/')[2]}"
            videos = [{"gcsUri": f"{place}/sample_{n}.mp4"} for n in range(take.count)]
        else:
            data = base64.b64encode(self._film(operation)).decode()
            videos = [{"bytesBase64Encoded": data}] * take.count
        told = [{**each, "mimeType": "video/mp4"} for each in videos]
        return {"@type": CLOUD_TYPE, "raiMediaFilteredCount": 0, "videos": told}


def prints(wish: Print) -> Json:
    """The pictures; an empty object when all of them are kept back."""
    kept = 0
    if asked(wish.prompt, "filtered"):
        kept = int(setting(wish.prompt, "filtered", wish.count))
    width, height = (int(side * SCALES[wish.size]) for side in PIXELS[wish.ratio])
    kind = next(kind for kind, media in MEDIA_TYPES.items() if media == wish.media)
    made: list[Json] = [
        {
            "mimeType": wish.media,
            "bytesBase64Encoded": base64.b64encode(
                picture(width, height, f"{wish.prompt} {number}", kind)
            ).decode(),
        }
        for number in range(wish.count - kept)
    ]
    if wish.reasons:
        made += [{"raiFilteredReason": REASON}] * min(kept, wish.count)
    return {"predictions": made} if made else {}


def last_words(body: Any) -> str:
    """The prompt of a request that nobody has looked at yet."""
    instances = body.get("instances") if isinstance(body, dict) else None
    first = instances[0] if isinstance(instances, list) and instances else None
    prompt = first.get("prompt") if isinstance(first, dict) else None
    return prompt if isinstance(prompt, str) else ""


def _kept_back() -> Json:
    return {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [REASON]}
