"""OpenAI's pictures: `POST /v1/images/generations`, `/v1/images/edits` and `/v1/images/variations`.

They come as base64, with usage in tokens; streamed, with pictures on their way. Besides mishaps a
prompt may order `moderated` (the wish is refused) and `revised` (the answer says how the prompt was
read).

OpenAI ended variations with the only model that made them; they are played as they were, and as they
are now where `user`, which stands in for the prompt they have not, orders `gone`. A variation may
come as a link, which leads nowhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

from app.simulators.directives import asked
from app.simulators.exchange import Call, Frame, Reply, Stream, as_json
from app.simulators.image_sides import sides
from app.simulators.openai_checks import (
    Refused,
    boolean,
    missing,
    string,
    wrong_type,
    wrong_value,
)
from app.simulators.openai_house import Route, read_json
from app.simulators.openai_models import draws
from app.simulators.pictures import picture
from app.simulators.simulator import EPOCH

GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
VARIATIONS = "/v1/images/variations"
PATHS = (GENERATIONS, EDITS, VARIATIONS)
CLASSIC = ("1024x1024", "1536x1024", "1024x1536", "auto")
check_prompt = string(1, 32_000)
check_user = string()
check_url = string(1, 20_971_520)
MOST_PIXELS = 3840 * 2160
MOST_IMAGES = 16
MOST_BYTES = 50 << 20
HEADS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
IMAGE = re.compile(r"image(\[[0-9]*\])?")
FIELDS = frozenset("""prompt model n size quality background output_format output_compression
    moderation stream partial_images user""".split())
TOKENS = {"low": 272, "medium": 1056, "high": 4160, "auto": 1056}
MOST_TOKENS = 6240

VARIATION_MODEL = "dall-e-2"
VARIATION_SIZES = ("256x256", "512x512", "1024x1024")
VARIATION_FIELDS = frozenset("model n response_format size user".split())
VARIATION_BYTES = 4 << 20
PNG_HEAD = b"\x89PNG"
USUAL_VARIATION: dict[str, Any] = {
    "model": VARIATION_MODEL,
    "n": 1,
    "response_format": "url",
    "size": "1024x1024",
    "user": "",
}

USUAL = "gpt-image-2"
NEWEST = re.compile(r"gpt-image-2\.[56]")
ANY_SIZE = re.compile(r"gpt-image-2|chatgpt-image")
SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")

Json = dict[str, Any]

BROKEN: Json = {
    "type": "error",
    "error": {
        "type": "server_error",
        "code": "server_error",
        "message": "The server had an error while processing your request.",
        "param": None,
    },
}


class Images:
    """The routes for pictures. `mint` makes ids."""

    def __init__(self, mint: Callable[[str], str]) -> None:
        self._mint = mint

    def routes(self, call: Call) -> dict[str, Route]:
        found: dict[str, Route] = dict(
            zip(PATHS, (self._generate, self._edit, self._vary), strict=True)
        )
        return {"POST": found[call.path]} if call.path in found else {}

    def _generate(self, call: Call) -> Reply:
        return _made(_accepted(read_json(call), FIELDS), "image_generation", 0)

    def _edit(self, call: Call) -> Reply:
        kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        body, images, masks = (
            _edit_form(call) if kind == "multipart/form-data" else _edit_json(call)
        )
        for data in images + masks:
            _check_image(data)
        if masks:
            _check_mask(masks[0], images[0])
        return _made(body, "image_edit", len(images))

    def _vary(self, call: Call) -> Reply:
        body, image = _variation(call)
        wide, high = map(int, body["size"].split("x"))
        drawn = [picture(wide, high, f"{len(image)} {place}", "png") for place in range(body["n"])]
        if body["response_format"] == "b64_json":
            data = [{"b64_json": base64.b64encode(one).decode()} for one in drawn]
        else:
            data = [{"url": f"https://images.invalid/{self._mint('img-')}.png"} for _ in drawn]
        return Reply(200, as_json({"created": EPOCH, "data": data}))


def _variation(call: Call) -> tuple[Json, bytes]:
    """What is wished, and the picture that it is a variation of."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise Refused(f"Unsupported content type: '{kind}'.", code="unsupported_content_type")
    texts, files = read_form(call)
    for name in (*texts, *(name for name, _ in files if name != "image")):
        if name not in VARIATION_FIELDS:
            _unknown(name)
    check_user(texts.get("user", ""), "user")
    body = USUAL_VARIATION | _typed(texts)
    if body["model"] != VARIATION_MODEL:
        wrong_value(body["model"], "model", (VARIATION_MODEL,))
    if asked(body["user"], "gone"):
        raise Refused(
            f"The model '{VARIATION_MODEL}' does not exist.", "model", "model_not_found", 404
        )
    _number(body, "n", 1, 10)
    _one_of(body, "size", VARIATION_SIZES)
    _one_of(body, "response_format", ("url", "b64_json"))
    images = [data for name, data in files if name == "image"]
    if len(images) != 1:
        missing("image")
    found = sides(images[0])
    if not images[0].startswith(PNG_HEAD) or found is None or found[0] != found[1]:
        raise Refused("Uploaded image must be a square PNG.", "image", "invalid_image_file")
    if len(images[0]) >= VARIATION_BYTES:
        raise Refused("Uploaded image must be less than 4 MB.", "image", "image_too_large")
    return body, images[0]


