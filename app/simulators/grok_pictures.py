"""Pictures by xAI: drawn from words, or from words and other pictures.

A picture is a JPEG, told by an address that needs no key and is gone after some hours, or in
base64. Besides mishaps a prompt may order `moderated` (the whole request is refused, and paid),
`withheld` (or `withheld=N`: so many of the pictures are left out for what they show), `prefixed`
(base64 with the head of a data URL, as it once was), `lenient` (fields the vendor does not know,
such as `size`, are passed over) and `keeps=SECONDS` (how long the address works).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from app.simulators.directives import asked, setting
from app.simulators.downloads import Shelf, origin
from app.simulators.exchange import Call, Reply, as_json
from app.simulators.grok_imagine import painter, picture_size, proportion
from app.simulators.grok_imagine_rules import accept_edit, accept_picture
from app.simulators.image_sides import sides
from app.simulators.pictures import picture

DRAW = "/v1/images/generations"
EDIT = "/v1/images/edits"
FOLDER = "/xai-imgen/"
HOURS = 3600.0
MODERATED = "imagine:content-moderated"

Json = dict[str, Any]


class Pictures:
    """The routes for pictures. `loaded` gives the bytes of a linked picture, if they are here."""

    def __init__(
        self,
        mint: Callable[[str], str],
        shelf: Shelf,
        loaded: Callable[[Call, Json], bytes | None],
    ) -> None:
        self._mint = mint
        self._shelf = shelf
        self._loaded = loaded

    def draw(self, call: Call, raw: Any) -> Reply:
        body = accept_picture(raw, lenient=_lenient(raw))
        ratio = body.get("aspect_ratio") or "1:1"
        return self._made(call, body, proportion("1:1" if ratio == "auto" else ratio))

    def edit(self, call: Call, raw: Any) -> Reply:
        """One picture keeps its shape; several are given the one that was asked for."""
        body = accept_edit(raw, lenient=_lenient(raw))
        first, *more = [self._loaded(call, image) for image in body["images"]]
        ratio = body.get("aspect_ratio")
        if more and ratio not in (None, "auto"):
            return self._made(call, body, proportion(ratio))
        return self._made(call, body, (sides(first) if first else None) or (1, 1))

    def _made(self, call: Call, body: Json, shape: tuple[float, float]) -> Reply:
        words, count = body["prompt"], body["n"]
        usage = {"cost_in_usd_ticks": count * painter(body["model"]).prices[body["resolution"]]}
        if asked(words, "moderated"):
            return moderated(usage)
        withheld = int(setting(words, "withheld", count)) if asked(words, "withheld") else 0
        size = picture_size(*shape, body["resolution"])
        data = [
            (
                self._told(call, body, picture(*size, f"{words} {number}", "jpeg"))
                if number < count - withheld
                else _withheld(body)
            )
            for number in range(count)
        ]
        return Reply(200, as_json({"data": data, "usage": usage}))

    def _told(self, call: Call, body: Json, data: bytes) -> Json:
        told: Json = {"mime_type": "image/jpeg", "revised_prompt": ""}
        if body.get("response_format") == "b64_json":
            head = "data:image/jpeg;base64," if asked(body["prompt"], "prefixed") else ""
            return {"b64_json": head + base64.b64encode(data).decode(), **told}
        path = f"{FOLDER}{self._mint('xai-tmp-imgen-')}.jpeg"
        self._shelf.put(path, data, "image/jpeg", setting(body["prompt"], "keeps", HOURS))
        return {"url": origin(call) + path, **told}


def moderated(usage: Json, words: str = "Generated image rejected by content moderation.") -> Reply:
    """The refusal of something that was made all the same and has its price."""
    return Reply(400, as_json({"code": MODERATED, "error": words, "usage": usage}))


def _lenient(raw: Any) -> bool:
    prompt = raw.get("prompt") if isinstance(raw, dict) else None
    return isinstance(prompt, str) and asked(prompt, "lenient")


def _withheld(body: Json) -> Json:
    name = body.get("response_format") or "url"
    return {name: "", "mime_type": "image/jpeg", "respect_moderation": False}
