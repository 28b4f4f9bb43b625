"""The image models behind generateContent, on every simulator that has Google's native API."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from google import genai
from google.genai import types

from app.simulators.gemini_images import PIXELS
from app.simulators.image_sides import sides
from app.simulators.mishaps import Mishap
from app.simulators.pictures import picture
from app.simulators.serving import Running

Json = dict[str, Any]
Post = Callable[..., requests.Response]

BANANA = "gemini-nano-banana-2.1"
PRO = "gemini-3-pro-image"
LITE = "gemini-3.1-flash-lite-image"
OLD = "gemini-3.1-flash-image"
BOTH = ["TEXT", "IMAGE"]
NATIVE = ("gemini", "gemini_official")


def wanted(text: str = "a cat", modalities: list[str] | None = None, **image: str) -> Json:
    config: Json = {"responseModalities": modalities or BOTH}
    if image:
        config["imageConfig"] = image
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config}


def with_picture(data: bytes, text: str = "add a hat") -> Json:
    body = wanted(text)
    blob = {"mimeType": "image/png", "data": base64.b64encode(data).decode()}
    body["contents"][0]["parts"].insert(0, {"inlineData": blob})
    return body


@pytest.fixture
def post(running: Running) -> Post:
    def send(
        body: Json, model: str = BANANA, verb: str = "generateContent", name: str = "gemini"
    ) -> requests.Response:
        address = f"{running.origin(name)}/v1beta/models/{model}:{verb}"
        return requests.post(address, json=body, headers={"x-goog-api-key": "sim"}, timeout=20)

    return send


def parts(answer: Json) -> list[Json]:
    found: list[Json] = answer["candidates"][0].get("content", {}).get("parts", [])
    return found


def pictures(answer: Json, thought: bool = False) -> list[bytes]:
    return [
        base64.b64decode(part["inlineData"]["data"])
        for part in parts(answer)
        if "inlineData" in part and bool(part.get("thought")) is thought
    ]


def shape(answer: Json) -> str:
    """A letter for each part: text, image, and the same in capitals for a thought."""
    letters = ["i" if "inlineData" in part else "t" for part in parts(answer)]
    thoughts = [bool(part.get("thought")) for part in parts(answer)]
    return "".join(a.upper() if b else a for a, b in zip(letters, thoughts, strict=True))


@pytest.mark.parametrize("name", NATIVE)
def test_words_come_first_and_then_one_picture_that_is_signed(post: Post, name: str) -> None:
    answer = post(wanted("simulate: say Here it is."), name=name).json()

    assert shape(answer) == "ti"
    assert parts(answer)[0] == {"text": "Here it is."}
    assert parts(answer)[1]["thoughtSignature"]
    assert answer["candidates"][0]["finishReason"] == "STOP"
    assert sides(pictures(answer)[0]) == (1024, 1024)


@pytest.mark.parametrize("ratio", PIXELS)
def test_every_ratio_has_its_size(post: Post, ratio: str) -> None:
    (data,) = pictures(post(wanted(aspectRatio=ratio)).json())

    assert sides(data) == PIXELS[ratio]


@pytest.mark.parametrize(
    "model, size, expected, tokens",
    [
        (OLD, "512", (384, 688), 747),
        (BANANA, "1K", (768, 1376), 1120),
        (BANANA, "2K", (1536, 2752), 1680),
        (PRO, "4K", (3072, 5504), 2520),
    ],
)
def test_a_larger_size_costs_more(
    post: Post, model: str, size: str, expected: tuple[int, int], tokens: int
) -> None:
    answer = post(wanted(aspectRatio="9:16", imageSize=size, modalities=["IMAGE"]), model).json()

    assert sides(pictures(answer)[0]) == expected
    assert answer["usageMetadata"]["candidatesTokenCount"] == tokens
    assert answer["usageMetadata"]["candidatesTokensDetails"] == [
        {"modality": "IMAGE", "tokenCount": tokens}
    ]


def test_no_words_are_said_when_only_a_picture_was_asked_for(post: Post) -> None:
    assert shape(post(wanted(modalities=["IMAGE"])).json()) == "i"


def test_an_image_model_draws_unless_it_is_told_not_to(post: Post) -> None:
    unsaid = {"contents": [{"parts": [{"text": "a cat"}]}]}

    assert shape(post(unsaid).json()) == "ti"
    assert shape(post(wanted(modalities=["TEXT"])).json()) == "t"


@pytest.mark.parametrize("size", [(1920, 1080), (1000, 1500), (900, 900)])
def test_an_edit_keeps_the_shape_of_the_first_picture(post: Post, size: tuple[int, int]) -> None:
    shapes = {(1920, 1080): "16:9", (1000, 1500): "2:3", (900, 900): "1:1"}
    for kind in ("png", "jpeg", "webp"):
        answer = post(with_picture(picture(*size, "in", kind)))

        assert sides(pictures(answer.json())[0]) == PIXELS[shapes[size]], kind
        details = answer.json()["usageMetadata"]["promptTokensDetails"]
        assert {"modality": "IMAGE", "tokenCount": 258} in details


def test_the_thought_picture_comes_first_where_thoughts_are_shown(post: Post) -> None:
    shown = wanted()
    shown["generationConfig"]["thinkingConfig"] = {"includeThoughts": True}
    hidden = wanted()
    hidden["generationConfig"]["thinkingConfig"] = {"includeThoughts": False}

    assert shape(post(shown).json()) == "TIti"
    assert shape(post(wanted("simulate: draft")).json()) == "TIti"
    assert shape(post(wanted(), PRO).json()) == "TIti"
    assert shape(post(hidden, PRO).json()) == "ti"
    answer = post(shown).json()
    assert pictures(answer) != pictures(answer, thought=True)


@pytest.mark.parametrize(
    "order, expected",
    [
        ("undrawn", "t"),
        ("pictures=2", "tii"),
        ("pictures=2 mixed", "titit"),
        ("jpeg", "ti"),
    ],
)
def test_the_prompt_orders_what_the_answer_is_made_of(
    post: Post, order: str, expected: str
) -> None:
    assert shape(post(wanted(f"simulate: {order}")).json()) == expected


def test_two_pictures_differ_and_jpeg_is_jpeg(post: Post) -> None:
    answer = post(wanted("simulate: pictures=2 jpeg")).json()
    one, other = pictures(answer)

    assert one != other and one[:2] == other[:2] == b"\xff\xd8"
    assert parts(answer)[1]["inlineData"]["mimeType"] == "image/jpeg"
    assert answer["usageMetadata"]["candidatesTokensDetails"][1]["tokenCount"] == 2240


@pytest.mark.parametrize(
    "reason",
    ["NO_IMAGE", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "IMAGE_OTHER"],
)
@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent?alt=sse"])
def test_a_picture_withheld_leaves_a_reason_and_no_content(
    post: Post, reason: str, verb: str
) -> None:
    text = post(wanted(f"simulate: finish={reason}"), verb=verb).text.removeprefix("data: ")
    (candidate,) = json.loads(text)["candidates"]

    assert candidate["finishReason"] == reason and candidate["finishMessage"]
    assert "content" not in candidate


def test_a_prompt_that_is_blocked_has_no_candidates(post: Post) -> None:
    answer = post(wanted("simulate: blocked=IMAGE_SAFETY")).json()

    assert "candidates" not in answer
    assert answer["promptFeedback"]["blockReason"] == "IMAGE_SAFETY"


def test_safety_leaves_words_without_a_picture(post: Post) -> None:
    answer = post(wanted("simulate: safety")).json()

    assert "i" not in shape(answer) and answer["candidates"][0]["finishReason"] == "SAFETY"


def test_a_picture_streams_whole_in_one_chunk(post: Post) -> None:
    text = post(wanted(modalities=BOTH), verb="streamGenerateContent?alt=sse").text
    chunks = [json.loads(each.removeprefix("data: ")) for each in text.split("\r\n\r\n") if each]
    drawn = [chunk for chunk in chunks if pictures(chunk)]

    assert len(drawn) == 1 and len(pictures(drawn[0])) == 1
    assert drawn[0]["usageMetadata"]["candidatesTokensDetails"][-1]["modality"] == "IMAGE"
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize(
    "model, change, words",
    [
        (BANANA, {"imageSize": "1k"}, "image_size must be one of 1K, 2K, 4K."),
        (BANANA, {"imageSize": "512"}, "image_size must be one of 1K, 2K, 4K."),
        (LITE, {"imageSize": "2K"}, "image_size must be one of 1K."),
        (BANANA, {"aspectRatio": "7:5"}, "aspect_ratio must be one of"),
        (PRO, {"aspectRatio": "1:4"}, "aspect_ratio must be one of"),
        (BANANA, {"outputFormat": "png"}, 'Unknown name "outputFormat"'),
    ],
)
def test_a_shape_the_model_does_not_have_is_refused(
    post: Post, model: str, change: dict[str, str], words: str
) -> None:
    answer = post(wanted(**change), model)

    assert answer.status_code == 400 and words in answer.json()["error"]["message"]


def test_more_than_one_candidate_is_refused(post: Post) -> None:
    body = wanted()
    body["generationConfig"]["candidateCount"] = 2

    assert post(body).json()["error"]["message"] == (
        "Multiple candidates is not enabled for this model"
    )


def test_pictures_that_come_with_the_prompt_have_limits(post: Post) -> None:
    many = wanted()
    blob = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    many["contents"][0]["parts"] += [blob] * 15

    assert "at most 14" in post(many).json()["error"]["message"]
    assert "7 MB" in post(with_picture(b"\0" * (7 * 1024 * 1024 + 1))).json()["error"]["message"]


def test_a_drawing_may_be_handed_back_and_changed(post: Post) -> None:
    first = wanted("a cat", aspectRatio="16:9")
    drawn = post(first).json()["candidates"][0]["content"]
    again = wanted("with a hat")
    again["contents"] = [*first["contents"], drawn, *again["contents"]]

    assert shape(post(again).json()) == "ti"


@pytest.mark.parametrize("kind, status", [("throttle", 429), ("overload", 503), ("html", 502)])
def test_mishaps_meet_pictures_too(running: Running, post: Post, kind: str, status: int) -> None:
    running.simulators["gemini"].mishaps.queue(Mishap(kind, seconds=3))

    assert post(wanted()).status_code == status


def test_a_truncated_picture_is_half_of_one(running: Running, post: Post) -> None:
    running.simulators["gemini"].mishaps.queue(Mishap("truncate"))

    with pytest.raises(ValueError):
        post(wanted()).json()


def test_the_vendors_sdk_gets_a_picture_of_the_shape_it_wants(running: Running) -> None:
    client = genai.Client(
        api_key="sim", http_options=types.HttpOptions(base_url=running.url("gemini"))
    )
    config = types.GenerateContentConfig(
        response_modalities=["IMAGE"],
        image_config=types.ImageConfig(aspect_ratio="21:9", image_size="2K"),
    )
    answer = client.models.generate_content(model=BANANA, contents="a cat", config=config)
    (part,) = answer.parts or []

    assert part.inline_data and sides(part.inline_data.data or b"") == (3168, 1344)
