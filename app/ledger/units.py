"""What a call makes besides text, and which numbers can be counted at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_TOKENS = 10**12
MOST_THINGS = 10**9  # pictures, or seconds of film
UNSAID = ("", "auto")


class NotCountable(ValueError):
    """A quantity that nobody can be charged for: negative, endless, or not a number (R-064)."""


@dataclass(frozen=True, slots=True)
class Units:
    """Pictures and seconds of film, and what they are like. An empty word is not known yet."""

    pictures: int = 0
    quality: str = ""
    size: str = ""
    seconds: float = 0
    resolution: str = ""

    def words(self) -> tuple[str, str, str]:
        """Quality, size and resolution, as price lists write them."""
        given = self.quality.lower(), self.size.lower(), self.resolution.lower()
        quality, size, resolution = ("" if word in UNSAID else word for word in given)
        return quality, size, resolution


NOTHING = Units()


def picture_units(pictures: int, job: Mapping[str, Any]) -> Units:
    """`job` as far as prices go by it: how good, how large."""
    return Units(
        pictures,
        quality=job.get("quality", ""),
        size=job.get("size", ""),
        resolution=job.get("resolution", ""),
    )


def film_units(seconds: float, job: Mapping[str, Any]) -> Units:
    return Units(seconds=seconds, size=job.get("size", ""), resolution=job.get("resolution", ""))


def counted(value: object, most: int = MOST_TOKENS) -> int:
    """A whole number from zero to `most`; anything else raises `NotCountable`, true and "1" too."""
    if type(value) is not int or not 0 <= value <= most:
        raise NotCountable(f"a number from 0 to {most} was to be counted, not {type(value)}")
    return value


def milliseconds(seconds: object) -> int:
    """Seconds as a whole number, so that no charge depends on how floats are added."""
    if type(seconds) not in (int, float) or not 0 <= seconds <= MOST_THINGS:  # type: ignore[operator]
        raise NotCountable(f"seconds were to be counted, not {type(seconds)}")
    return round(seconds * 1000)  # type: ignore[operator]
