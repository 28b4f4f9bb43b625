"""What the video and image models of the older shape accept: instances and parameters.

The same tables serve two hosts. On the developers' one a picture comes as bytes, a video as the
address of an earlier result, and a few parameters are unknown; Google Cloud knows those too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.simulators.gemini_checks import (
    Reader,
    Refused,
    anything,
    boolean,
    encoded,
    integer,
    message,
    real,
    repeated,
    string,
)

Json = dict[str, Any]

RATIOS = ("16:9", "9:16")
LINES = {"720p": 720, "1080p": 1080, "4k": 2160}
SECONDS = (4, 6, 8)
LONGEST_SOURCE, EXTENSION = 141, 7
MOST_REFERENCES = 3
MOST_WORDS = 1024
VIDEO_MODELS = (
    "veo-3.1-generate-preview",
    "veo-3.1-fast-generate-preview",
    "veo-3.1-lite-generate-preview",
)
CLOUD_MODELS = ("veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001")
IMAGE_MODELS = (
    "imagen-4.0-generate-001",
    "imagen-4.0-ultra-generate-001",
    "imagen-4.0-fast-generate-001",
)
IMAGE_RATIOS = ("1:1", "3:4", "4:3", "9:16", "16:9")
PEOPLE = ("dont_allow", "allow_adult", "allow_all")

_image = message(
    {"bytesBase64Encoded": encoded, "gcsUri": string, "mimeType": string, "inlineData": anything}
)
_video = message(
    {
        "uri": string,
        "encodedVideo": encoded,
        "encoding": string,
        "gcsUri": string,
        "bytesBase64Encoded": encoded,
        "mimeType": string,
    }
)
_instance = message(
    {
        "prompt": string,
        "image": _image,
        "lastFrame": _image,
        "referenceImages": repeated(message({"image": _image, "referenceType": string})),
        "video": _video,
    }
)
_parameters: dict[str, Reader] = {
    "aspectRatio": string,
    "resolution": string,
    "durationSeconds": integer,
    "negativePrompt": string,
    "personGeneration": string,
    "sampleCount": integer,
    "seed": integer,
    "enhancePrompt": boolean,
}
_clouds: dict[str, Reader] = {
    **_parameters,
    "storageUri": string,
    "generateAudio": boolean,
    "resizeMode": string,
    "compressionQuality": string,
    "fps": integer,
    "pubsubTopic": string,
}


def _request(instance: Reader, parameters: Mapping[str, Reader]) -> Reader:
    return message({"instances": repeated(instance), "parameters": message(parameters)})


DEVELOPERS = _request(_instance, _parameters)
CLOUD = _request(_instance, _clouds)
IMAGEN = _request(
    message({"prompt": string}),
    {
        "sampleCount": integer,
        "aspectRatio": string,
        "imageSize": string,
        "sampleImageSize": string,
        "personGeneration": string,
        "includeRaiReason": boolean,
        "outputMimeType": string,
        "outputOptions": anything,
        "guidanceScale": real,
        "seed": integer,
        "language": string,
    },
)


@dataclass(frozen=True, slots=True)
class Take:
    """An acceptable wish for a film, as facts; `source` is the address of the one to go on with."""

    prompt: str
    ratio: str
    resolution: str
    seconds: int
    count: int
    source: str
    bucket: str

    @property
    def size(self) -> tuple[int, int]:
        short = LINES[self.resolution]
        sides = (short * 16 // 9, short)
        return sides if self.ratio == "16:9" else (sides[1], sides[0])


@dataclass(frozen=True, slots=True)
class Print:
    """An acceptable wish for pictures."""

    prompt: str
    ratio: str
    size: str
    count: int
    reasons: bool
    media: str


def accept_video(raw: Any, model: str, cloud: bool) -> Take:
    instance, parameters = _read(CLOUD if cloud else DEVELOPERS, raw)
    images = [instance[name] for name in ("image", "lastFrame") if name in instance]
    references = instance.get("referenceImages") or []
    for each in (*images, *(one.get("image") or {} for one in references)):
        _require_image(each, cloud)
    if "lastFrame" in instance and "image" not in instance:
        raise Refused("lastFrame needs image.")
    if references and (images or "video" in instance):
        raise Refused("referenceImages cannot be combined with image, lastFrame or video.")
    if len(references) > MOST_REFERENCES:
        raise Refused(f"At most {MOST_REFERENCES} reference images are supported.")
    if any(each.get("referenceType") != "asset" for each in references):
        raise Refused("referenceType must be asset.")
    if "video" in instance and images:
        raise Refused("video cannot be combined with image or lastFrame.")
    take = _take(instance, parameters)
    _require_shape(take, model)
    _require_eight(take, parameters, bool(references or take.source or "lastFrame" in instance))
    if not cloud:
        _require_people(parameters.get("personGeneration"), bool(images or references))
    if not 1 <= take.count <= (4 if cloud else 1):
        raise Refused("sampleCount is out of range.")
    return take


def accept_image(raw: Any, model: str) -> Print:
    instance, parameters = _read(IMAGEN, raw)
    ratio = parameters.get("aspectRatio", IMAGE_RATIOS[0])
    size = parameters.get("imageSize") or parameters.get("sampleImageSize") or "1K"
    wanted = parameters.get("sampleCount", 4 if "ultra" not in model else 1)
    if ratio not in IMAGE_RATIOS:
        raise Refused(f"aspectRatio must be one of {', '.join(IMAGE_RATIOS)}.")
    if size not in ("1K", "2K"):
        raise Refused("imageSize must be one of 1K, 2K.")
    if "fast" in model and ("imageSize" in parameters or "sampleImageSize" in parameters):
        raise Refused("imageSize is not supported by this model.")
    if not 1 <= wanted <= (1 if "ultra" in model else 4):
        raise Refused("sampleCount is out of range.")
    if parameters.get("personGeneration", PEOPLE[0]) not in PEOPLE:
        raise Refused(f"personGeneration must be one of {', '.join(PEOPLE)}.")
    media = parameters.get("outputMimeType", "image/png")
    if media not in ("image/png", "image/jpeg"):
        raise Refused("outputMimeType must be image/png or image/jpeg.")
    return Print(
        prompt=instance["prompt"],
        ratio=ratio,
        size=size,
        count=wanted,
        reasons=parameters.get("includeRaiReason", False),
        media=media,
    )


def _read(check: Reader, raw: Any) -> tuple[Json, Json]:
    body: Json = check(raw, "")
    instances = body.get("instances") or []
    if len(instances) != 1:
        raise Refused("Exactly one instance is required.")
    if not instances[0].get("prompt", "").strip() and "image" not in instances[0]:
        raise Refused("The prompt must not be empty.")
    if len(instances[0].get("prompt", "").split()) > MOST_WORDS:
        raise Refused(f"The prompt must not be longer than {MOST_WORDS} tokens.")
    return {"prompt": "", **instances[0]}, body.get("parameters") or {}


def _require_image(image: Json, cloud: bool) -> None:
    for name, there in (("inlineData", True), ("gcsUri", not cloud)):
        if there and name in image:
            raise Refused(
                f"`{name}` isn't supported by this model. Please remove it or refer to the Gemini "
                "API documentation for supported usage."
            )
    if "mimeType" not in image or not ("bytesBase64Encoded" in image or "gcsUri" in image):
        raise Refused("An image needs bytesBase64Encoded and mimeType.")


def _take(instance: Json, parameters: Json) -> Take:
    video = instance.get("video") or {}
    source = video.get("uri") or video.get("gcsUri") or ""
    if "video" in instance and not source:
        raise Refused("video needs the uri of an earlier result.")
    return Take(
        prompt=instance["prompt"],
        ratio=parameters.get("aspectRatio", RATIOS[0]),
        resolution=parameters.get("resolution", "720p"),
        seconds=parameters.get("durationSeconds", 8),
        count=parameters.get("sampleCount", 1),
        source=source,
        bucket=parameters.get("storageUri", ""),
    )


def _require_shape(take: Take, model: str) -> None:
    lite = "lite" in model
    if take.ratio not in RATIOS:
        raise Refused(f"aspectRatio must be one of {', '.join(RATIOS)}.")
    if take.resolution not in LINES or (lite and take.resolution == "4k"):
        raise Refused(f"resolution {take.resolution} is not supported by this model.")
    if take.seconds not in SECONDS:
        raise Refused("durationSeconds must be one of 4, 6, 8.")
    if take.source and take.resolution != "720p":
        raise Refused("A video can only be extended at 720p.")
    if take.source and lite:
        raise Refused("Extending a video is not supported by this model.")


def _require_eight(take: Take, parameters: Json, bound: bool) -> None:
    if (bound or take.resolution != "720p") and parameters.get("durationSeconds", 8) != 8:
        raise Refused(
            "durationSeconds must be 8 with 1080p, 4k, reference images, a last frame or an "
            "extension."
        )


def _require_people(asked: str | None, images: bool) -> None:
    allowed = "allow_adult" if images else "allow_all"
    if asked not in (None, allowed):
        raise Refused(f"{asked} for personGeneration is currently not supported.")
