"""Flow: what its friendly names mean, and what the engines behind them are asked for then."""

from __future__ import annotations

from typing import Any

import pytest

from app.canonical.media import File, ImageJob, VideoJob
from app.errors import (
    BadRequest,
    ConflictingParameters,
    ModelNotFound,
    UnknownParameter,
    UnsupportedParameter,
    WrongModel,
)
from app.platforms import PLATFORMS, flow
from app.upstream.overrides import with_overrides
from app.upstream.platform import Platform

OMNI, BANANA, LITE, PRO = (
    "gemini-omni-1.1-flash",
    "gemini-nano-banana-2.1",
    "gemini-3.1-flash-lite-image",
    "gemini-3-pro-image",
)
PICTURE = File("/nowhere/1", "image/png", 100)
FILM = File("/nowhere/2", "video/mp4", 1000)


def equipped(engine: str, platform: Platform = flow.PLATFORM) -> Platform:
    assert platform.equip is not None
    return platform.equip(platform, {"ENGINE": engine}, None)


VEO = equipped("veo")


def film(name: str, platform: Platform = flow.PLATFORM, **more: Any) -> VideoJob:
    named = platform.catalogue.names.read(name)
    assert platform.videos is not None
    job = VideoJob(model=named.model, prompt="A fox", sets=named.sets, **more)
    return platform.videos.fitted(job)


def picture(name: str, platform: Platform = flow.PLATFORM, **more: Any) -> ImageJob:
    named = platform.catalogue.names.read(name)
    assert platform.images is not None
    job = ImageJob(model=named.model, prompt="A fox", sets=named.sets, **more)
    return platform.images.fitted(job)


def facts(job: VideoJob) -> tuple[str, str, int, str]:
    return job.aspect_ratio, job.resolution, job.seconds, job.size


# Names.


@pytest.mark.parametrize(
    "name, model, noted",
    [
        ("veo_3_1", OMNI, True),
        ("veo-3.1", OMNI, True),
        ("veo_3_1_fast", OMNI, True),
        ("veo_3_1_lite", OMNI, True),
        ("veo-3.1-generate-preview", OMNI, True),
        ("omni_flash", OMNI, False),
        ("omni_1_1", OMNI, False),
        ("nano_banana", LITE, True),
        ("nano_banana_2", BANANA, True),
        ("nano_banana_2_1", BANANA, False),
        ("nano_banana_2_lite", LITE, False),
        ("nano_banana_pro", PRO, False),
        ("imagen_4", BANANA, True),
        ("imagen_4_fast", BANANA, True),
        ("imagen_4_ultra", PRO, True),
        (OMNI, OMNI, False),
    ],
)
def test_friendly_names_and_what_answers_instead(name, model, noted):
    """flow.md 6.1: an engine that answers in another's place is visible."""
    named = flow.PLATFORM.catalogue.names.read(name)

    assert (named.model, bool(named.note)) == (model, noted)
    assert named.note.isascii(), "it goes into a header"


@pytest.mark.parametrize("tier", ["fast", "quality", "relaxed"])
def test_a_speed_that_the_engine_does_not_have_is_refused(tier):
    """C-156: Omni is one model, and does not become another by a word behind Veo's name."""
    with pytest.raises(UnsupportedParameter, match=tier):
        film(f"veo_3_1-{tier}")


@pytest.mark.parametrize("wish", [{"extras": {"hd": True}}, {"extras": {"hd": "true"}}])
def test_hd_is_the_same_in_the_name_and_in_the_request(wish):
    """C-156, C-206: and a resolution says it closer."""
    for platform in (flow.PLATFORM, VEO):
        assert facts(film("veo_3_1", platform, **wish)) == facts(film("veo_3_1-hd", platform))
    assert film("omni_flash", resolution="360p", **wish).resolution == "360p"
    assert film("omni_flash", extras={"hd": False}).resolution == "720p"


