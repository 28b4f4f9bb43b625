"""Images as OpenAI's clients ask for them, and as they are answered: fields in, fields out.

Files are not here: they are on disk, and whoever calls knows where.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.canonical.media import File, ImageJob, Pictures
from app.errors import BadRequest

QUALITIES = ("auto", "low", "medium", "high", "xhigh", "max")
OLD_QUALITIES = {"standard": "medium", "hd": "high"}
BACKGROUNDS = ("auto", "transparent", "opaque")
FORMATS = ("png", "jpeg", "webp")
EXTRAS = ("style", "moderation", "user", "input_fidelity", "seed", "negative_prompt")
MOST = 10
LONGEST_PROMPT = 32_000
_SIZE = re.compile(r"([0-9]{1,5})\s*[xX×*]\s*([0-9]{1,5})")
_RATIO = re.compile(r"([0-9]{1,3}(?:\.[0-9])?)[:/]([0-9]{1,3}(?:\.[0-9])?)")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_job(
    fields: Mapping[str, Any],
    model: str,
    *,
    images: tuple[File, ...] = (),
    mask: File | None = None,
    varies: bool = False,
    sets: Mapping[str, Any] = {},
) -> ImageJob:
    """The job that the fields describe. Forms hold texts where JSON has numbers; both are read. One
    that `varies` needs no prompt.
    """
    compression = whole(fields, "output_compression", 0, 100)
    return ImageJob(
        model=model,
        prompt="" if varies else prompt(fields),
        images=images,
        mask=mask,
        varies=varies,
        count=whole(fields, "n", 1, MOST) or 1,
        size=size(fields),
        aspect_ratio=aspect_ratio(fields),
        resolution=one_of(fields, "resolution", ("1k", "2k", "4k")).upper(),
        quality=_quality(fields),
        background=_unless_auto(one_of(fields, "background", BACKGROUNDS)),
        output_format=one_of({"output_format": _jpeg(fields)}, "output_format", FORMATS),
        output_compression=compression,
        partial_images=whole(fields, "partial_images", 0, 3) or 0,
        sets=sets,
        extras=extras(fields, EXTRAS),
    )


def write_reply(made: Pictures, created: int, data: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer around `data`, which has an entry for each picture."""
    reply: dict[str, Any] = {"created": created, "data": data}
    for name in ("background", "output_format", "quality", "size"):
        if value := getattr(made, name):
            reply[name] = value
    if made.usage is not None:
        reply["usage"] = dict(made.usage)
    return reply


def prompt(fields: Mapping[str, Any]) -> str:
    text = fields.get("prompt")
    if text is not None and not isinstance(text, str):
        raise BadRequest("{field} must be text", param="prompt", field="prompt")
    if text is None or not text.strip():
        raise BadRequest("{field} is required", param="prompt", field="prompt")
    if len(text) > LONGEST_PROMPT:
        raise BadRequest(
            "{field} is longer than {most} characters",
            param="prompt",
            field="prompt",
            most=LONGEST_PROMPT,
        )
    return text


def size(fields: Mapping[str, Any]) -> str:
    """WIDTHxHEIGHT; nothing for `auto`, and for nothing."""
    text = fields.get("size")
    if text in (None, "", "auto"):
        return ""
    found = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or not int(found[1]) or not int(found[2]):
        raise BadRequest("{field} must be like 1024x1024, or auto", param="size", field="size")
    return f"{int(found[1])}x{int(found[2])}"


def aspect_ratio(fields: Mapping[str, Any]) -> str:
    text = fields.get("aspect_ratio")
    if text in (None, "", "auto"):
        return ""
    found = _RATIO.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or not float(found[1]) or not float(found[2]):
        raise BadRequest("{field} must be like 16:9", param="aspect_ratio", field="aspect_ratio")
    return f"{found[1]}:{found[2]}"


def _quality(fields: Mapping[str, Any]) -> str:
    given = fields.get("quality")
    if isinstance(given, str) and given.lower() in OLD_QUALITIES:
        return OLD_QUALITIES[given.lower()]
    return _unless_auto(one_of(fields, "quality", QUALITIES, older=tuple(OLD_QUALITIES)))


def _jpeg(fields: Mapping[str, Any]) -> Any:
    given = fields.get("output_format")
    return "jpeg" if given == "jpg" else given


def _unless_auto(value: str) -> str:
    return "" if value == "auto" else value


def one_of(
    fields: Mapping[str, Any], name: str, allowed: tuple[str, ...], older: tuple[str, ...] = ()
) -> str:
    """The value in small letters. `older` ones are read by whoever calls, and told as allowed."""
    value = fields.get(name)
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or value.lower() not in allowed:
        words = ", ".join((*allowed, *older))
        raise BadRequest("{field} must be one of {allowed}", param=name, field=name, allowed=words)
    return value.lower()


def extras(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """What goes on to the platform as it is: a text, a number, or true or false."""
    found = {name: fields[name] for name in names if fields.get(name) not in (None, "")}
    for name, value in found.items():
        if not isinstance(value, (str, int, float)):
            raise BadRequest("{field} must be text", param=name, field=name)
    return found


def whole(fields: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = fields.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 9:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadRequest(
            "{field} must be a whole number from {least} to {most}",
            param=name,
            field=name,
            least=least,
            most=most,
        )
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value in (None, ""):
        return False
    found = value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower())
    if found is None:
        raise BadRequest("{field} must be true or false", param=name, field=name)
    return found
