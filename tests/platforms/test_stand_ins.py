"""Sora's films and their names: what they mean at the vendor's own engine, and at another's that stands
in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.canonical.media import VideoJob
from app.errors import BadRequest, ModelNotFound, UnknownParameter, UnsupportedParameter
from app.platforms import PLATFORMS
from app.services.videos import as_promised, maker_of
from app.upstream.platform import Platform
from app.wire.openai_videos import read_job
from tests.conftest import STUDIO
from tests.platforms.test_videos import MP4, Screen, error
from tests.stack import Stack

ENGINES = ("grok", "flow", "gemini_official")
SORA = PLATFORMS["sora"]
NOBODYS = ["sora-3", "nonsense-9", "sora-2-preview-wat", "sora-2-30s"]


def with_engine(engine: str) -> Platform:
    assert SORA.equip is not None
    return SORA.equip(SORA, {"ENGINE": engine}, None)


def fitted(engine: str, name: str, **fields: Any) -> VideoJob:
    platform = with_engine(engine)
    named = platform.catalogue.names.read(name)
    maker, model = maker_of(PLATFORMS, platform, named.model)
    asked = read_job({"prompt": "A boat", **fields}, model, sets=named.sets)
    assert maker.videos is not None
    return maker.videos.fitted(as_promised(asked, platform, named.model))


@pytest.mark.parametrize("engine", ["", *ENGINES])
@pytest.mark.parametrize("name", ["sora_video2-30s", "sora_video2-wat", "sora_image-wat"])
def test_behind_our_names_there_are_parameters_only(engine: str, name: str) -> None:
    """C-140, C-145: the first is the contract's own example."""
    with pytest.raises(UnknownParameter) as caught:
        fitted(engine, name)
    assert caught.value.code == "unknown_model_parameter"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NOBODYS)
def test_another_engine_makes_no_films_for_names_that_nobody_knows(engine: str, name: str) -> None:
    """C-140, C-145: there is no server that could know them."""
    with pytest.raises((UnknownParameter, ModelNotFound)):
        fitted(engine, name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["sora-2", "sora_video2", "sora-2-2025-10-06"])
def test_it_makes_those_for_known_names_as_long_as_they_promise(engine: str, name: str) -> None:
    """Four seconds, which nobody has to say; what is said goes first."""
    assert fitted(engine, name).seconds == 4
    assert fitted(engine, name, seconds="8").seconds == 8
    assert fitted(engine, "sora_video2-8s").seconds == 8


def test_the_engines_own_names_are_as_long_as_theirs_are() -> None:
    assert fitted("grok", "grok-imagine-video").seconds == 8


@pytest.mark.parametrize(
    "engine, resolution", [("grok", "720p"), ("flow", "1080p"), ("gemini_official", "1080p")]
)
def test_hd_is_the_best_that_another_engine_has_for_it(engine: str, resolution: str) -> None:
    """C-156, C-206: in the name and in the request."""
    assert fitted(engine, "sora_video2-hd-portrait").resolution == resolution
    assert fitted(engine, "sora-2", hd="true", size="1280x720").resolution == resolution
    assert fitted(engine, "sora-2", hd="false", resolution="480p" if engine == "grok" else "360p")
    with pytest.raises(BadRequest):
        fitted(engine, "sora-2", hd="perhaps")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tier_that_another_engine_does_not_have_is_refused(engine: str) -> None:
    """C-156."""
    with pytest.raises(UnsupportedParameter, match="pro"):
        fitted(engine, "sora_video2-pro")


@pytest.mark.parametrize(
    "name, fields, param",
    [
        ("sora-2", {"hd": True}, "hd"),
        ("sora-2", {"hd": "1", "size": "1280x720"}, "hd"),
        ("sora_video2-hd", {}, "model"),
        ("sora_video2-hd-portrait", {}, "model"),
        ("sora-2", {"aspect_ratio": "7:5"}, "aspect_ratio"),
        ("sora-2", {"generate_audio": False}, "generate_audio"),
    ],
)
def test_what_the_vendors_own_films_cannot_be_is_refused(
    name: str, fields: dict[str, Any], param: str
) -> None:
    """C-135, C-156, C-206."""
    with pytest.raises(BadRequest) as caught:
        fitted("", name, **fields)
    assert caught.value.param == param


@pytest.mark.parametrize("name", ["sora-2-pro-hd", "sora_video2-pro-hd", "sora_video2-hd-pro"])
def test_the_larger_model_has_a_size_for_hd(name: str) -> None:
    """C-156: the one that stands, as the vendor's films do where nobody says."""
    assert fitted("", name).size == "1024x1792"
    assert fitted("", name, orientation="landscape").size == "1792x1024"


# ---------------------------------------------------------------- served


@pytest.fixture(scope="module", params=["grok", "flow"])
def house(request: pytest.FixtureRequest, gateway: Callable[..., Stack]) -> Stack:
    stack = gateway(**STUDIO, TOKENS_SORA_ENGINE=request.param)
    stack.work()
    return stack


