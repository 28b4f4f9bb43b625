"""Pictures that anybody can open, made on the spot from the words they were asked for with."""

from __future__ import annotations

from app.simulators.jpeg import UNIT, jpeg
from app.simulators.png import png
from app.simulators.sketch import sketch
from app.simulators.webp import webp

MEDIA_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


def picture(
    width: int, height: int, words: str, kind: str = "png", *, transparent: bool = False
) -> bytes:
    """A picture of this size as png, jpeg or webp. The same words give the same picture.

    `transparent` leaves the ground of a png or a webp see-through; a jpeg has no such thing.
    """
    if kind == "jpeg":
        units = sketch(-(-width // UNIT), -(-height // UNIT), words)
        return jpeg(width, height, units)
    stripes = sketch(width, height, words, transparent)
    return {"png": png, "webp": webp}[kind](width, height, stripes)