def _edit_form(call: Call) -> tuple[Json, list[bytes], list[bytes]]:
    texts, files = read_form(call)
    body = _accepted(_typed(texts), FIELDS | {"input_fidelity"})
    images = [data for name, data in files if IMAGE.fullmatch(name)]
    masks = [data for name, data in files if name == "mask"]
    for name, _ in files:
        if name != "mask" and not IMAGE.fullmatch(name):
            _unknown(name)
    _check_count(images, "image")
    return body, images, masks


def _edit_json(call: Call) -> tuple[Json, list[bytes], list[bytes]]:
    body = _accepted(read_json(call), FIELDS | {"input_fidelity", "images", "mask"})
    given = body.get("images", [])
    if not isinstance(given, list):
        wrong_type(given, "images", "an array")
    _check_count(given, "images")
    images = [_linked(one, f"images[{place}]") for place, one in enumerate(given)]
    return body, images, [_linked(body["mask"], "mask")] if "mask" in body else []


def prompt_of(call: Call) -> str:
    """What a picture or a film was asked for with, in whatever form it came."""
    if call.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        name = "user" if call.path == VARIATIONS else "prompt"
        return read_form(call)[0].get(name, "")
    body = call.body()
    prompt = body.get("prompt") if isinstance(body, dict) else None
    return prompt if isinstance(prompt, str) else ""


def read_form(call: Call) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """The texts of a form by name, and its files."""
    head = b"content-type: " + call.headers.get("content-type", "").encode() + b"\r\n\r\n"
    form = message_from_bytes(head + call.raw)
    parts = form.get_payload() if form.is_multipart() else []
    texts: dict[str, str] = {}
    files: list[tuple[str, bytes]] = []
    for part in parts:
        if not isinstance(part, Message):
            continue
        name = str(part.get_param("name", "", "content-disposition"))
        data = part.get_payload(decode=True)
        data = data if isinstance(data, bytes) else b""
        if part.get_filename() is not None:
            files.append((name, data))
        else:
            texts[name] = data.decode("utf-8", "replace")
    return texts, files


def _typed(texts: dict[str, str]) -> Json:
    """A form has only texts; numbers and booleans are read."""
    body: Json = dict(texts)
    for name in ("n", "output_compression", "partial_images"):
        if name in body and body[name].isdecimal():
            body[name] = int(body[name])
    if body.get("stream") in ("true", "false"):
        body["stream"] = body["stream"] == "true"
    return body


def _accepted(body: Any, fields: frozenset[str]) -> Json:
    """The wishes that say something: null says nothing."""
    if not isinstance(body, dict):
        wrong_type(body, "body", "an object")
    for name in body:
        if name not in fields:
            _unknown(name)
    wishes: Json = {name: value for name, value in body.items() if value is not None}
    _check(wishes)
    if asked(wishes["prompt"], "moderated"):
        raise Refused(
            "Your request was rejected by the safety system.",
            code="moderation_blocked",
            kind="image_generation_user_error",
        )
    return wishes


def _check(body: Json) -> None:
    if "prompt" not in body:
        missing("prompt")
    check_prompt(body["prompt"], "prompt")
    model = body.get("model", USUAL)
    if not draws(model):
        raise Refused(f"The model '{model}' does not exist.", "model", "model_not_found", 404)
    _check_size(body.get("size", "auto"), model)
    more = ("xhigh", "max") if NEWEST.match(model) else ()
    _one_of(body, "quality", ("auto", "low", "medium", "high", *more))
    _one_of(body, "background", ("auto", "transparent", "opaque"))
    _one_of(body, "output_format", ("png", "jpeg", "webp"))
    _one_of(body, "moderation", ("auto", "low"))
    _one_of(body, "input_fidelity", ("low", "high"))
    _number(body, "n", 1, 10)
    _number(body, "output_compression", 0, 100)
    _number(body, "partial_images", 0, 3)
    boolean(body.get("stream", False), "stream")
    check_user(body.get("user", ""), "user")
    if body.get("background") == "transparent" and body.get("output_format") == "jpeg":
        raise Refused("Transparent background needs png or webp.", "background", "invalid_value")
    if "input_fidelity" in body and model.endswith("-mini"):
        raise Refused(
            f"The model '{model}' does not support 'input_fidelity'.",
            "input_fidelity",
            "unsupported_parameter",
        )


def _unknown(name: str) -> None:
    raise Refused(f"Unknown parameter: '{name}'.", name, "unknown_parameter")


def _one_of(body: Json, name: str, allowed: tuple[str, ...]) -> None:
    if name in body and body[name] not in allowed:
        wrong_value(body[name], name, allowed)


def _number(body: Json, name: str, least: int, most: int) -> None:
    value = body.get(name, least)
    if isinstance(value, bool) or not isinstance(value, int):
        wrong_type(value, name, "an integer")
    if value < least:
        raise Refused(f"Invalid '{name}': too small.", name, "integer_below_min_value")
    if value > most:
        raise Refused(f"Invalid '{name}': too large.", name, "integer_above_max_value")


