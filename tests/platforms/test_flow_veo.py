"""Films by Veo, call by call."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from app.errors import RequestRefused, Throttled
from tests.platforms.films import (
    ENGINE,
    FILE,
    MP4,
    OPERATION,
    STARTED,
    URI,
    VEO,
    begin,
    fetched,
    operation,
    samples,
)
from tests.platforms.test_google_images import png
from tests.platforms.told import refused


def test_a_film_as_veo_wants_it(send):
    sent = send(STARTED)
    more = {"negative_prompt": "rain", "person_generation": "allow_adult", "seed": 1}
    body = begin(sent, VEO, seconds=4, size="720x1280", extras=more)

    assert sent.asked[0].path == f"/v1beta/models/{VEO}:predictLongRunning"
    assert body == {
        "instances": [{"prompt": "A boat leaves"}],
        "parameters": {
            "aspectRatio": "9:16",
            "resolution": "720p",
            "durationSeconds": 4,
            "negativePrompt": "rain",
            "personGeneration": "allow_adult",
            "seed": 1,
        },
    }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_pictures_have_fields_of_their_own_at_veo(send, count):
    sent = send(STARTED)
    data = png(2, 2)
    body = begin(sent, VEO, references=(sent.file(data),) * count)

    picture = {"bytesBase64Encoded": base64.b64encode(data).decode(), "mimeType": "image/png"}
    expected: dict[str, Any] = {"image": picture}
    if count == 2:
        expected |= {"lastFrame": picture}
    elif count == 3:
        expected = {"referenceImages": [{"image": picture, "referenceType": "asset"}] * 3}
    assert body["instances"] == [{"prompt": "A boat leaves", **expected}]


def test_more_of_a_film_names_the_film(send):
    sent = send(samples({"uri": f"{URI}:download?alt=media"}), STARTED)
    body = begin(sent, VEO, shape="extend", source="models/veo/operations/earlier")

    assert sent.asked[0].path == "/v1beta/models/veo/operations/earlier"
    assert body["instances"][0]["video"] == {"uri": f"{URI}:download?alt=media"}


def test_more_of_a_film_that_is_gone_is_refused(send):
    with pytest.raises(RequestRefused) as caught:
        begin(send(operation()), VEO, shape="extend", source=OPERATION)

    assert caught.value.code == "video_expired"


@pytest.mark.parametrize("answer", [STARTED, STARTED | {"done": False}])
def test_an_operation_on_its_way(send, answer):
    found = ENGINE.look(send(answer).errand, OPERATION)

    assert (found.state, found.after) == ("running", 10.0)


@pytest.mark.parametrize("name", ["generatedSamples", "generatedVideos"])
def test_an_operation_that_is_done(send, name):
    film = {"video": {"uri": f"{URI}:download?alt=media"}}
    sent = send(operation(generateVideoResponse={name: [film]}), FILE)
    found = ENGINE.look(sent.errand, OPERATION)

    assert (found.state, found.result) == ("done", "files/f123")


@pytest.mark.parametrize("name", ["encodedVideo", "bytesBase64Encoded"])
def test_an_operation_may_hold_the_film(send, name):
    sent = send(samples({name: base64.b64encode(MP4).decode()}))
    found = ENGINE.look(sent.errand, OPERATION)

    assert (found.state, found.result) == ("done", f"inline:{OPERATION}")
    assert fetched(sent, found.result) == MP4


@pytest.mark.parametrize(
    "answer, code, words",
    [
        (
            operation(
                generateVideoResponse={
                    "raiMediaFilteredCount": 1,
                    "raiMediaFilteredReasons": ["not this"],
                }
            ),
            "moderation_blocked",
            "not this",
        ),
        (operation(), "moderation_blocked", "no film"),
        (
            {"done": True, "error": {"code": 13, "message": "It broke."}},
            "upstream_error",
            "It broke.",
        ),
        (
            {"done": True, "error": {"code": 3, "message": "It violates our usage policies."}},
            "moderation_blocked",
            "policies",
        ),
        ({"done": True, "error": {"code": 13}}, "upstream_error", "no film"),
    ],
)
def test_an_operation_that_fails(send, answer, code, words):
    found = ENGINE.look(send(answer).errand, OPERATION)

    assert (found.state, found.code) == ("failed", code)
    assert words in found.message


def test_an_operation_nobody_knows_is_gone(send):
    assert ENGINE.look(send(refused(404, "no")).errand, OPERATION).state == "gone"
    with pytest.raises(Throttled):
        ENGINE.look(send(refused(429, "no")).errand, OPERATION)
