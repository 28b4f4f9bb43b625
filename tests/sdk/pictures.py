"""Which model of each platform draws, and how its simulator is told to refuse."""

from __future__ import annotations

import re
from dataclasses import dataclass

import httpx2

from app.canonical.media_type import sniff
from app.platforms import PLATFORMS
from app.simulators.image_sides import sides


@dataclass(frozen=True, slots=True)
class Painter:
    """`masks` and `partials`: whether the platform has them. `edits`: how many pictures an edit
    takes.
    """

    model: str
    refusal: str = "simulate: moderated"
    masks: bool = False
    partials: bool = False
    edits: int = 3
    counts: bool = True  # tokens


_OPENAI = Painter("gpt-image-2", masks=True, partials=True)
_GOOGLE = Painter("gemini-nano-banana-2.1", refusal="simulate: blocked")
PAINTERS = {
    "chatgpt": _OPENAI,
    "codex": _OPENAI,
    "sora": _OPENAI,
    "flow": _GOOGLE,
    "gemini": _GOOGLE,
    "gemini_official": _GOOGLE,
    "grok": Painter("grok-imagine-image", counts=False),
}
DRAWING = sorted(name for name, one in PLATFORMS.items() if one.images is not None)
SHOWN = re.compile(r"!\[image\]\((http://127\.0\.0\.1:\d+/\S+)\)")


def look(data: bytes) -> tuple[str, tuple[int, int]]:
    """What a picture is, and its size."""
    found = sides(data)
    assert found is not None
    return sniff(data[:4096]) or "", found


def opened(url: str) -> tuple[str, tuple[int, int]]:
    """As anybody would who was only given the link."""
    answer = httpx2.get(url)
    assert answer.status_code == 200, answer.text
    media_type, size = look(answer.content)
    assert answer.headers["content-type"] == media_type
    assert url.endswith({"image/jpeg": (".jpg", ".jpeg")}.get(media_type, media_type[6:]))
    return media_type, size


def shown(text: str) -> tuple[int, int]:
    """The size of the picture that the text is, and nothing else."""
    found = SHOWN.fullmatch(text)
    assert found, text
    return opened(found[1])[1]