@pytest.mark.parametrize(
    "name, expected",
    [
        ("veo_3_1", ("16:9", "720p", 8, "1280x720")),
        ("veo_3_1-portrait-4s", ("9:16", "720p", 4, "720x1280")),
        ("veo_3_1-4s-portrait", ("9:16", "720p", 4, "720x1280")),
        ("veo_3_1-9/16-hd", ("9:16", "1080p", 8, "1080x1920")),
        ("veo_3_1_fast-16:9", ("16:9", "720p", 8, "1280x720")),
        ("veo_3_1-lite", ("16:9", "360p", 8, "640x360")),
        ("veo_3_1-lite-hd", ("16:9", "1080p", 8, "1920x1080")),
        ("veo_3_1_lite", ("16:9", "360p", 8, "640x360")),
        ("omni_flash-10s-4K", ("16:9", "4k", 10, "3840x2160")),
        ("omni_flash-2k-landscape-6s", ("16:9", "1080p", 6, "1920x1080")),
    ],
)
def test_parameters_of_a_films_name(name, expected):
    """C-138, C-139, C-144; flow.md 6.2 and 6.3."""
    assert facts(film(name)) == expected


@pytest.mark.parametrize(
    "name, expected",
    [
        ("nano_banana_pro", ("", "", "")),
        ("nano_banana_pro-2K", ("", "2K", "")),
        ("nano_banana_2-4k-portrait", ("9:16", "4K", "")),
        ("nano_banana_2-hd-square", ("1:1", "2K", "")),
        ("nano_banana_2-4/3", ("4:3", "", "")),
        ("nano_banana-landscape", ("16:9", "", "")),
        ("imagen_4", ("", "", "high")),
        ("imagen_4-fast", ("", "", "minimal")),
        ("imagen_4_fast", ("", "", "minimal")),
        ("imagen_4_fast-quality", ("", "", "high")),
        ("nano_banana_2-21x9-1K", ("21:9", "1K", "")),
    ],
)
def test_parameters_of_a_pictures_name(name, expected):
    found = picture(name)

    assert (found.aspect_ratio, found.resolution, found.sets["thinking"]) == expected


@pytest.mark.parametrize(
    "name, error",
    [
        ("veo_3_1-30s", UnknownParameter),
        ("veo_3_1-sideways", UnknownParameter),
        ("omni_flash-fast", UnknownParameter),
        ("nano_banana_2-4s", UnknownParameter),
        ("nano_banana_2-720p", UnknownParameter),
        ("nano_banana-2K", UnknownParameter),
        ("nano_banana_pro-fl", UnknownParameter),
        ("veo_3_1-4s-6s", ConflictingParameters),
        ("veo_3_1-portrait-16/9", ConflictingParameters),
        ("veo_3_1-fast-lite", ConflictingParameters),
        ("veo_3_1-fl-extend", ConflictingParameters),
        ("nano_banana_2-1K-hd", ConflictingParameters),
        ("veo_3_1-square", UnsupportedParameter),
        ("veo_3_1-4/3", UnsupportedParameter),
        ("veo_3_1-gif", UnsupportedParameter),
        ("veo_3_1-relaxed", UnsupportedParameter),
        ("omni_flash-gif", UnsupportedParameter),
    ],
)
def test_what_a_name_cannot_ask_for(name, error):
    """C-140, C-141, C-156: said before anything is asked."""
    with pytest.raises(error) as caught:
        flow.PLATFORM.catalogue.names.read(name)

    assert caught.value.param == "model"


@pytest.mark.parametrize(
    "fit, name, error",
    [
        (picture, "veo_3_1", WrongModel),
        (film, "nano_banana_2", WrongModel),
        (film, "no_such_thing", ModelNotFound),
        (picture, "no_such_thing", ModelNotFound),
        (film, "gemini-omni-1.2-flash", ModelNotFound),
    ],
)
def test_models_of_another_kind_or_of_none(fit, name, error):
    """flow.md 10."""
    with pytest.raises(error):
        fit(name)


