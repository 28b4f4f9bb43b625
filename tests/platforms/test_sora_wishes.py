"""What OpenAI's engines make of a shape, a size and a resolution, before anybody is asked."""

from __future__ import annotations

from typing import Any

import pytest

from app.canonical.media import ImageJob, VideoJob
from app.errors import BadRequest
from app.platforms import PLATFORMS

FILMS, PICTURES = PLATFORMS["sora"].videos, PLATFORMS["sora"].images
CHATGPT = PLATFORMS["chatgpt"].images
assert FILMS is not None and PICTURES is not None and CHATGPT is not None
BOAT = "A boat leaves"


def film(model: str = "sora-2", **more: Any) -> VideoJob:
    return FILMS.fitted(VideoJob(model=model, prompt=BOAT, **more))


def drawn(engine: Any = PICTURES, model: str = "gpt-image-2", **more: Any) -> str:
    fitted: ImageJob = engine.fitted(ImageJob(model=model, prompt=BOAT, **more))
    return fitted.size


@pytest.mark.parametrize(
    "wish, size",
    [
        ({}, ""),
        ({"size": "1280x720"}, "1280x720"),
        ({"size": "1920x1080"}, "1280x720"),
        ({"size": "300x900"}, "720x1280"),
        ({"aspect_ratio": "16:9"}, "1280x720"),
        ({"aspect_ratio": "4:7", "size": "1280x720"}, "720x1280"),
        ({"aspect_ratio": "9:16", "resolution": "720p"}, "720x1280"),
        ({"size": "1280x720", "sets": {"aspect_ratio": "9:16"}}, "720x1280"),
        ({"resolution": "1k"}, ""),
    ],
)
def test_a_film_has_one_of_two_sizes_by_its_shape(wish: dict[str, Any], size: str) -> None:
    """C-146, C-180."""
    fitted = film(**wish)
    assert (fitted.size, fitted.aspect_ratio, fitted.resolution) == (size, "", "")


@pytest.mark.parametrize(
    "wish, size, asks",
    [
        ({"size": "1792x1024"}, "1792x1024", "size"),
        ({"size": "1792x1024", "resolution": "1080p"}, "1792x1024", "resolution"),
        ({"size": "1280x720", "resolution": "1080p"}, "1792x1024", "resolution"),
        ({"aspect_ratio": "9:16", "resolution": "2k"}, "1024x1792", "resolution"),
        ({"resolution": "1080p"}, "1024x1792", "resolution"),
        ({"extras": {"hd": "true"}}, "1024x1792", "hd"),
        ({"aspect_ratio": "16:9", "sets": {"hd": True}}, "1792x1024", "model"),
    ],
)
def test_the_larger_sizes_are_for_the_larger_model(
    wish: dict[str, Any], size: str, asks: str
) -> None:
    """C-206: what asks for one is named where the model has none."""
    assert film("sora-2-pro", **wish).size == size
    named = film("sora-2", **{**wish, "sets": {**wish.get("sets", {}), "pro": True}})
    assert (named.model, named.size) == ("sora-2-pro", size)
    with pytest.raises(BadRequest) as refusal:
        film("sora-2", **wish)
    assert refusal.value.param == asks


@pytest.mark.parametrize("resolution", ["360p", "480p", "4k"])
def test_a_resolution_that_no_film_has_is_refused(resolution: str) -> None:
    for model in ("sora-2", "sora-2-pro"):
        with pytest.raises(BadRequest) as refusal:
            film(model, resolution=resolution)
        assert refusal.value.param == "resolution"


def test_a_square_film_is_refused() -> None:
    for wish in ({"size": "1024x1024"}, {"aspect_ratio": "1:1"}):
        with pytest.raises(BadRequest) as refusal:
            film(**wish)
        assert refusal.value.param == "size"


@pytest.mark.parametrize(
    "wish, size",
    [
        ({}, ""),
        ({"size": "1920x1080"}, "1536x1024"),
        ({"size": "500x900"}, "1024x1536"),
        ({"size": "64x64"}, "1024x1024"),
        ({"aspect_ratio": "1:1"}, "1024x1024"),
        ({"aspect_ratio": "16:9"}, "1360x768"),
        ({"aspect_ratio": "9:16", "size": "1536x1024"}, "768x1360"),
        ({"aspect_ratio": "9:16", "sets": {"aspect_ratio": "16:9"}}, "1360x768"),
        ({"resolution": "2K"}, "2048x2048"),
        ({"resolution": "1K", "size": "4000x4000"}, "1024x1024"),
        ({"resolution": "4K", "size": "1920x1080"}, "3520x2352"),
        ({"resolution": "2K", "aspect_ratio": "16:9"}, "2720x1536"),
    ],
)
def test_a_picture_has_the_shape_and_the_resolution_that_is_asked_for(
    wish: dict[str, Any], size: str
) -> None:
    """C-134, C-135, C-180: a size is only a shape, the other two are meant."""
    assert drawn(**wish) == size
    wide, high = map(int, (size or "1024x1024").split("x"))
    assert wide % 16 == high % 16 == 0 and wide * high <= 3840 * 2160


@pytest.mark.parametrize("engine", [PICTURES, CHATGPT])
@pytest.mark.parametrize(
    "wish, size",
    [
        ({"size": "1920x1080"}, "1536x1024"),
        ({"aspect_ratio": "16:9"}, "1536x1024"),
        ({"aspect_ratio": "3:4", "resolution": "4K"}, "1024x1536"),
        ({"resolution": "4K"}, ""),
    ],
)
def test_older_models_have_three_sizes(engine: Any, wish: dict[str, Any], size: str) -> None:
    """C-134: where a model has no resolutions, that counts for nothing."""
    assert drawn(engine, "gpt-image-1.5", **wish) == size


def test_elsewhere_a_size_is_a_size() -> None:
    assert drawn(CHATGPT, size="1920x1088") == "1920x1088"


@pytest.mark.parametrize("ratio", ["4:1", "1:4"])
def test_a_shape_beyond_what_the_vendor_draws_is_refused(ratio: str) -> None:
    """C-135."""
    with pytest.raises(BadRequest) as refusal:
        drawn(aspect_ratio=ratio)
    assert refusal.value.param == "aspect_ratio"
