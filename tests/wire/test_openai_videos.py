"""A film as OpenAI's clients ask for it: every field, from JSON and from forms, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.canonical.media import VideoJob
from app.errors import BadRequest
from app.wire.openai_videos import NOWHERE, read_job, write_video


def job(**fields: Any) -> VideoJob:
    return read_job({"prompt": "a kite", **fields}, "a-model")


def test_who_wishes_nothing_more_leaves_the_rest_to_the_platform():
    assert job() == VideoJob(model="a-model", prompt="a kite")


@pytest.mark.parametrize("name", ["seconds", "duration"])
@pytest.mark.parametrize(
    "given, expected",
    [
        (8, 8),
        ("8", 8),
        ("8s", 8),
        ("8.0", 8),
        (8.0, 8),
        (" 8S ", 8),
        ("008", 8),
        (None, 0),
        ("", 0),
    ],
)
def test_seconds_come_in_many_forms(name, given, expected):
    """C-206: numbers may be texts."""
    assert job(**{name: given}).seconds == expected


def test_seconds_go_before_a_duration():
    assert job(seconds="4", duration=8).seconds == 4
    assert job(seconds="", duration=8).seconds == 8


@pytest.mark.parametrize(
    "fields, attribute, expected",
    [
        ({"size": "1280x720"}, "size", "1280x720"),
        ({"size": "auto"}, "size", ""),
        ({"aspect_ratio": "9:16"}, "aspect_ratio", "9:16"),
        ({"orientation": "landscape"}, "aspect_ratio", "16:9"),
        ({"orientation": "Portrait"}, "aspect_ratio", "9:16"),
        ({"orientation": "portrait", "aspect_ratio": "1:1"}, "aspect_ratio", "1:1"),
        ({"resolution": "1080P"}, "resolution", "1080p"),
        ({"seed": 7, "hd": "true"}, "extras", {"seed": 7, "hd": "true"}),
        ({"hd": False}, "extras", {"hd": False}),
        ({"n": "1"}, "seconds", 0),
    ],
)
def test_each_field_is_read(fields, attribute, expected):
    assert getattr(job(**fields), attribute) == expected


@pytest.mark.parametrize("name", [*NOWHERE, "character_url", "character_timestamps"])
def test_what_no_documented_api_has_is_refused_where_somebody_wants_it(name):
    """C-206."""
    for nothing in (None, False, "", 0, "false", "False", "0", [], {}):
        assert job(**{name: nothing}) == job()
    for something in (True, "true", "x", 1, ["x"], {"a": 1}):
        with pytest.raises(BadRequest) as caught:
            job(**{name: something})
        assert caught.value.param == name


@pytest.mark.parametrize(
    "field, given",
    [
        ("prompt", None),
        ("prompt", ["x"]),
        ("n", 2),
        ("n", "2"),
        ("n", 0),
        ("seconds", 0),
        ("seconds", "-4"),
        ("seconds", "0012345678"),
        ("seconds", "8.5"),
        ("seconds", "long"),
        ("seconds", True),
        ("seconds", [4]),
        ("seconds", "1" * 5000),
        ("duration", "4 minutes"),
        ("size", "720p"),
        ("aspect_ratio", "0:0"),
        ("orientation", "sideways"),
        ("resolution", "540p"),
        ("resolution", 720),
        ("negative_prompt", {"a": 1}),
        ("seed", [1]),
    ],
)
def test_a_wrong_value_is_told_by_the_fields_name(field, given):
    with pytest.raises(BadRequest) as caught:
        job(**{field: given})

    assert caught.value.param == field
    assert str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = (
    "prompt seconds duration n size aspect_ratio orientation resolution hd seed negative_prompt "
    "generate_audio person_generation watermark private style storyboard character_url"
).split()


@given(fields=st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_whatever_comes_is_a_job_or_a_named_mistake(fields):
    try:
        found = read_job(fields, "a-model")
    except BadRequest as error:
        assert error.param in fields or error.param == "prompt"
        return
    assert found.prompt and 0 <= found.seconds < 10**9


def test_a_film_is_told_as_openai_tells_it():
    """C-198."""
    told = write_video(
        id="video_1",
        model="m",
        status="failed",
        progress=0,
        created_at=1,
        completed_at=None,
        expires_at=None,
        prompt="p",
        seconds=8,
        size="1280x720",
        remixed_from="",
        error={"code": "c", "message": "m"},
    )

    assert (told["object"], told["seconds"], told["progress"]) == ("video", "8", 0)
    assert (told["remixed_from_video_id"], told["completed_at"]) == (None, None)
    assert told["error"] == {"code": "c", "message": "m"}