def test_a_wrong_name_makes_nothing(house: Stack) -> None:
    """C-140, C-145."""
    screen, engine = Screen(house), house.environ["TOKENS_SORA_ENGINE"]
    house.simulators.clear(engine)
    answer = screen.begin(model="sora_video2-30s")
    assert (answer.status_code, error(answer)["code"]) == (400, "unknown_model_parameter")
    assert "30s" in error(answer)["message"]
    assert screen.begin(model="nonsense-9").status_code == 404
    assert house.simulators.journal(engine) == []
    assert screen.call("GET").json()["data"] == []


def test_a_film_is_what_was_promised(house: Stack) -> None:
    """C-198: and its object says so, from the beginning to the end."""
    screen = Screen(house)
    begun = screen.begin(model="sora_video2").json()
    told = screen.ended(begun["id"])
    assert (begun["seconds"], told["seconds"]) == ("4", "4")
    assert begun["size"] == told["size"] != ""


# ---------------------------------------------------------------- what objects and headers say


@pytest.mark.parametrize(
    "platform, model, size, seconds",
    [
        ("sora", "sora-2", "720x1280", "4"),
        ("sora", "sora-2-pro-hd", "1024x1792", "4"),
        ("grok", "grok-imagine-video", "854x480", "8"),
        ("flow", "omni_flash", "1280x720", "8"),
    ],
)
def test_a_film_says_its_size_and_length_where_nobody_asked(
    studio: Stack, platform: str, model: str, size: str, seconds: str
) -> None:
    """C-198."""
    screen = Screen(studio, platform)
    begun = screen.begin(model=model).json()
    told = screen.ended(begun["id"])
    for one in (begun, told):
        assert (one["size"], one["seconds"]) == (size, seconds)


@pytest.mark.parametrize("size, real", [("1792x1024", "1280x720"), ("1000x700", "1080x720")])
def test_a_size_that_was_asked_for_is_not_echoed(studio: Stack, size: str, real: str) -> None:
    """C-198: the platform has shapes and resolutions, and the object says what comes of them."""
    answer = Screen(studio, "grok").begin(model="grok-imagine-video", size=size)
    assert answer.headers["x-tokens-dropped"] == "size"
    assert answer.json()["size"] == real


@pytest.mark.parametrize(
    "platform, model, seconds", [("sora", "sora-2", "8"), ("grok", "grok-imagine-video", "9")]
)
def test_a_remix_is_as_long_and_as_large_as_its_source(
    studio: Stack, platform: str, model: str, seconds: str
) -> None:
    """C-198, C-204: until the platform says otherwise."""
    screen = Screen(studio, platform)
    source = screen.made(model=model, seconds="8", size="1280x720")
    answer = screen.call("POST", f"/{source}/remix", json={"prompt": "The boat is red"})
    told = answer.json()
    assert (told["seconds"], told["size"]) == ("8", "1280x720")
    told = screen.ended(told["id"])
    assert (told["seconds"], told["size"]) == (seconds, "1280x720")


@pytest.mark.parametrize(
    "platform, model",
    [("sora", "sora-2"), ("grok", "grok-imagine-video"), ("flow", "gemini-omni-1.1-flash")],
)
@pytest.mark.parametrize("shape", ["edits", "extensions"])
def test_who_sends_a_film_need_not_name_a_model(
    studio: Stack, platform: str, model: str, shape: str
) -> None:
    """OpenAI's clients have no field for it."""
    screen = Screen(studio, platform)
    files = {"video": ("boat.mp4", MP4, "video/mp4")}
    answer = screen.call("POST", f"/{shape}", files=files, data={"prompt": "It is red"})
    assert (answer.status_code, answer.json()["model"]) == (200, model), answer.text
    told = screen.ended(answer.json()["id"])
    assert (told["status"], told["size"] != "") == ("completed", True)


@pytest.mark.parametrize(
    "platform, name, model",
    [
        ("sora", "sora_video2-pro", "sora-2-pro"),
        ("gemini_official", "gemini-3-pro-image-imagen", "gemini-nano-banana-2.1"),
    ],
)
def test_the_header_names_the_model_that_is_asked(
    studio: Stack, platform: str, name: str, model: str
) -> None:
    """C-090; a parameter that leads elsewhere says so in the note."""
    studio.simulators.clear(platform)
    route = "videos" if platform == "sora" else "images/generations"
    body = {"model": name, "prompt": "A boat"}
    answer = Screen(studio, platform).call("POST", f"/../{route}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tokens-model"] == model
    assert ("x-tokens-model-note" in answer.headers) == (platform != "sora")
    (asked,) = [one for one in studio.simulators.journal(platform) if one["method"] == "POST"]
    assert model in str(asked["body"]) + asked["path"]


def test_a_tier_is_a_model_of_its_own(gateway: Callable[..., Stack]) -> None:
    """C-090: with Veo itself behind its names."""
    stack = gateway(**STUDIO, TOKENS_FLOW_ENGINE="veo")
    for tier in ("fast", "lite"):
        answer = Screen(stack, "flow").begin(model=f"veo_3_1-{tier}")
        assert answer.headers["x-tokens-model"] == f"veo-3.1-{tier}-generate-preview"
