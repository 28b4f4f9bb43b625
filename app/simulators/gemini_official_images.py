"""Pictures through Google's endpoint for OpenAI's clients.

`prompt`, `model`, `n`, `size` and `response_format` are read; any other field is dropped without a
word, unless it stands in `extra_body`. The answer is base64 whichever form was asked for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from app.simulators.directives import directives
from app.simulators.gemini_checks import Refused
from app.simulators.gemini_images import Drawing, drawing
from app.simulators.gemini_models import Traits, resolved, traits
from app.simulators.image_sides import nearest
from app.simulators.openai_checks import Refused as Unfit
from app.simulators.openai_checks import integer, null, one_of, record, string
from app.simulators.simulator import EPOCH

Json = dict[str, Any]

MOST = 10
_google = record({}, {"image_config": record({}, {"aspect_ratio": string()}, more=True)}, more=True)
REQUEST = record(
    {"prompt": string(least=1), "model": string(least=1)},
    {
        "n": null(integer(1, MOST)),
        "size": null(string(pattern=r"auto|[1-9]\d{1,3}x[1-9]\d{1,3}")),
        "response_format": null(one_of("url", "b64_json")),
        "extra_body": null(record({}, {"google": _google}, more=True)),
    },
    more=True,
)
STOPPED = re.compile(r"no_image|image_\w+|safety|prohibited_content|recitation|other", re.I)


def images_of(raw: Any) -> Json:
    """The answer to an acceptable request; raises `Refused` for any other."""
    try:
        REQUEST(raw, "")
    except Unfit as unfit:
        raise Refused(f"Invalid value: {unfit.message}") from None
    body: Json = raw
    found = traits(resolved(body["model"]))
    if not found.draws:
        raise Refused(f"Image generation is not supported by {body['model']}.")
    drawn = _drawing(body, found)
    if drawn is None or _withheld(body["prompt"]):
        raise Refused("The model did not generate any image. Try rephrasing the prompt.")
    data = [{"b64_json": part["inlineData"]["data"]} for part in drawn.parts()]
    return {"created": EPOCH, "data": data}


def _drawing(body: Json, found: Traits) -> Drawing | None:
    image = dict((body.get("extra_body") or {}).get("google", {}).get("image_config") or {})
    if ratio := (body.get("extra_body") or {}).get("aspect_ratio") or image.get("aspect_ratio"):
        if ratio not in found.ratios:
            raise Refused(f"aspect_ratio must be one of {', '.join(found.ratios)}.")
    elif (size := body.get("size") or "auto") != "auto":
        width, _, height = size.partition("x")
        ratio = nearest(int(width), int(height), found.ratios)
    config = {"imageConfig": {"aspectRatio": ratio} if ratio else {}}
    drawn = drawing({"contents": [{}], "generationConfig": config}, body["prompt"], found)
    return drawn and replace(drawn, count=body.get("n") or 1)


def _withheld(prompt: str) -> bool:
    """Whether a directive gives a finish reason, or says that the prompt is blocked."""
    return any(
        STOPPED.fullmatch(each.settings.get("finish", ""))
        or "blocked" in (*each.words, *each.settings)
        for each in directives(prompt)
    )
