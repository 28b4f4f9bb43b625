"""Who makes films, with which model: each platform that has them, and Sora on the engines of others."""

from __future__ import annotations

from dataclasses import dataclass

from app.simulators.films import film
from tests.sdk.pictures import DRAWING
from tests.stack import Stack

MODELS = {
    "sora": "sora-2",
    "grok": "grok-imagine-video",
    "flow": "veo_3_1",
    "gemini_official": "gemini-omni-1.1-flash",
}
AT_ONCE, LATER = "simulate: moderated", "simulate: declined"  # who refuses, and who makes nothing
REFUSALS = {"sora": AT_ONCE, "grok": AT_ONCE, "flow": LATER, "gemini_official": LATER}
MP4 = film(1280, 720, 4, "")
ENGINES = {f"sora by {name}": name for name in MODELS if name != "sora"}
HOUSES = sorted(MODELS.keys() | ENGINES.keys())
NO_HOUSES = sorted(set(DRAWING) - MODELS.keys())


@dataclass(frozen=True)
class House:
    """Where films are asked for: a column of the matrix. `maker` is the platform that is asked for them."""

    name: str
    stack: Stack

    @property
    def platform(self) -> str:
        return "sora" if self.name in ENGINES else self.name

    @property
    def maker(self) -> str:
        return ENGINES.get(self.name, self.name)

    @property
    def model(self) -> str:
        return MODELS[self.platform]

    @property
    def refusal(self) -> str:
        return REFUSALS[self.maker]

    @property
    def url(self) -> str:
        return self.stack.url(self.platform)

    @property
    def licence(self) -> str:
        return self.stack.licence
