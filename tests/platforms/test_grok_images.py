"""Pictures at xAI: what is asked, what is refused before, and what comes of an answer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.canonical.media import File, ImageJob, Pictures
from app.errors import (
    BadReply,
    BadRequest,
    CredentialRefused,
    RequestRefused,
    Throttled,
    Verbatim,
    WrongModel,
)
from app.platforms import PLATFORMS
from app.platforms.grok_images import RATIOS, GrokImages, read_error
from app.simulators.exchange import Reply, as_json
from app.simulators.grok import GrokSimulator
from app.simulators.grok_imagine import PAINTERS
from app.simulators.image_sides import sides
from app.simulators.pictures import picture
from tests.platforms.told import Errands, Saying, Told, errands

ENGINE = PLATFORMS["grok"].images
assert isinstance(ENGINE, GrokImages)
MODEL, NEWEST = "grok-imagine-image", "grok-imagine-image-2.0"
PICTURE = File("/nowhere", "image/png", 100)


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Callable[..., Errands]]:
    """Errands to xAI's simulator, or to a vendor that says these things."""
    with ExitStack() as stack:

        def start(*sayings: Saying, **more: Any) -> Errands:
            vendor = Told(*sayings) if sayings else GrokSimulator()
            sent = stack.enter_context(errands(vendor, tmp_path, read_error=read_error, **more))
            sent.errand = replace(sent.errand, base_url=sent.errand.base_url + "/v1")
            return sent

        yield start


def job(**more: Any) -> ImageJob:
    return ImageJob(**{"model": MODEL, "prompt": "A red kite", **more})


def make(sent: Errands, **more: Any) -> Pictures:
    return ENGINE.make(sent.errand, ENGINE.fitted(job(**more)))


# What is asked.


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({}, ("", "")),
        ({"size": "1024x1024"}, ("1:1", "")),
        ({"size": "1536x1024"}, ("3:2", "")),
        ({"size": "1024x1536"}, ("2:3", "")),
        ({"size": "1792x1024"}, ("16:9", "")),
        ({"size": "1024x1792"}, ("9:16", "")),
        ({"size": "2048x2048"}, ("1:1", "2K")),
        ({"size": "2048x2048", "resolution": "1K"}, ("1:1", "1K")),
        ({"size": "100x99999"}, ("9:20", "2K")),
        ({"size": "1024x1024", "aspect_ratio": "19.5:9"}, ("19.5:9", "")),
        ({"resolution": "2K"}, ("", "2K")),
    ],
)
def test_a_size_becomes_a_shape_and_a_resolution(asked, expected):
    """C-134, C-135, K-103."""
    found = ENGINE.fitted(job(**asked))

    assert (found.aspect_ratio, found.resolution) == expected
    assert ENGINE.fitted(found) == found


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_shape_is_one_that_the_vendor_takes(send, ratio):
    """C-135."""
    (made,) = make(send(), aspect_ratio=ratio).pictures

    wide, high = sides(Path(made.file.path).read_bytes())
    across, down = map(float, ratio.split(":"))
    assert wide / high == pytest.approx(across / down, rel=0.05)