# Fields of the body.


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({"size": "720x1280"}, ("9:16", "720p", 8)),
        ({"size": "1792x1024"}, ("16:9", "1080p", 8)),
        ({"size": "1080x1920"}, ("9:16", "1080p", 8)),
        ({"size": "3840x2160"}, ("16:9", "4k", 8)),
        ({"size": "360x640"}, ("9:16", "360p", 8)),
        ({"size": "800x480"}, ("16:9", "720p", 8)),
        ({"seconds": 4}, ("16:9", "720p", 4)),
        ({"aspect_ratio": "9:16", "resolution": "2K"}, ("9:16", "1080p", 8)),
        ({"size": "1280x720", "aspect_ratio": "9:16"}, ("9:16", "720p", 8)),
    ],
)
def test_size_and_seconds_of_the_body(asked, expected):
    """C-180; flow.md 8.2."""
    assert facts(film("omni_flash", **asked))[:3] == expected


def test_the_name_goes_before_the_body():
    """C-146."""
    body = {"size": "1280x720", "seconds": 4}

    assert facts(film("omni_flash-portrait-hd-6s", **body))[:3] == ("9:16", "1080p", 6)
    assert facts(film("veo_3_1_lite", **body))[:3] == ("16:9", "720p", 4)


@pytest.mark.parametrize(
    "size, ratio", [("1024x1024", "1:1"), ("1792x1024", "3:2"), ("768x1376", "2:3")]
)
def test_a_pictures_size_is_one_of_three_shapes(size, ratio):
    """C-180."""
    assert picture("nano_banana_2", size=size).aspect_ratio == ratio


@pytest.mark.parametrize(
    "asked, param",
    [
        ({"seconds": 12}, "seconds"),
        ({"seconds": 2}, "seconds"),
        ({"size": "1024x1024"}, "size"),
        ({"size": "wide"}, "size"),
        ({"aspect_ratio": "4:3"}, "aspect_ratio"),
        ({"resolution": "480p"}, "resolution"),
        ({"extras": {"n": 2}}, "n"),
        ({"extras": {"n": "2"}}, "n"),
        ({"extras": {"seed": "x"}}, "seed"),
        ({"extras": {"seed": True}}, "seed"),
        ({"extras": {"person_generation": "allow_all"}}, "person_generation"),
        ({"extras": {"generate_audio": "false"}}, "generate_audio"),
        ({"references": (PICTURE,) * 11}, "input_reference"),
        ({"references": (FILM,) * 4}, "input_reference"),
        ({"references": (File("/x", "image/gif", 1),)}, "input_reference"),
        ({"references": (File("/x", "video/mp4", 71 << 20),)}, "input_reference"),
        ({"shape": "edit"}, "video"),
        ({"shape": "remix", "references": (PICTURE,)}, "video"),
    ],
)
def test_what_a_film_cannot_be(asked, param):
    """C-207; flow.md 8.2."""
    with pytest.raises(BadRequest) as caught:
        film("omni_flash", **asked)

    assert caught.value.param == param
    assert str(caught.value)


def test_one_film_is_one_film():
    """C-207."""
    assert film("omni_flash", extras={"n": 1, "generate_audio": True, "seed": "7"})


def test_extend_is_for_remixes():
    assert film("veo_3_1-extend", shape="remix", source="v1_x").shape == "extend"
    with pytest.raises(UnsupportedParameter):
        film("veo_3_1-extend")


@pytest.mark.parametrize("references", [(), (PICTURE,) * 3, (FILM,), (PICTURE, FILM)])
def test_frames_are_one_picture_or_two(references):
    assert film("veo_3_1-fl", references=(PICTURE, PICTURE)).sets == {"frames": True}
    with pytest.raises(BadRequest):
        film("veo_3_1-fl", references=references)


@pytest.mark.parametrize("name", ["veo_3_1-lite-hd-portrait", "omni_flash-fl-4s"])
def test_a_film_that_fits_is_not_changed_again(name):
    once = film(name, references=(PICTURE,))

    assert flow.PLATFORM.videos and flow.PLATFORM.videos.fitted(once) == once