def _check_size(size: Any, model: str) -> None:
    if size in CLASSIC:
        return
    found = SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None or not ANY_SIZE.match(model):
        wrong_value(size, "size", CLASSIC)
    wide, high = int(found[1]), int(found[2])
    if wide % 16 or high % 16 or not wide or not high or not 1 / 3 <= wide / high <= 3:
        wrong_value(size, "size", CLASSIC)
    if wide * high > MOST_PIXELS or max(wide, high) > 3840:
        wrong_value(size, "size", CLASSIC)


def _linked(given: Any, at: str) -> bytes:
    """What a data URL holds. Nobody here opens other addresses: they lead nowhere."""
    if not isinstance(given, dict):
        wrong_type(given, at, "an object")
    if len(given.keys() & {"image_url", "file_id"}) != 1:
        raise Refused(f"Give one of image_url and file_id at '{at}'.", at, "invalid_value")
    if "file_id" in given:
        raise Refused(f"No such File object: {given['file_id']}", at, status=404)
    url = given["image_url"]
    check_url(url, f"{at}.image_url")
    if not url.startswith("data:image/") or ";base64," not in url:
        raise Refused(f"Error while downloading {url[:80]}.", at, "invalid_image_url")
    try:
        data: bytes = base64.b64decode(url.partition(";base64,")[2], validate=True)
        return data
    except ValueError:
        raise Refused("Invalid base64 image data.", at, "invalid_value") from None


def _check_count(images: list[Any], at: str) -> None:
    if not images:
        missing(at)
    if len(images) > MOST_IMAGES:
        raise Refused(
            f"Invalid '{at}': array too long. Expected an array with maximum length "
            f"{MOST_IMAGES}, but got an array with length {len(images)} instead.",
            at,
            "array_above_max_length",
        )


def _check_image(data: bytes) -> None:
    if len(data) >= MOST_BYTES:
        raise Refused("Image is too large.", "image", "image_too_large")
    if not data.startswith(HEADS):
        raise Refused("Invalid image file or mode.", "image", "invalid_image_file")


def _check_mask(mask: bytes, image: bytes) -> None:
    if not mask.startswith(PNG_HEAD):
        raise Refused("Invalid mask image format - mask must be a PNG.", "mask", "invalid_value")
    if sides(mask) != sides(image):
        raise Refused("Mask and image have different sizes.", "mask", "invalid_value")


def _made(body: Json, name: str, images: int) -> Reply:
    about = {
        "background": "transparent" if body.get("background") == "transparent" else "opaque",
        "output_format": body.get("output_format", "png"),
        "quality": body.get("quality", "auto").replace("auto", "medium"),
        "size": body.get("size", "auto").replace("auto", "1024x1024"),
    }
    count = body.get("n", 1)
    usage = _usage(body, images, count)
    if body.get("stream"):
        frames = list(_frames(body, name, about, usage))
        stream = Stream(frames, error=(_record(BROKEN),))
        return Reply(200, stream, {}, "text/event-stream; charset=utf-8")
    more = (
        {"revised_prompt": f"Read as: {body['prompt']}"} if asked(body["prompt"], "revised") else {}
    )
    data = [{"b64_json": _drawn(body, about, at), **more} for at in range(count)]
    return Reply(200, as_json({"created": EPOCH, "data": data, **about, "usage": usage}))


def _drawn(body: Json, about: Json, place: int, words: str = "") -> str:
    wide, high = map(int, about["size"].split("x"))
    drawn = picture(
        wide,
        high,
        f"{body['prompt']} {place} {words}",
        about["output_format"],
        transparent=about["background"] == "transparent",
    )
    return base64.b64encode(drawn).decode()


def _frames(body: Json, name: str, about: Json, usage: Json) -> Iterator[Frame]:
    for place in range(body.get("partial_images", 0)):
        event = {
            "type": f"{name}.partial_image",
            "b64_json": _drawn(body, about, 0, f"partial {place}"),
            "created_at": EPOCH,
            **about,
            "partial_image_index": place,
        }
        yield Frame(_record(event), content=True)
    for place in range(body.get("n", 1)):
        event = {
            "type": f"{name}.completed",
            "b64_json": _drawn(body, about, place),
            "created_at": EPOCH,
            **about,
            "usage": usage,
        }
        yield Frame(_record(event), content=True, last=place == body.get("n", 1) - 1)


def _record(event: Json) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + as_json(event) + b"\n\n"


def _usage(body: Json, images: int, count: int) -> Json:
    text = max(1, len(body["prompt"]) // 4)
    seen = 323 * images
    made = TOKENS.get(body.get("quality", "auto"), MOST_TOKENS) * count
    return {
        "input_tokens": text + seen,
        "output_tokens": made,
        "total_tokens": text + seen + made,
        "input_tokens_details": {"text_tokens": text, "image_tokens": seen},
        "output_tokens_details": {"image_tokens": made, "text_tokens": 0},
    }