@pytest.mark.parametrize(
    "asked, param",
    [
        ({"mask": PICTURE, "images": (PICTURE,)}, "mask"),
        ({"background": "transparent"}, "background"),
        ({"output_format": "webp"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
        ({"images": (PICTURE,) * 4}, "image"),
        ({"aspect_ratio": "7:3"}, "aspect_ratio"),
        ({"resolution": "4K"}, "resolution"),
    ],
)
def test_what_cannot_be_is_refused_by_the_fields_name(asked, param):
    """C-134, C-135, C-167."""
    with pytest.raises(BadRequest) as caught:
        ENGINE.fitted(job(**asked))

    assert caught.value.param == param
    assert str(caught.value)


def test_a_model_that_talks_makes_no_pictures():
    with pytest.raises(WrongModel):
        ENGINE.fitted(job(model="grok-4.3"))


@pytest.mark.parametrize("model", PAINTERS)
def test_every_wish_of_openais_clients_is_one_the_vendor_understands(send, model):
    """K-102: what it lacks is left out, or its strict schema would refuse the call."""
    sent = send()
    made = make(
        sent,
        model=model,
        size="1536x1024",
        quality="high",
        output_format="png",
        output_compression=100,
        count=2,
        extras={"user": "u", "style": "vivid", "moderation": "low", "seed": 7},
    )

    (call,) = sent.asked
    assert call.path == "/v1/images/generations"
    expected = {
        "model": model,
        "prompt": "A red kite",
        "n": 2,
        "response_format": "b64_json",
        "aspect_ratio": "3:2",
        "user": "u",
    }
    assert call.body == expected | ({"quality": "medium"} if model == NEWEST else {})
    assert len(made.pictures) == 2
    assert {one.file.media_type for one in made.pictures} == {"image/jpeg"}
    assert made.output_format == "jpeg"


def test_an_edit_is_json_and_one_picture_keeps_its_shape(send):
    sent = send()
    before = picture(160, 320, "before")
    (made,) = make(sent, images=(sent.file(before),), size="1536x1024").pictures

    (call,) = sent.asked
    assert call.path == "/v1/images/edits"
    assert call.headers["content-type"] == "application/json"
    head, _, data = call.body["image"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == before
    assert "images" not in call.body and "aspect_ratio" not in call.body
    wide, high = sides(Path(made.file.path).read_bytes())
    assert high / wide == pytest.approx(2, rel=0.05)


def test_several_pictures_are_edited_into_one_of_the_shape_that_was_asked_for(send):
    sent = send()
    given = [picture(16, 32, str(place)) for place in range(3)]
    (made,) = make(sent, images=tuple(map(sent.file, given)), size="1792x1024").pictures

    (call,) = sent.asked
    found = [base64.b64decode(one["url"].partition(",")[2]) for one in call.body["images"]]
    assert found == given
    assert (call.body["aspect_ratio"], "image" in call.body) == ("16:9", False)
    wide, high = sides(Path(made.file.path).read_bytes())
    assert wide / high == pytest.approx(16 / 9, rel=0.05)


# What comes of it.


def test_a_picture_with_the_head_of_a_data_url_is_a_picture(send):
    """As the vendor once sent them."""
    (made,) = make(send(), prompt="simulate: prefixed").pictures

    assert sides(Path(made.file.path).read_bytes())


def test_nothing_is_shown_on_the_way(send):
    (made,) = ENGINE.stream(send().errand, ENGINE.fitted(job()))

    assert isinstance(made, Pictures)


@pytest.mark.parametrize("words", ["moderated", "withheld"])
def test_what_breaks_the_rules_is_told_in_openais_words(send, words):
    sent = send()
    with pytest.raises(RequestRefused) as caught:
        make(sent, prompt=f"simulate: {words}", count=2)

    assert (caught.value.status, caught.value.code) == (400, "moderation_blocked")
    assert caught.value.verdict == "stop"
    assert len(sent.asked) == 1


def test_what_is_shown_is_given_where_something_is_not(send):
    assert len(make(send(), prompt="simulate: withheld=1", count=3).pictures) == 2


DATA = base64.b64encode(picture(8, 8, "x", "jpeg")).decode()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"data": None},
        {"data": ["picture"]},
        {"data": [{"url": "https://a.test/b.jpeg"}]},
        {"data": [{"b64_json": None}]},
        {"data": [{"b64_json": "!!"}]},
        {"data": [{"b64_json": base64.b64encode(b"hello").decode()}]},
        {"data": [{"b64_json": DATA}, {}]},
        b"<html>",
        b"",
    ],
)
def test_an_answer_that_makes_no_sense_is_no_picture(send, answer):
    saying = answer if isinstance(answer, bytes) else as_json(answer)
    with pytest.raises(BadReply):
        make(send(saying))


def refused(status: int, message: str, code: str = "x") -> Reply:
    return Reply(status, as_json({"code": code, "error": message}))


@pytest.mark.parametrize(
    "answer, error",
    [
        (refused(422, "unknown field"), RequestRefused),
        (refused(400, "Incorrect API key provided"), CredentialRefused),
        (refused(401, "no"), CredentialRefused),
        (refused(429, "slow down"), Throttled),
    ],
)
def test_refusals_mean_what_they_mean_in_chats(send, answer, error):
    with pytest.raises(error):
        make(send(answer))


def test_who_brings_the_key_hears_the_platforms_own_words(send):
    """C-044."""
    answer = refused(429, "slow down")
    with pytest.raises(Verbatim) as caught:
        make(send(answer, verbatim=True))

    assert caught.value.body == answer.body
