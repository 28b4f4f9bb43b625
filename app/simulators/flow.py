"""Google's engines for videos and pictures: interactions, operations, files, and generateContent.

The host is that of Gemini's own API, with its keys and its refusals; pictures by generateContent
are drawn as there. Two shapes of error live side by side: interactions tell what is wrong with a
request under a word, everything else under a number, and what the front end refuses there comes in
an array. Each key is a project of its own, so that nothing of one key is there for another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from app.simulators.directives import asked
from app.simulators.exchange import Call, Reply, Stream, as_json
from app.simulators.flow_files import FILES, REDIRECTED, Files
from app.simulators.flow_interactions import PATH as INTERACTIONS
from app.simulators.flow_interactions import Interaction, Interactions
from app.simulators.flow_rules import accept, last_words
from app.simulators.flow_uploads import UPLOADS, Uploads
from app.simulators.flow_veo import Operations
from app.simulators.flow_veo import last_words as last_prompt
from app.simulators.flow_veo import prints
from app.simulators.flow_veo_rules import (
    CLOUD_MODELS,
    IMAGE_MODELS,
    VIDEO_MODELS,
    accept_image,
    accept_video,
)
from app.simulators.gemini import HOUSE, JSON_TYPE, GeminiSimulator, read
from app.simulators.gemini_checks import Refused
from app.simulators.later import Later
from app.simulators.mishaps import Mishap
from app.simulators.openai_checks import Refused as Unfit
from app.simulators.simulator import wait

VERSION = r"/(?:v1beta1|v1beta|v1alpha|v1)"
PREDICT = re.compile(rf"{VERSION}/models/([^:/]+):(predict|predictLongRunning)")
OPERATION = re.compile(rf"{VERSION}/(models/[^:/]+/operations/[\w-]+)")
CLOUD = re.compile(
    rf"{VERSION}/(projects/[^/]+/locations/[^/]+/publishers/google/models/([^:/]+))"
    r":(predictLongRunning|fetchPredictOperation)"
)

Json = dict[str, Any]


class FlowSimulator(GeminiSimulator):
    """`retired` are models that are answered with 404 from now on."""

    name = "flow"
    more_models = (
        {
            "name": "models/gemini-omni-1.1-flash",
            "version": "omni-1.1",
            "displayName": "Gemini Omni 1.1 Flash",
            "description": "The offline simulator of Gemini Omni 1.1 Flash",
            "inputTokenLimit": 32_768,
            "outputTokenLimit": 65_536,
            "supportedGenerationMethods": [],
        },
    )

    def __init__(self) -> None:
        super().__init__()
        self.retired: set[str] = set()
        self._later = Later()
        self._files = Files(self.clock.now, self._plain)
        self._uploads = Uploads(self._files, self._plain)
        self._interactions = Interactions(self.clock.now, self.mint, self._files)
        self._operations = Operations(self.clock.now, self._plain, self._files)

    def credential(self, call: Call) -> str:
        """A redirected download and the address of an upload need none; the Cloud takes no keys."""
        if call.path.startswith(REDIRECTED) or _going_on(call):
            return "anybody"
        if CLOUD.fullmatch(call.path):
            return super(GeminiSimulator, self).credential(call)
        return super().credential(call)

    def prompt(self, call: Call) -> str:
        if call.method != "POST":
            return ""
        if INTERACTIONS.fullmatch(call.path):
            return last_words(call.body())
        if PREDICT.fullmatch(call.path) or CLOUD.fullmatch(call.path):
            return last_prompt(call.body())
        return super().prompt(call)

    def mishap(self, call: Call, prompt: str) -> Mishap | None:
        found = super().mishap(call, prompt)
        if found:
            return found
        name, stage, words = self._pursued(call)
        return self._later.take(name, stage, words) if words else None

    def answer(self, call: Call) -> Reply:
        try:
            return super().answer(call)
        except Unfit as unfit:
            error = {"code": unfit.code, "message": unfit.message}
            return Reply(unfit.status, as_json({"error": error}), HOUSE, JSON_TYPE)

    def refusal(self, call: Call, kind: str, mishap: Mishap) -> Reply:
        reply = super().refusal(call, kind, mishap)
        front = kind in ("keyless", "refuse", "forbid") and INTERACTIONS.fullmatch(call.path)
        if front and isinstance(reply.body, bytes):
            body = b"[" + reply.body + b"]"
            return Reply(reply.status, body, reply.headers, reply.content_type)
        return reply

    def _routed(self, call: Call) -> Reply:
        routes: tuple[tuple[re.Pattern[str], Callable[..., Reply]], ...] = (
            (INTERACTIONS, self._interaction),
            (FILES, self._file),
            (PREDICT, self._predict),
            (OPERATION, self._operation),
            (CLOUD, self._cloud),
        )
        for pattern, route in routes:
            if found := pattern.fullmatch(call.path):
                return route(call, *found.groups())
        if UPLOADS.fullmatch(call.path) and call.method == "POST":
            return self._uploads.answer(call, self.credential(call))
        if call.path.startswith(REDIRECTED) and call.method == "GET":
            return self._files.redirected(call)
        return super()._routed(call)

    # Interactions.

    def _interaction(self, call: Call, name: str | None, cancel: str | None) -> Reply:
        key = self.credential(call)
        match call.method, name, cancel:
            case "POST", None, None:
                return self._begun(call, key)
            case "GET", str(), None:
                return self._told(call, self._interactions.find(name, key))
            case "POST", str(), str():
                return self._told(call, self._interactions.cancel(name, key))
            case "DELETE", str(), None:
                self._interactions.remove(name, key)
                return _json({})
        raise Refused("Requested entity was not found.", "NOT_FOUND")

    def _begun(self, call: Call, key: str) -> Reply:
        wish = accept(read(call))
        self._require_served(wish.model, wish.prompt)
        begun = self._interactions.begin(key, wish)
        if wish.stream:
            frames = self._interactions.events(call, begun, wait)
            broken = {"code": "internal", "message": "An internal error has occurred."}
            error = b"event: error\ndata: " + as_json({"event_type": "error", "error": broken})
            return Reply(200, Stream(frames, error=(error + b"\n\n",)), HOUSE, "text/event-stream")
        if not wish.background:
            self._interactions.wait(begun, wait)
        return self._told(call, begun)

    def _told(self, call: Call, interaction: Interaction) -> Reply:
        return _json(self._interactions.told(call, interaction))

    # Files.

    def _file(self, call: Call, name: str | None, download: str | None) -> Reply:
        key = self.credential(call)
        match call.method, name, download:
            case "GET", None, None:
                return _json(self._files.listed(call, key))
            case "GET", str(), None:
                return _json(self._files.described(call, self._files.find(name, key)))
            case "GET", str(), str():
                return self._files.download(call, name, key)
            case "DELETE", str(), None:
                self._files.remove(name, key)
                return _json({})
        raise Refused("Requested entity was not found.", "NOT_FOUND")

    # The older shape.

    def _predict(self, call: Call, model: str, verb: str) -> Reply:
        known = IMAGE_MODELS if verb == "predict" else VIDEO_MODELS
        if call.method != "POST" or model not in known:
            raise _gone(model)
        raw = read(call)
        self._require_served(model, last_prompt(raw))
        if verb == "predict":
            return _json(prints(accept_image(raw, model)))
        take = accept_video(raw, model, cloud=False)
        key = self.credential(call)
        return _json(self._operations.begin(key, model, take, f"models/{model}", cloud=False))

    def _operation(self, call: Call, name: str) -> Reply:
        return _json(self._operations.poll(call, name, self.credential(call)))

    def _cloud(self, call: Call, parent: str, model: str, verb: str) -> Reply:
        if call.method != "POST" or model not in CLOUD_MODELS:
            raise _gone(model)
        raw, key = read(call), self.credential(call)
        if verb == "fetchPredictOperation":
            name = raw.get("operationName") if isinstance(raw, dict) else None
            return _json(self._operations.poll(call, str(name), key))
        self._require_served(model, last_prompt(raw))
        take = accept_video(raw, model, cloud=True)
        return _json(self._operations.begin(key, model, take, parent, cloud=True))

    def _require_served(self, model: str, words: str) -> None:
        if model in self.retired or asked(words, "retired"):
            raise _gone(model)

    def _pursued(self, call: Call) -> tuple[str, str, str]:
        """The job or file that a request comes back for, the stage it is at, and its prompt."""
        if call.method != "GET":
            return "", "", ""
        if (found := INTERACTIONS.fullmatch(call.path)) and found[1]:
            return found[1], "poll", self._interactions.directed(found[1])
        if found := OPERATION.fullmatch(call.path):
            return found[1], "poll", self._operations.directed(found[1])
        if (found := FILES.fullmatch(call.path)) and found[1]:
            stage = "download" if found[2] else "look"
            return found[1], stage, self._files.directed(found[1])
        return "", "", ""

    def _plain(self, prefix: str) -> str:
        """An id of small letters and digits, as the vendor's SDK expects of a file."""
        return self.mint(prefix, 12)


def _going_on(call: Call) -> bool:
    return bool(UPLOADS.fullmatch(call.path) and call.parameter("upload_id"))


def _json(value: Json) -> Reply:
    return Reply(200, as_json(value), HOUSE, JSON_TYPE)


def _gone(model: str) -> Refused:
    return Refused(
        f"models/{model} is not found for API version v1beta, or is not supported for this method.",
        "NOT_FOUND",
    )
