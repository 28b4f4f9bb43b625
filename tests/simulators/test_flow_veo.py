"""The older shape of Google's video and image models: operations, printed pictures, the cloud's pair."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
import requests
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from app.simulators.image_sides import sides
from app.simulators.pictures import picture
from app.simulators.serving import Running

Json = dict[str, Any]
Ask = Callable[..., requests.Response]
Move = Callable[[float], None]

OMNI = "gemini-omni-1.1-flash"
VEO = "veo-3.1-generate-preview"
LITE = "veo-3.1-lite-generate-preview"
IMAGEN = "imagen-4.0-generate-001"
CLOUD = "veo-3.1-generate-001"
PNG = base64.b64encode(picture(64, 64, "in", "png")).decode()
FRAME: Json = {"bytesBase64Encoded": PNG, "mimeType": "image/png"}


@pytest.fixture
def ask(running: Running) -> Ask:
    def send(
        path: str, body: Any = None, method: str = "", key: str = "sim", **headers: str
    ) -> requests.Response:
        address = path if path.startswith("http") else running.origin("flow") + path
        sent = {"x-goog-api-key": key, **headers} if key else headers
        verb = method or ("GET" if body is None else "POST")
        return requests.request(
            verb, address, json=body, headers=sent, timeout=10, allow_redirects=False
        )

    return send


@pytest.fixture
def move(running: Running) -> Move:
    return running.simulators["flow"].clock.move


def film_of_omni(ask: Ask) -> str:
    """The address of a film that another engine has made."""
    body = {
        "model": OMNI,
        "input": "simulate: processing=0",
        "response_format": {"type": "video", "delivery": "uri"},
    }
    told = ask("/v1beta/interactions", body).json()
    return str(told["steps"][-1]["content"][0]["uri"])


def instance(text: str = "a fox", parameters: Json | None = None, **more: Any) -> Json:
    body: Json = {"instances": [{"prompt": text, **more}]}
    return body if parameters is None else {**body, "parameters": parameters}


def start(ask: Ask, text: str = "a fox", model: str = VEO, **more: Any) -> requests.Response:
    return ask(f"/v1beta/models/{model}:predictLongRunning", instance(text, **more))


def result(ask: Ask, started: requests.Response) -> Json:
    told: Json = ask(f"/v1beta/{started.json()['name']}").json()
    return told


def test_an_operation_says_by_turns_that_it_is_not_done_and_nothing(ask: Ask, move: Move) -> None:
    started = start(ask, "simulate: takes=60")
    first, second = result(ask, started), result(ask, started)
    move(61)
    done = result(ask, started)

    assert started.json()["name"].startswith(f"models/{VEO}/operations/")
    assert "done" not in first and second["done"] is False and done["done"] is True
    samples = done["response"]["generateVideoResponse"]["generatedSamples"]
    uri = samples[0]["video"]["uri"]
    assert uri.endswith(":download?alt=media")
    assert ask(uri).content[4:8] == b"ftyp" and ask(uri, key="").status_code == 403


def test_an_operation_may_be_filtered_fail_or_hold_the_film_itself(ask: Ask) -> None:
    filtered = result(ask, start(ask, "simulate: filtered"))["response"]["generateVideoResponse"]
    failed = result(ask, start(ask, "simulate: failed=3"))
    encoded = result(ask, start(ask, "simulate: encoded"))["response"]["generateVideoResponse"]

    assert filtered["raiMediaFilteredCount"] == 1 and filtered["raiMediaFilteredReasons"]
    assert "generatedSamples" not in filtered
    assert (failed["done"], failed["error"]["code"]) == (True, 3) and "response" not in failed
    data = encoded["generatedSamples"][0]["video"]["encodedVideo"]
    assert base64.b64decode(data)[4:8] == b"ftyp"


def test_an_operation_belongs_to_its_key(ask: Ask) -> None:
    name = start(ask).json()["name"]

    assert ask(f"/v1beta/{name}", key="other").status_code == 403
    assert ask(f"/v1beta/{name}x").status_code == 404


@pytest.mark.parametrize(
    "model, more",
    [
        (VEO, {"parameters": {"resolution": "1080p", "durationSeconds": 6}}),
        (VEO, {"parameters": {"resolution": "4k", "durationSeconds": 4}}),
        (VEO, {"parameters": {"durationSeconds": 5}}),
        (VEO, {"parameters": {"aspectRatio": "1:1"}}),
        (VEO, {"parameters": {"generateAudio": True}}),
        (VEO, {"parameters": {"sampleCount": 2}}),
        (VEO, {"parameters": {"personGeneration": "allow_adult"}}),
        (VEO, {"image": FRAME, "parameters": {"personGeneration": "allow_all"}}),
        (VEO, {"image": {"inlineData": {"mimeType": "image/png", "data": PNG}}}),
        (VEO, {"image": {"bytesBase64Encoded": PNG}}),
        (VEO, {"image": {"gcsUri": "gs://a/b.png", "mimeType": "image/png"}}),
        (VEO, {"lastFrame": FRAME}),
        (VEO, {"image": FRAME, "lastFrame": FRAME, "parameters": {"durationSeconds": 4}}),
        (VEO, {"referenceImages": [{"image": FRAME, "referenceType": "asset"}] * 4}),
        (VEO, {"referenceImages": [{"image": FRAME, "referenceType": "style"}]}),
        (VEO, {"referenceImages": [{"image": FRAME, "referenceType": "asset"}], "image": FRAME}),
        (VEO, {"video": {"uri": "https://example.com/a.mp4"}}),
        (VEO, {"text": ""}),
        (LITE, {"parameters": {"resolution": "4k"}}),
    ],
)
def test_an_operation_refused(ask: Ask, model: str, more: Json) -> None:
    answer = start(ask, model=model, **more)

    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "more",
    [
        {"parameters": {"resolution": "4k", "durationSeconds": "8", "aspectRatio": "9:16"}},
        {"parameters": {"durationSeconds": 4, "negativePrompt": "rain", "seed": 1}},
        {"image": FRAME, "lastFrame": FRAME},
        {"referenceImages": [{"image": FRAME, "referenceType": "asset"}] * 3},
    ],
)
def test_an_operation_begun(ask: Ask, more: Json) -> None:
    assert start(ask, **more).status_code == 200


def test_only_its_own_films_are_extended_and_only_at_720p(ask: Ask) -> None:
    done = result(ask, start(ask))["response"]["generateVideoResponse"]
    uri = done["generatedSamples"][0]["video"]["uri"]
    longer = result(ask, start(ask, video={"uri": uri}))["response"]["generateVideoResponse"]
    file = longer["generatedSamples"][0]["video"]["uri"].removesuffix(":download?alt=media")
    of_omni = film_of_omni(ask)

    assert ask(file).json()["videoMetadata"] == {"videoDuration": "15s"}
    assert start(ask, video={"uri": uri}, parameters={"resolution": "1080p"}).status_code == 400
    assert start(ask, model=LITE, video={"uri": uri}).status_code == 400
    assert start(ask, video={"uri": of_omni}).status_code == 400


def test_models_retire_by_the_prompt_or_by_a_switch(running: Running, ask: Ask) -> None:
    simulator: Any = running.simulators["flow"]
    simulator.retired.add(LITE)
    try:
        assert start(ask, model=LITE).status_code == 404
    finally:
        simulator.retired.clear()
    assert start(ask, model=LITE).status_code == 200
    assert start(ask, "simulate: retired").status_code == 404
    assert start(ask, model="veo-3.0-generate-001").status_code == 404


def prints(
    ask: Ask, text: str = "a cat", model: str = IMAGEN, **parameters: Any
) -> requests.Response:
    return ask(f"/v1beta/models/{model}:predict", instance(text, parameters=parameters))


def test_imagen_prints_as_many_pictures_as_are_wanted(ask: Ask) -> None:
    made = prints(ask, sampleCount=2, aspectRatio="16:9", imageSize="2K").json()["predictions"]
    files = [base64.b64decode(one["bytesBase64Encoded"]) for one in made]

    assert [sides(data) for data in files] == [(2752, 1536)] * 2 and files[0] != files[1]
    assert made[0]["mimeType"] == "image/png"


def test_imagen_leaves_out_what_was_filtered(ask: Ask) -> None:
    reasons = prints(ask, "simulate: filtered", sampleCount=1, includeRaiReason=True).json()

    assert prints(ask, "simulate: filtered").json() == {}
    assert len(prints(ask, "simulate: filtered=1").json()["predictions"]) == 3
    assert [one.keys() for one in reasons["predictions"]] == [{"raiFilteredReason"}]


@pytest.mark.parametrize(
    "model, parameters",
    [
        (IMAGEN, {"sampleCount": 5}),
        (IMAGEN, {"aspectRatio": "3:2"}),
        (IMAGEN, {"imageSize": "4K"}),
        (IMAGEN, {"personGeneration": "all"}),
        (IMAGEN, {"size": "1K"}),
        ("imagen-4.0-fast-generate-001", {"imageSize": "1K"}),
        ("imagen-4.0-ultra-generate-001", {"sampleCount": 2}),
    ],
)
def test_imagen_refuses(ask: Ask, model: str, parameters: Json) -> None:
    assert prints(ask, model=model, **parameters).status_code == 400


# Google Cloud.


PARENT = f"/v1/projects/p/locations/us-central1/publishers/google/models/{CLOUD}"


def test_the_cloud_is_asked_by_post_and_takes_a_token_only(ask: Ask) -> None:
    token = {"key": "", "authorization": "Bearer token"}
    started = ask(f"{PARENT}:predictLongRunning", instance(parameters={"sampleCount": 2}), **token)
    fetch = {"operationName": started.json()["name"]}
    done = ask(f"{PARENT}:fetchPredictOperation", fetch, **token).json()
    stored = ask(
        f"{PARENT}:predictLongRunning",
        instance(parameters={"storageUri": "gs://bucket/films/", "generateAudio": True}),
        **token,
    ).json()
    there = ask(f"{PARENT}:fetchPredictOperation", {"operationName": stored["name"]}, **token)

    assert started.json()["name"].startswith("projects/p/locations/us-central1/")
    assert [
        base64.b64decode(one["bytesBase64Encoded"])[4:8] for one in done["response"]["videos"]
    ] == [b"ftyp"] * 2
    assert there.json()["response"]["videos"][0]["gcsUri"].startswith("gs://bucket/films/")
    assert ask(f"{PARENT}:predictLongRunning", instance()).status_code == 403


@pytest.mark.parametrize("kind, status", [("throttle", 429), ("fail", 500), ("overload", 503)])
def test_a_prompt_orders_mishaps(ask: Ask, kind: str, status: int) -> None:
    order = f"simulate: {kind} seconds=2"

    for answer in (start(ask, order), prints(ask, order)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, status)


def test_a_prompt_orders_a_mishap_for_the_first_poll(ask: Ask) -> None:
    started = start(ask, "simulate: poll=fail")

    assert ask(f"/v1beta/{started.json()['name']}").status_code == 500
    assert result(ask, started)["done"] is True


def test_the_vendors_sdk_makes_a_film_in_the_cloud(running: Running) -> None:
    client = genai.Client(
        vertexai=True,
        project="p",
        location="us-central1",
        credentials=Credentials("token"),
        http_options=types.HttpOptions(base_url=running.origin("flow")),
    )
    operation = client.models.generate_videos(
        model=CLOUD,
        source=types.GenerateVideosSource(prompt="a fox"),
        config=types.GenerateVideosConfig(duration_seconds=8, number_of_videos=1),
    )
    done = client.operations.get(operation)
    assert done.done and done.response and done.response.generated_videos
    video = done.response.generated_videos[0].video

    assert video and video.video_bytes and video.video_bytes[4:8] == b"ftyp"
