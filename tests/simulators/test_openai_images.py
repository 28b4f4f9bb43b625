"""OpenAI's simulated pictures: made, edited, streamed and refused, driven with the official SDK.

Which of OpenAI's simulators answers makes no difference; these ask the one of Chat Completions.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests

from app.simulators.openai_models import PICTURES
from app.simulators.pictures import picture
from app.simulators.serving import Running

Json = dict[str, Any]
Ask = Callable[..., requests.Response]

MODEL = "gpt-image-2"
CLASSIC_MODEL = "gpt-image-1.5"
KEY = "sk-sim-0123456789"
PNG = picture(64, 64, "in", "png")
JPEG = picture(64, 64, "in", "jpeg")
WEBP = picture(64, 64, "in", "webp")
MASK = picture(64, 64, "mask", "png", transparent=True)
ABOUT = {"size", "quality", "background", "output_format"}


def linked(data: bytes = PNG, kind: str = "png") -> Json:
    return {"image_url": f"data:image/{kind};base64,{base64.b64encode(data).decode()}"}


@pytest.fixture
def client(running: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=running.url("chatgpt"), api_key=KEY, max_retries=0)


@pytest.fixture
def ask(running: Running) -> Ask:
    def send(path: str, body: Any = None, **more: Any) -> requests.Response:
        headers = {"authorization": f"Bearer {KEY}"}
        address = f"{running.url('chatgpt')}/images/{path}"
        return requests.post(address, json=body, headers=headers, timeout=10, **more)

    return send


def draw(ask: Ask, prompt: str = "a cat", **more: Any) -> requests.Response:
    return ask("generations", {"model": MODEL, "prompt": prompt, **more})


def edit(ask: Ask, *files: tuple[str, bytes], **texts: str) -> requests.Response:
    """An edit by form: texts and files."""
    fields = {"model": MODEL, "prompt": "a hat", **texts}
    parts: list[Any] = [(name, (None, text)) for name, text in fields.items()]
    return ask("edits", files=parts + [(name, ("a.png", data)) for name, data in files])


def pictures(told: Json) -> list[bytes]:
    return [base64.b64decode(one["b64_json"], validate=True) for one in told["data"]]


def shape(data: bytes) -> tuple[str, int, int]:
    """What the bytes are by their own account: kind, width and height."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
        assert data.endswith(b"IEND\xaeB`\x82")
        return ("png", *struct.unpack(">II", data[16:24]))
    if data.startswith(b"\xff\xd8\xff"):
        assert data.endswith(b"\xff\xd9")
        high, wide = struct.unpack(">HH", data[data.index(b"\xff\xc0") + 5 :][:4])
        return "jpeg", wide, high
    assert data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8L" and data[20] == 0x2F
    assert struct.unpack("<I", data[4:8]) == (len(data) - 8,)
    (bits,) = struct.unpack("<I", data[21:25])
    return "webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def refused(
    answer: requests.Response, code: str | None, param: str | None, status: int = 400
) -> None:
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    assert error["type"] == "invalid_request_error" and error["message"]


