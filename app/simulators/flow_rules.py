"""What the Interactions API accepts of a request for a video: a table, then what goes together.

Names are in snake case throughout. A refusal carries the code that the envelope shows, a word and
not a number. What an interaction refers to, an earlier one or a file, is looked up elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.simulators.openai_checks import (
    Check,
    Refused,
    anything,
    array,
    base64_text,
    boolean,
    either,
    integer,
    mapping,
    one_of,
    record,
    string,
    tagged,
)

Json = dict[str, Any]

INVALID = "invalid_request"
TASKS = ("text_to_video", "image_to_video", "reference_to_video", "edit", "extend")
RATIOS = ("16:9", "9:16")
LINES: dict[str, int] = {"360p": 360, "720p": 720, "1080p": 1080, "4k": 2160}  # the short side
MOST_IMAGES, MOST_VIDEOS = 10, 3
MOST_STEP, MOST_IN_ALL = 10, 40  # seconds that an extension adds, and that they come to
FILE = re.compile(r"https?://[^/]+/(?:v\w+/)?files/([A-Za-z0-9_-]+)(?::download.*)?")
TAG = re.compile(r"<(FIRST_FRAME|LAST_FRAME|(IMAGE|VIDEO)_REF_(\d+)|VIDEO_0|PREVIOUS_VIDEO)>")

# Models and the seconds they make.
MODELS: dict[str, tuple[int, int]] = {
    "gemini-omni-1.1-flash": (3, 10),
    "gemini-omni-1.2-flash": (3, 15),
}
ENDED = frozenset({"gemini-omni-flash-preview"})

IMAGES = tuple(f"image/{each}" for each in "png jpeg webp heic heif".split())
VIDEOS = tuple(f"video/{each}" for each in "mp4 mpeg mpg mov avi x-flv webm wmv 3gpp".split())


def _media(*kinds: str) -> Check:
    check = record(
        {"type": anything, "mime_type": one_of(*kinds)}, {"data": base64_text, "uri": string()}
    )

    def checked(value: Any, at: str) -> None:
        check(value, at)
        if ("data" in value) == ("uri" in value):
            raise Refused(f"Exactly one of '{at}.data' and '{at}.uri' must be set.", at)
        if "uri" in value and not FILE.fullmatch(value["uri"]):
            raise Refused(f"Unsupported file URI at '{at}.uri'.", at)

    return checked


_content = tagged(
    {
        "text": record({"type": anything, "text": string()}),
        "image": _media(*IMAGES),
        "video": _media(*VIDEOS),
    }
)
_step = record({"type": one_of("user_input"), "content": array(_content, least=1)})


def _item(value: Any, at: str) -> None:
    step = isinstance(value, dict) and value.get("type") == "user_input"
    (_step if step else _content)(value, at)


_format = record(
    {"type": one_of("video")},
    {
        "aspect_ratio": one_of(*RATIOS),
        "resolution": one_of(*LINES),
        "duration": string(pattern=r"\d{1,3}s"),
        "delivery": one_of("inline", "uri"),
    },
)
_formats: Check = either({dict: _format, list: array(_format, least=1, most=1)})
REQUEST = record(
    {
        "model": string(least=1),
        "input": either({str: string(least=1), list: array(_item, least=1)}),
    },
    {
        "background": boolean,
        "store": boolean,
        "stream": boolean,
        "previous_interaction_id": string(least=1),
        "response_format": _formats,
        "generation_config": record(
            {}, {"video_config": record({}, {"task": one_of(*TASKS)}), "seed": integer()}
        ),
        "safety_settings": array(record({"category": string()}, more=True)),
        "service_tier": one_of("standard", "flex", "priority"),
        "labels": mapping(most=64, key=63, value_check=string(most=63)),
        "webhook_config": record({}, {"uris": array(string(least=1)), "user_metadata": anything}),
    },
)


@dataclass(frozen=True, slots=True)
class Wish:
    """An acceptable request, as facts. `seconds` is 0 where none were asked for."""

    model: str
    prompt: str
    content: tuple[Json, ...]
    task: str
    ratio: str
    resolution: str
    seconds: int
    inline: bool
    background: bool
    store: bool
    stream: bool
    previous: str

    def media(self, kind: str) -> list[Json]:
        """The images, or the videos, in order."""
        return [each for each in self.content if each["type"] == kind]

    @property
    def size(self) -> tuple[int, int]:
        short = LINES[self.resolution]
        sides = (short * 16 // 9, short)
        return sides if self.ratio == "16:9" else (sides[1], sides[0])


def accept(raw: Any) -> Wish:
    """The wish; raises `Refused` for the first thing wrong."""
    try:
        REQUEST(raw, "")
    except Refused as refused:
        at = refused.param or ""
        told = refused.message if at in refused.message else f"{at}: {refused.message}"
        raise Refused(told, at, INVALID) from None
    body: Json = raw
    require_model(body["model"])
    wish = _wish(body)
    if wish.background and not wish.store:
        raise _invalid("background=true requires store=true.")
    if not wish.store and wish.previous:
        raise _invalid("previous_interaction_id requires store=true.")
    _lengths(wish)
    _counts(wish)
    _task(wish)
    _tags(wish)
    return wish


def require_model(model: str) -> None:
    """Raises the 404 for a model that the Interactions API does not have."""
    if model in ENDED:
        raise Refused(f"Model {model} is no longer available.", code="not_found", status=404)
    if model not in MODELS:
        raise Refused(f"Model {model} was not found.", code="not_found", status=404)


def last_words(body: Any) -> str:
    """The words of the prompt, of a request that nobody has looked at yet."""
    given = body.get("input") if isinstance(body, dict) else None
    if isinstance(given, str):
        return given
    texts = [each.get("text") for each in _flat(given) if isinstance(each, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _flat(given: Any) -> Iterator[Any]:
    """The content objects, those inside steps too."""
    for each in given if isinstance(given, list) else ():
        inside = each.get("content") if isinstance(each, dict) else None
        if isinstance(inside, list):
            yield from inside
        else:
            yield each


def _wish(body: Json) -> Wish:
    given = body["input"]
    content = [{"type": "text", "text": given}] if isinstance(given, str) else list(_flat(given))
    shape = body.get("response_format") or {}
    shape = shape[0] if isinstance(shape, list) else shape
    config = (body.get("generation_config") or {}).get("video_config") or {}
    store = body.get("store", True)
    return Wish(
        model=body["model"],
        prompt=last_words(body),
        content=tuple(content),
        task=config.get("task", ""),
        ratio=shape.get("aspect_ratio", RATIOS[0]),
        resolution=shape.get("resolution", "720p"),
        seconds=int(shape["duration"].removesuffix("s")) if "duration" in shape else 0,
        inline=shape.get("delivery", "inline") == "inline",
        background=body.get("background", False),
        store=store,
        stream=body.get("stream", False),
        previous=body.get("previous_interaction_id", ""),
    )


def _lengths(wish: Wish) -> None:
    least, most = MODELS[wish.model]
    if wish.seconds and not least <= wish.seconds <= most:
        raise _invalid(
            f"response_format.duration must be between {least}s and {most}s, got {wish.seconds}s."
        )
    if wish.task == "extend" and wish.seconds > MOST_STEP:
        raise _invalid(f"An extension adds at most {MOST_STEP}s.")


def _counts(wish: Wish) -> None:
    if not wish.prompt.strip():
        raise _invalid("input must contain text.")
    if len(wish.media("image")) > MOST_IMAGES:
        raise _invalid(f"At most {MOST_IMAGES} images are supported.")
    if len(wish.media("video")) > MOST_VIDEOS:
        raise _invalid(f"At most {MOST_VIDEOS} videos are supported.")


def _task(wish: Wish) -> None:
    images, videos = wish.media("image"), wish.media("video")
    needed: dict[str, tuple[bool, str]] = {
        "text_to_video": (not images and not videos, "takes no images or videos"),
        "image_to_video": (bool(images) and not videos, "needs an image"),
        "reference_to_video": (bool(images or videos), "needs a reference"),
        "edit": (bool(videos or wish.previous), "needs a video or a previous interaction"),
        "extend": (bool(videos or wish.previous), "needs a video or a previous interaction"),
    }
    fits, words = needed.get(wish.task, (True, ""))
    if not fits:
        raise _invalid(f"Task {wish.task} {words}.")


def _tags(wish: Wish) -> None:
    """Every role that the prompt gives must have somebody to play it."""
    images, videos = len(wish.media("image")), len(wish.media("video"))
    tags = {found[0]: found for found in TAG.finditer(wish.prompt)}
    if "<LAST_FRAME>" in tags and "<FIRST_FRAME>" not in tags:
        raise _invalid("<LAST_FRAME> needs <FIRST_FRAME>.")
    for tag, found in tags.items():
        there = {
            "<FIRST_FRAME>": images > 0,
            "<LAST_FRAME>": images > 1,
            "<VIDEO_0>": videos > 0,
            "<PREVIOUS_VIDEO>": bool(wish.previous),
        }
        if found[2]:
            there[tag] = int(found[3]) < (images if found[2] == "IMAGE" else videos)
        if not there[tag]:
            raise _invalid(f"{tag} refers to an input that is not there.")


def _invalid(message: str) -> Refused:
    return Refused(message, code=INVALID)
