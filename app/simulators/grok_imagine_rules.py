"""What xAI accepts of a wish for a picture or a film: a table per route, then what goes together.

A body of the wrong shape is 422, in the words of a JSON parser; a value that is out of bounds, or
that the model does not have, is 400.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.simulators.grok_imagine import FILM_RATIOS, PICTURE_RATIOS, Director, director, painter
from app.simulators.grok_rules import ARGUMENT, IMAGE_TYPES, fitting
from app.simulators.openai_checks import (
    Check,
    Refused,
    anything,
    array,
    boolean,
    data_url,
    integer,
    null,
    one_of,
    record,
    string,
)

Body = dict[str, Any]

MOST_PICTURES = 10
MOST_EDITED = 3
MOST_REFERENCES = 7
LONGEST_FILM, LONGEST_WITH_REFERENCES = 15, 10
EDITABLE = (0.0, 8.7)  # seconds of a film that can be edited
EXTENDABLE = (2.0, 30.0)
EXTENSION = (2, 10)
FILM_TYPES = ("video/mp4",)


def _linked(kinds: tuple[str, ...]) -> Check:
    shape = record({}, {"url": string(least=1), "file_id": string(least=1), "type": string()})

    def checked(value: Any, at: str) -> None:
        shape(value, at)
        if ("url" in value) == ("file_id" in value):
            raise Refused(f"Exactly one of url and file_id must be set at {at}.", code=ARGUMENT)
        url = value.get("url", "")
        if url.startswith("data:"):
            data_url(url, at, kinds, ARGUMENT)
        elif url and not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise Refused(f"Invalid URL at {at}.", code=ARGUMENT)

    return checked


_image, _film = _linked(IMAGE_TYPES), _linked(FILM_TYPES)
_storage = record(
    {}, {"filename": string(), "expires_after": integer(1), "public_url": anything}, more=True
)
_picture: dict[str, Check] = {
    "model": string(least=1),
    "n": null(integer()),
    "aspect_ratio": null(string()),
    "resolution": null(one_of("1k", "2k")),
    "quality": null(one_of("low", "medium")),
    "response_format": null(one_of("url", "b64_json")),
    "user": string(),
    "storage_options": _storage,
}
DRAW = record({"prompt": string()}, {**_picture, "image": anything, "images": anything})
EDIT = record({"prompt": string()}, {**_picture, "image": _image, "images": array(_image)})

_made = {"model": string(least=1), "prompt": string()}
FILM = record(
    _made,
    {
        "duration": null(integer()),
        "aspect_ratio": null(string()),
        "resolution": null(one_of("480p", "720p", "1080p")),
        "image": null(_image),
        "reference_images": null(array(_image)),
        "reference_audios": null(array(record({"voice_id": string(least=1)}), most=3)),
        "generate_audio": boolean,
        "output": record({"upload_url": string(least=1)}),
        "user": string(),
        "storage_options": _storage,
    },
)
FILM_EDIT = record({**_made, "video": _film}, {"user": string()})
FILM_EXTENSION = record({**_made, "video": _film}, {"duration": null(integer())})


def accept_picture(body: Any, lenient: bool = False) -> Body:
    """A drawing the vendor would make; pictures that came with it do not count."""
    found = _picture_body(DRAW, body, lenient)
    return {name: value for name, value in found.items() if name not in ("image", "images")}


def accept_edit(body: Any, lenient: bool = False) -> Body:
    """An edit the vendor would make; its pictures are in `images` however they came."""
    found = _picture_body(EDIT, body, lenient)
    if "image" in found and "images" in found:
        raise _invalid("Only one of image and images may be set.")
    images = [found.pop("image")] if "image" in found else found.get("images") or []
    if not 1 <= len(images) <= MOST_EDITED:
        raise _invalid(f"Between 1 and {MOST_EDITED} images are required.")
    return {**found, "images": images}


def accept_film(body: Any) -> Body:
    """A film the vendor would make, with its defaults filled in."""
    found = _filled(FILM, body, {"duration": 8, "resolution": "480p"})
    model = director(found["model"])
    _prompt(found)
    references = found.get("reference_images")
    if references is not None and not 1 <= len(references) <= MOST_REFERENCES:
        raise _invalid(f"Between 1 and {MOST_REFERENCES} reference images may be given.")
    if references and found.get("image"):
        raise _invalid("image and reference_images cannot be used together.")
    longest = LONGEST_WITH_REFERENCES if references else LONGEST_FILM
    if not 1 <= found["duration"] <= longest:
        raise _invalid(f"duration must be between 1 and {longest}, got {found['duration']}.")
    if found.get("aspect_ratio") not in (None, *FILM_RATIOS):
        raise _invalid(f"aspect_ratio must be one of {', '.join(FILM_RATIOS)}.")
    _resolution(found, model, bool(references))
    if found.get("reference_audios") and not (model.voices and references):
        raise _invalid("reference_audios need reference_images, and a model that takes voices.")
    return found


def accept_film_edit(body: Any) -> Body:
    found = _filled(FILM_EDIT, body, {})
    director(found["model"])
    _prompt(found)
    return found


def accept_film_extension(body: Any) -> Body:
    found = _filled(FILM_EXTENSION, body, {"duration": 6})
    director(found["model"])
    _prompt(found)
    least, most = EXTENSION
    if not least <= found["duration"] <= most:
        raise _invalid(f"duration must be between {least} and {most}, got {found['duration']}.")
    return found


def require_length(seconds: float | None, bounds: tuple[float, float]) -> None:
    """Raises for a film that is too long or too short to work on; an unknown length passes."""
    least, most = bounds
    if seconds is not None and not least <= seconds <= most:
        raise _invalid(f"The video must be between {least:g} and {most:g} seconds long.")


def _picture_body(check: Check, raw: Any, lenient: bool) -> Body:
    known = raw
    if lenient and isinstance(raw, dict):
        known = {name: value for name, value in raw.items() if name in _KNOWN}
    found = _filled(check, known, {"model": "grok-imagine-image", "n": 1, "resolution": "1k"})
    model = painter(found["model"])
    _prompt(found)
    if not 1 <= found["n"] <= MOST_PICTURES:
        raise _invalid(f"n must be between 1 and {MOST_PICTURES}, got {found['n']}.")
    ratio = found.get("aspect_ratio")
    ratios = PICTURE_RATIOS if model.auto else PICTURE_RATIOS[:-1]
    if ratio not in (None, *ratios):
        raise _invalid(f"aspect_ratio must be one of {', '.join(ratios)}.")
    return found


_KNOWN = {*_picture, "prompt", "image", "images"}


def _filled(check: Check, raw: Any, defaults: Body) -> Body:
    """The body without its nulls and with the vendor's defaults."""
    fitting(check, raw)
    return defaults | {name: value for name, value in raw.items() if value is not None}


def _resolution(found: Body, model: Director, referring: bool) -> None:
    allowed: Iterable[str] = model.prices
    if referring:
        allowed = [each for each in model.prices if each != "1080p"]
    if found["resolution"] not in allowed:
        raise _invalid(
            f"resolution {found['resolution']} is not supported here. Supported: "
            f"{', '.join(allowed)}."
        )


def _prompt(found: Body) -> None:
    if not found["prompt"].strip():
        raise _invalid("prompt must not be empty.")


def _invalid(message: str) -> Refused:
    return Refused(message, code=ARGUMENT)