def records(answer: requests.Response) -> list[Json]:
    """The events of a stream; each is named on its own line as in its data."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = []
    for block in answer.content.decode().removesuffix("\n\n").split("\n\n"):
        name, _, data = block.partition("\n")
        told.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {told[-1]['type']}"
    return told


# Made.


def test_a_picture_comes_as_base64_with_what_it_is_and_what_it_cost(ask: Ask) -> None:
    answer = draw(ask)
    told = answer.json()
    (data,) = pictures(told)

    assert told.keys() == {"created", "data", "usage"} | ABOUT
    assert told["data"][0].keys() == {"b64_json"}
    assert shape(data) == ("png", 1024, 1024)
    assert {name: told[name] for name in ABOUT} == {
        "size": "1024x1024",
        "quality": "medium",
        "background": "opaque",
        "output_format": "png",
    }
    assert told["usage"] == {
        "input_tokens": 1,
        "output_tokens": 1056,
        "total_tokens": 1057,
        "input_tokens_details": {"text_tokens": 1, "image_tokens": 0},
        "output_tokens_details": {"image_tokens": 1056, "text_tokens": 0},
    }
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("model", PICTURES)
def test_every_model_that_is_listed_draws(client: openai.OpenAI, model: str) -> None:
    assert client.models.retrieve(model).id == model
    assert client.images.generate(model=model, prompt="a cat").data


def test_several_pictures_differ_and_the_same_words_draw_the_same(ask: Ask) -> None:
    three = pictures(draw(ask, n=3).json())
    other = pictures(draw(ask, "a dog").json())

    assert len(set(three)) == 3 and pictures(draw(ask).json()) == three[:1]
    assert other[0] not in three


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("size", ["1024x1024", "1536x1024", "1024x1536"])
def test_formats_and_sizes_are_real(client: openai.OpenAI, size: Any, kind: Any) -> None:
    told = client.images.generate(
        model=CLASSIC_MODEL, prompt="a cat", size=size, output_format=kind, output_compression=50
    )
    (one,) = told.data or []
    wide, high = map(int, size.split("x"))

    assert shape(base64.b64decode(one.b64_json or "")) == (kind, wide, high)
    assert (told.size, told.output_format) == (size, kind)


@pytest.mark.parametrize("size", ["16x16", "48x16", "2048x1152", "3840x2160", "1280x3840"])
@pytest.mark.parametrize("model", [MODEL, "gpt-image-2.6-flare"])
def test_newer_models_draw_any_size_in_steps_of_sixteen(ask: Ask, model: str, size: str) -> None:
    (data,) = pictures(draw(ask, model=model, size=size).json())
    assert shape(data)[1:] == tuple(map(int, size.split("x")))


@pytest.mark.parametrize(
    "size",
    [
        "1000x1024",
        "1024x1000",
        "4096x1024",
        "3840x2176",
        "64x16",
        "16x64",
        "0x0",
        "wide",
        7,
        "x",
        [],
    ]
    + ["9" * 5000 + "x16"],
)
def test_a_size_is_refused(ask: Ask, size: Any) -> None:
    refused(draw(ask, size=size), "invalid_value", "size")


def test_older_models_draw_three_sizes_only(ask: Ask) -> None:
    refused(draw(ask, model=CLASSIC_MODEL, size="2048x1152"), "invalid_value", "size")


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_the_ground_may_be_seen_through(ask: Ask, kind: str) -> None:
    told = draw(ask, background="transparent", output_format=kind, size="1024x1024").json()
    (data,) = pictures(told)
    opaque = pictures(draw(ask, output_format=kind).json())[0]
    alpha = (lambda file: b"tRNS" in file) if kind == "png" else (lambda file: file[24] & 0x10 != 0)

    assert told["background"] == "transparent"
    assert alpha(data) and not alpha(opaque)


@pytest.mark.parametrize(
    "quality, tokens", [("low", 272), ("medium", 1056), ("high", 4160), ("auto", 1056)]
)
def test_quality_has_its_price(ask: Ask, quality: str, tokens: int) -> None:
    told = draw(ask, quality=quality, n=2).json()

    assert told["usage"]["output_tokens"] == 2 * tokens
    assert told["quality"] == ("medium" if quality == "auto" else quality)


@pytest.mark.parametrize("quality", ["xhigh", "max"])
def test_only_the_newest_models_know_more_quality(ask: Ask, quality: str) -> None:
    assert draw(ask, model="gpt-image-2.5-flare", quality=quality).json()["quality"] == quality
    refused(draw(ask, quality=quality), "invalid_value", "quality")


def test_null_says_nothing(ask: Ask) -> None:
    nothing = dict.fromkeys(("n", "size", "quality", "stream", "user", "output_format"))

    assert draw(ask, **nothing).json()["data"] == draw(ask).json()["data"]


def test_the_answer_may_say_how_the_prompt_was_read(ask: Ask) -> None:
    (one,) = draw(ask, "a cat simulate: revised").json()["data"]
    assert "a cat" in one["revised_prompt"]


# Edited.


def test_one_picture_is_edited_by_form(running: Running, client: openai.OpenAI) -> None:
    told = client.images.edit(
        model=MODEL, prompt="a hat", image=("a.png", PNG, "image/png"), size="1536x1024", n=2
    )
    sent = running.simulators["chatgpt"].journal.last()
    files = [base64.b64decode(one.b64_json or "") for one in told.data or []]

    assert sent.headers["content-type"].startswith("multipart/form-data")
    assert [shape(data) for data in files] == [("png", 1536, 1024)] * 2
    assert told.usage and told.usage.input_tokens_details.image_tokens == 323


def test_several_pictures_are_edited_with_a_mask(client: openai.OpenAI) -> None:
    told = client.images.edit(
        model=MODEL,
        prompt="a hat",
        image=[("a.png", PNG), ("b.jpg", JPEG), ("c.webp", WEBP)],
        mask=("m.png", MASK),
        input_fidelity="high",
        output_format="webp",
        output_compression=80,
    )
    (one,) = told.data or []

    assert shape(base64.b64decode(one.b64_json or ""))[0] == "webp"
    assert told.usage and told.usage.input_tokens_details.image_tokens == 3 * 323


@pytest.mark.parametrize(
    "names", [("image",), ("image[]",), ("image", "image"), ("image[0]", "image[1]")]
)
def test_a_form_names_its_pictures_in_several_ways(ask: Ask, names: tuple[str, ...]) -> None:
    told = edit(ask, *((name, PNG) for name in names)).json()
    assert told["usage"]["input_tokens_details"]["image_tokens"] == 323 * len(names)


def test_pictures_are_edited_by_json(ask: Ask) -> None:
    images = [linked(), linked(JPEG, "jpeg"), linked(WEBP, "webp")]
    body = {"model": MODEL, "prompt": "a hat", "images": images, "mask": linked(MASK)}
    told = ask("edits", body).json()

    assert shape(pictures(told)[0]) == ("png", 1024, 1024)
    assert told["usage"]["input_tokens_details"]["image_tokens"] == 3 * 323


@pytest.mark.parametrize("data", [bytes(range(256)) * 4, b"\r\n", b"\n\r\r\n--b\r\n\r", b"\r"])
def test_a_form_holds_any_bytes(ask: Ask, data: bytes) -> None:
    """What is behind the head of a file belongs to it, whatever it looks like."""
    assert edit(ask, ("image", PNG + data), ("mask", PNG + data)).status_code == 200
    refused(edit(ask, ("image", data)), "invalid_image_file", "image")


def test_the_words_of_a_form_are_read_as_they_are(ask: Ask) -> None:
    (one,) = edit(ask, ("image", PNG), prompt="ein Hütchen\r\nsimulate: revised").json()["data"]
    assert "ein Hütchen\r\n" in one["revised_prompt"]


@pytest.mark.parametrize(
    "files, texts, code, param",
    [
        ([], {}, "missing_required_parameter", "image"),
        ([("image[]", PNG)] * 17, {}, "array_above_max_length", "image"),
        ([("image", b"GIF89a")], {}, "invalid_image_file", "image"),
        ([("image", b"")], {}, "invalid_image_file", "image"),
        ([("image", PNG), ("mask", JPEG)], {}, "invalid_value", "mask"),
        (
            [("image", PNG), ("mask", picture(32, 64, "m", "png"))],
            {},
            "invalid_value",
            "mask",
        ),
        ([("image", PNG), ("photo", PNG)], {}, "unknown_parameter", "photo"),
        ([("image", PNG)], {"n": "two"}, "invalid_type", "n"),
        ([("image", PNG)], {"n": "11"}, "integer_above_max_value", "n"),
        ([("image", PNG)], {"stream": "yes"}, "invalid_type", "stream"),
        ([("image", PNG)], {"response_format": "url"}, "unknown_parameter", "response_format"),
        ([("image", PNG)], {"input_fidelity": "max"}, "invalid_value", "input_fidelity"),
        (
            [("image", PNG)],
            {"input_fidelity": "high", "model": "gpt-image-1-mini"},
            "unsupported_parameter",
            "input_fidelity",
        ),
    ],
)
def test_an_edit_by_form_is_refused(
    ask: Ask, files: list[tuple[str, bytes]], texts: dict[str, str], code: str, param: str
) -> None:
    refused(edit(ask, *files, **texts), code, param)


@pytest.mark.parametrize(
    "more, code, param, status",
    [
        ({"images": None}, "missing_required_parameter", "images", 400),
        ({"images": []}, "missing_required_parameter", "images", 400),
        ({"images": 7}, "invalid_type", "images", 400),
        ({"images": [linked()] * 17}, "array_above_max_length", "images", 400),
        ({"images": ["a.png"]}, "invalid_type", "images[0]", 400),
        ({"images": [linked(), {}]}, "invalid_value", "images[1]", 400),
        ({"images": [linked() | {"file_id": "file-1"}]}, "invalid_value", "images[0]", 400),
        ({"images": [{"file_id": "file-1"}]}, None, "images[0]", 404),
        ({"images": [{"image_url": 7}]}, "invalid_type", "images[0].image_url", 400),
        (
            {"images": [{"image_url": "https://example.com/a.png"}]},
            "invalid_image_url",
            "images[0]",
            400,
        ),
        (
            {"images": [{"image_url": "data:image/png;base64,%"}]},
            "invalid_value",
            "images[0]",
            400,
        ),
        ({"images": [linked(b"GIF89a", "gif")]}, "invalid_image_file", "image", 400),
        ({"mask": linked(JPEG, "jpeg")}, "invalid_value", "mask", 400),
        ({"mask": "a.png"}, "invalid_type", "mask", 400),
        ({"image": linked()}, "unknown_parameter", "image", 400),
    ],
)
def test_an_edit_by_json_is_refused(
    ask: Ask, more: Json, code: str | None, param: str, status: int
) -> None:
    body = {"model": MODEL, "prompt": "a hat", "images": [linked()], **more}
    refused(ask("edits", body), code, param, status)


# Streamed.


@pytest.mark.parametrize("partials", [0, 1, 3])
def test_pictures_on_their_way_come_before_the_one_that_is_done(ask: Ask, partials: int) -> None:
    told = records(draw(ask, stream=True, partial_images=partials, output_format="jpeg"))
    *partial, done = told
    plain = draw(ask, output_format="jpeg").json()

    assert [one["type"] for one in partial] == ["image_generation.partial_image"] * partials
    assert [one["partial_image_index"] for one in partial] == list(range(partials))
    assert done["type"] == "image_generation.completed" and done["usage"] == plain["usage"]
    assert done["b64_json"] == plain["data"][0]["b64_json"]
    for one in told:
        assert one.keys() - {"usage", "partial_image_index"} == (
            {"type", "b64_json", "created_at"} | ABOUT
        )
        assert shape(base64.b64decode(one["b64_json"])) == ("jpeg", 1024, 1024)
    assert len({one["b64_json"] for one in told}) == partials + 1


def test_the_sdk_reads_the_stream_of_an_edit(client: openai.OpenAI) -> None:
    stream = client.images.edit(
        model=MODEL, prompt="a hat", image=("a.png", PNG), stream=True, partial_images=2
    )
    assert [event.type for event in stream] == [
        "image_edit.partial_image",
        "image_edit.partial_image",
        "image_edit.completed",
    ]


def test_a_stream_of_several_pictures_ends_each(ask: Ask) -> None:
    told = records(draw(ask, stream=True, n=2))
    done = [one["b64_json"] for one in told if one["type"] == "image_generation.completed"]

    assert done == [one["b64_json"] for one in draw(ask, n=2).json()["data"]]


def test_a_stream_may_break(ask: Ask) -> None:
    wish: Json = {"stream": True, "partial_images": 2}
    partial, error = records(draw(ask, "simulate: error after=1", **wish))

    assert partial["type"] == "image_generation.partial_image"
    assert error["type"] == "error" and error["error"]["code"] == "server_error"
    with pytest.raises(requests.exceptions.RequestException):
        draw(ask, "simulate: cut after=1", **wish)


# Refused.


@pytest.mark.parametrize(
    "more, code, param",
    [
        ({"prompt": None}, "missing_required_parameter", "prompt"),
        ({"prompt": ["a cat"]}, "invalid_type", "prompt"),
        ({"prompt": ""}, "string_below_min_length", "prompt"),
        ({"prompt": "x" * 32_001}, "string_above_max_length", "prompt"),
        ({"n": 0}, "integer_below_min_value", "n"),
        ({"n": 11}, "integer_above_max_value", "n"),
        ({"n": "2"}, "invalid_type", "n"),
        ({"n": True}, "invalid_type", "n"),
        ({"quality": "hd"}, "invalid_value", "quality"),
        ({"quality": ["low"]}, "invalid_value", "quality"),
        ({"background": "blue"}, "invalid_value", "background"),
        ({"output_format": "bmp"}, "invalid_value", "output_format"),
        ({"output_compression": 101}, "integer_above_max_value", "output_compression"),
        ({"output_compression": -1}, "integer_below_min_value", "output_compression"),
        ({"moderation": "high"}, "invalid_value", "moderation"),
        ({"partial_images": 4}, "integer_above_max_value", "partial_images"),
        ({"stream": "true"}, "invalid_type", "stream"),
        ({"user": 7}, "invalid_type", "user"),
        (
            {"background": "transparent", "output_format": "jpeg"},
            "invalid_value",
            "background",
        ),
        ({"response_format": "b64_json"}, "unknown_parameter", "response_format"),
        ({"response_format": "url"}, "unknown_parameter", "response_format"),
        ({"style": "vivid"}, "unknown_parameter", "style"),
        ({"images": [linked()]}, "unknown_parameter", "images"),
        ({"input_fidelity": "low"}, "unknown_parameter", "input_fidelity"),
    ],
)
def test_a_wish_is_refused(ask: Ask, more: Json, code: str, param: str) -> None:
    refused(draw(ask, **more), code, param)


@pytest.mark.parametrize(
    "model", ["gpt-image-1", "dall-e-2", "dall-e-3", "gpt-image-9", "gpt-6-sol", "", 7, [MODEL]]
)
def test_models_that_are_retired_or_do_not_draw_are_not_found(ask: Ask, model: Any) -> None:
    refused(draw(ask, model=model), "model_not_found", "model", 404)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK warns
def test_variations_are_as_they_were(client: openai.OpenAI) -> None:
    more: Any = {"size": "256x256", "response_format": "b64_json", "user": "me"}
    told = client.images.create_variation(image=("a.png", PNG), n=2, **more).to_dict()

    assert told.keys() == {"created", "data"}
    assert [shape(data) for data in pictures(told)] == [("png", 256, 256)] * 2
    assert len(set(pictures(told))) == 2
    (linked,) = client.images.create_variation(image=("a.png", PNG), model="dall-e-2").data or []
    assert linked.b64_json is None and (linked.url or "").startswith("https://")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_variations_went_with_the_only_model_that_made_them(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as told:
        client.images.create_variation(image=("a.png", PNG), user="simulate: gone")

    assert told.value.code == "model_not_found"


@pytest.mark.parametrize(
    "files, texts, code, param",
    [
        ((), {}, "missing_required_parameter", "image"),
        ((PNG, PNG), {}, "missing_required_parameter", "image"),
        ((JPEG,), {}, "invalid_image_file", "image"),
        ((picture(64, 48, "in", "png"),), {}, "invalid_image_file", "image"),
        ((PNG + bytes(4 << 20),), {}, "image_too_large", "image"),
        ((PNG,), {"prompt": "a hat"}, "unknown_parameter", "prompt"),
        ((PNG,), {"model": MODEL}, "invalid_value", "model"),
        ((PNG,), {"size": "1536x1024"}, "invalid_value", "size"),
        ((PNG,), {"n": "11"}, "integer_above_max_value", "n"),
        ((PNG,), {"response_format": "png"}, "invalid_value", "response_format"),
    ],
)
def test_a_variation_is_refused(
    ask: Ask, files: tuple[bytes, ...], texts: dict[str, str], code: str, param: str
) -> None:
    parts: list[Any] = [(name, (None, text)) for name, text in {"user": "me", **texts}.items()]
    parts += [("image", ("a.png", data)) for data in files]
    refused(ask("variations", files=parts), code, param)


def test_variations_come_by_form_alone(ask: Ask) -> None:
    refused(ask("variations", {"image": "x"}), "unsupported_content_type", None)


@pytest.mark.parametrize("body", [None, [], "a cat", 7])
def test_what_is_no_object_is_refused(ask: Ask, body: Any) -> None:
    answer = ask("generations", data=json.dumps(body))
    refused(answer, "unsupported_content_type", None)
    if body is not None:
        refused(ask("generations", body), "invalid_type", "body")


def test_a_wish_may_be_moderated(client: openai.OpenAI, ask: Ask) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        client.images.generate(model=MODEL, prompt="simulate: moderated")

    assert (told.value.code, told.value.type) == (
        "moderation_blocked",
        "image_generation_user_error",
    )
    for answer in (
        draw(ask, "simulate: moderated", stream=True),
        edit(ask, ("image", PNG), prompt="simulate: moderated"),
    ):
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "moderation_blocked"


@pytest.mark.parametrize(
    "kind, status", [("throttle", 429), ("overload", 503), ("fail", 500), ("html", 502)]
)
def test_a_prompt_may_order_a_mishap_in_json_and_in_a_form(
    ask: Ask, kind: str, status: int
) -> None:
    assert draw(ask, f"simulate: {kind}").status_code == status
    assert edit(ask, ("image", PNG), prompt=f"simulate: {kind}").status_code == status


@pytest.mark.parametrize("name", ["chatgpt", "codex", "sora"])
def test_pictures_are_the_same_wherever_they_are_asked_for(running: Running, name: str) -> None:
    client = openai.OpenAI(base_url=running.url(name), api_key=KEY, max_retries=0)
    made = client.images.generate(model=MODEL, prompt="a cat", size="1024x1536")
    edited = client.images.edit(model=MODEL, prompt="a hat", image=("a.png", PNG))
    files = [base64.b64decode((each.data or [])[0].b64_json or "") for each in (made, edited)]

    assert [shape(data) for data in files] == [("png", 1024, 1536), ("png", 1024, 1024)]
    assert set(PICTURES) <= {model.id for model in client.models.list()}
