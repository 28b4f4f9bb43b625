"""What an image model draws: in which shape, of how many pixels, and what it counts as.

Without a ratio asked for a picture is square, or shaped like the first picture that came with the
prompt. A prompt may order `undrawn` (words alone, and an ordinary STOP), `pictures=N`, `mixed`
(words and pictures by turns), `jpeg` (instead of PNG) and `draft` (a picture among the thoughts,
which otherwise comes where thoughts are asked for, and from a model that cannot hide them).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.simulators.directives import asked, setting
from app.simulators.gemini_checks import Refused, decoded
from app.simulators.gemini_models import Traits
from app.simulators.gemini_thoughts import of_text
from app.simulators.gemini_turns import inner
from app.simulators.image_sides import nearest, sides
from app.simulators.pictures import MEDIA_TYPES, picture

Json = dict[str, Any]

# Width and height at 1K, by ratio.
PIXELS: dict[str, tuple[int, int]] = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
    "1:4": (512, 2048),
    "4:1": (2048, 512),
    "1:8": (384, 3072),
    "8:1": (3072, 384),
}
SCALES: dict[str, float] = {"512": 0.5, "1K": 1, "2K": 2, "4K": 4}
TOKENS: dict[str, int] = {"512": 747, "1K": 1120, "2K": 1680, "4K": 2520}
LARGEST_INPUT = 7 * 1024 * 1024
MOST_PICTURES = 4


@dataclass(frozen=True, slots=True)
class Drawing:
    """Pictures that are all alike."""

    width: int
    height: int
    tokens: int
    words: str
    count: int = 1
    kind: str = "png"

    def parts(self) -> Iterator[Json]:
        """A part for each of the pictures; they differ, and each is signed."""
        for number in range(self.count):
            yield self._part(number) | {"thoughtSignature": of_text(f"picture {number}")}

    def draft(self) -> Json:
        return self._part(self.count) | {"thought": True}

    def _part(self, number: int) -> Json:
        data = picture(self.width, self.height, f"{self.words} {number}", self.kind)
        blob = {"mimeType": MEDIA_TYPES[self.kind], "data": base64.b64encode(data).decode()}
        return {"inlineData": blob}


def drawing(body: Json, text: str, found: Traits) -> Drawing | None:
    """What is to be drawn for an accepted request; None when the answer is in words alone."""
    config = body.get("generationConfig") or {}
    modalities = config.get("responseModalities") or ["TEXT", "IMAGE"]
    if not found.draws or "IMAGE" not in modalities or asked(text, "undrawn"):
        return None
    image = config.get("imageConfig") or {}
    size = image.get("imageSize") or ("1K" if "1K" in found.sizes else found.sizes[0])
    width, height = PIXELS[image.get("aspectRatio") or _followed(body, found)]
    return Drawing(
        width=int(width * SCALES[size]),
        height=int(height * SCALES[size]),
        tokens=TOKENS[size],
        words=text,
        count=max(1, min(int(setting(text, "pictures", 1)), MOST_PICTURES)),
        kind="jpeg" if asked(text, "jpeg") else "png",
    )


def require_inputs(contents: list[Json], found: Traits) -> None:
    """Raises for more pictures than an image model looks at, or one that is too large."""
    blobs = [blob for one in contents if one.get("role") != "model" for blob in _images(one)]
    if len(blobs) > found.most_images:
        raise Refused(f"Too many images: at most {found.most_images} are supported by this model.")
    for blob in blobs:
        if len(decoded(blob["data"])) > LARGEST_INPUT:
            raise Refused("Inline image data exceeds the limit of 7 MB for each image.")


def _images(content: Json) -> list[Json]:
    return [one for one in inner(content, "inlineData") if one["mimeType"].startswith("image/")]


def _followed(body: Json, found: Traits) -> str:
    for blob in _images(body["contents"][-1]):
        if size := sides(decoded(blob["data"])):
            return nearest(*size, found.ratios)
    return found.ratios[0]