# With Veo behind its own names.


@pytest.mark.parametrize(
    "name, model",
    [
        ("veo_3_1", "veo-3.1-generate-preview"),
        ("veo-3.1-generate-preview", "veo-3.1-generate-preview"),
        ("veo_3_1-fast", "veo-3.1-fast-generate-preview"),
        ("veo_3_1-lite", "veo-3.1-lite-generate-preview"),
        ("veo_3_1_fast", "veo-3.1-fast-generate-preview"),
        ("veo_3_1_fast-quality", "veo-3.1-generate-preview"),
        ("omni_flash", OMNI),
    ],
)
def test_an_operator_may_put_veo_behind_its_names(name, model):
    assert film(name, VEO).model == model
    assert VEO.catalogue.names.read(name).note == ""


def test_there_is_no_third_engine():
    with pytest.raises(ValueError, match="ENGINE"):
        equipped("sora")


def test_the_operators_own_names_stay(tmp_path):
    file = tmp_path / "models.json"
    file.write_text(
        '{"flow": {"aliases": [{"name": "veo_3_1", "model": "veo-4"}], "rules": [{"match": "veo-4",'
        ' "facts": {"makes": "video", "lengths": [5]}}]}}'
    )
    changed = with_overrides({"flow": flow.PLATFORM}, file)["flow"]

    assert film("veo_3_1-5s", equipped("veo", changed)).model == "veo-4"
    assert film("veo_3_1_fast", equipped("veo", changed)).model == "veo-3.1-fast-generate-preview"


@pytest.mark.parametrize(
    "name, asked, error",
    [
        ("veo_3_1-10s", {}, UnsupportedParameter),
        ("veo_3_1-360p", {}, UnsupportedParameter),
        ("veo_3_1_lite-4K", {}, UnsupportedParameter),
        ("veo_3_1-lite-4K", {}, UnsupportedParameter),
        ("veo_3_1-4s-hd", {}, BadRequest),
        ("veo_3_1", {"seconds": 12}, BadRequest),
        ("veo_3_1", {"seconds": 4, "size": "1920x1080"}, BadRequest),
        ("veo_3_1", {"seconds": 6, "references": (PICTURE, PICTURE)}, BadRequest),
        ("veo_3_1", {"references": (PICTURE,) * 4}, BadRequest),
        ("veo_3_1", {"references": (FILM,)}, BadRequest),
        ("veo_3_1", {"shape": "remix", "source": "models/x/operations/y"}, BadRequest),
        ("veo_3_1", {"shape": "edit", "source": "models/x/operations/y"}, BadRequest),
        ("veo_3_1", {"shape": "extend"}, BadRequest),
        ("veo_3_1-hd-extend", {"shape": "remix", "source": "models/x/operations/y"}, BadRequest),
        ("veo_3_1-4s-extend", {"shape": "remix", "source": "models/x/operations/y"}, BadRequest),
        ("veo_3_1", {"extras": {"generate_audio": False}}, BadRequest),
    ],
)
def test_what_veo_cannot_do(name, asked, error):
    """flow.md 3.1: the cross rules."""
    with pytest.raises(error):
        film(name, VEO, **asked)


def test_the_official_platform_makes_films_too():
    official = PLATFORMS["gemini_official"]

    assert facts(film(OMNI, official, seconds=4)) == ("16:9", "720p", 4, "1280x720")
    with pytest.raises(WrongModel):
        film("gemini-3.8-flash", official)


@pytest.mark.parametrize(
    "name, fit, model",
    [("gemini-3.8-flash-imagen", picture, BANANA), ("gemini-3.8-flash-video", film, OMNI)],
)
def test_the_official_platform_makes_what_a_models_name_says(name, fit, model):
    """Contract 6.1: any model's name may ask for a picture or a film."""
    assert fit(name, PLATFORMS["gemini_official"]).model == model
