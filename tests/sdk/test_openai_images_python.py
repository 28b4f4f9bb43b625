"""The official OpenAI SDK for Python, images, on every platform that makes them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import pytest

from app.simulators.pictures import picture
from tests.sdk.conftest import Door, Refused
from tests.sdk.pictures import DRAWING, PAINTERS, Painter, look, opened, shown
from tests.sdk.test_openai_python import opened as client_of
from tests.stack import START_PATIENCE, Stack, key_settings, until

GIVEN = picture(64, 48, "given")
OTHER = picture(48, 48, "other", "jpeg")
WIDE = "1536x1024"
painters = pytest.mark.parametrize("door", DRAWING, indirect=True)
pytestmark = painters


@pytest.fixture
def client(door: Door) -> openai.OpenAI:
    return client_of(door.url, door.licence)


@pytest.fixture
def painter(door: Door) -> Painter:
    return PAINTERS[door.name]


def looked_at(image: Any) -> tuple[str, tuple[int, int]]:
    """A picture that came as base64, and as nothing else."""
    assert image.url is None  # C-169, K-099: some clients go for a link wherever there is one
    assert image.b64_json[:5] != "data:"  # C-170
    return look(base64.b64decode(image.b64_json, validate=True))


@pytest.mark.feature("images.generate, b64_json")
def test_pictures_come_as_base64_unless_told_otherwise(
    client: openai.OpenAI, painter: Painter
) -> None:
    """C-158, C-159, C-168 to C-170, C-172, C-173, K-098, K-104."""
    told = client.images.generate(model=painter.model, prompt="A kite", size=WIDE, n=2)

    assert told.data is not None and len(told.data) == 2
    for image in told.data:
        media_type, (wide, high) = looked_at(image)
        assert wide > high
        assert media_type == f"image/{told.output_format}"
        assert told.size == f"{wide}x{high}"
    assert told.background == "opaque"
    assert told.created > 1_700_000_000
    if painter.counts:
        assert told.usage is not None and told.usage.output_tokens > 0
        assert told.usage.total_tokens == told.usage.input_tokens + told.usage.output_tokens
    else:
        assert told.usage is None  # nothing is made up


@pytest.mark.feature("images.generate, url")
def test_a_link_opens_for_anybody(client: openai.OpenAI, painter: Painter) -> None:
    """C-116, C-168, C-169, K-101."""
    told = client.images.generate(
        model=painter.model, prompt="A kite", size=WIDE, response_format="url"
    )

    assert told.data is not None
    (image,) = told.data
    assert image.b64_json is None and image.url is not None
    _, (wide, high) = opened(image.url)
    assert wide > high


def test_what_other_clients_send_along_does_no_harm(
    client: openai.OpenAI, painter: Painter
) -> None:
    """K-102."""
    told = client.images.generate(
        model=painter.model,
        prompt="A kite",
        size="auto",
        quality="standard",
        style="vivid",
        background="auto",
        moderation="low",
        user="somebody",
        extra_body={"input_fidelity": "high", "seed": 7, "some_day": True},
    )

    assert told.data is not None and len(told.data) == 1


ONE = pytest.mark.feature("images.edit, one picture")
SEVERAL = pytest.mark.feature("images.edit, several pictures")
FILES: list[Any] = [
    pytest.param(lambda: ("kite.png", io.BytesIO(GIVEN), "image/png"), id="one", marks=ONE),
    pytest.param(lambda: io.BytesIO(GIVEN), id="without a name", marks=ONE),
    pytest.param(lambda: ("x", GIVEN, "application/octet-stream"), id="of no type", marks=ONE),
    pytest.param(lambda: [("a.png", GIVEN), ("b.jpeg", OTHER)], id="several", marks=SEVERAL),
]


@pytest.mark.parametrize("files", FILES)
def test_pictures_are_edited(
    client: openai.OpenAI, door: Door, painter: Painter, files: Callable[[], Any]
) -> None:
    """C-161, C-165, C-166, K-097."""
    door.stack.simulators.clear(door.name)
    told = client.images.edit(model=painter.model, prompt="At night", image=files())

    assert told.data is not None
    (image,) = told.data
    looked_at(image)
    (asked,) = door.stack.simulators.posts(door.name)
    assert "edits" in asked["path"] or "inlineData" in str(asked["body"])


@pytest.mark.feature("images.edit, url")
def test_an_edit_has_links_too(client: openai.OpenAI, painter: Painter) -> None:
    told = client.images.edit(
        model=painter.model, prompt="At night", image=GIVEN, response_format="url"
    )

    assert told.data is not None and told.data[0].url is not None
    opened(told.data[0].url)


@pytest.mark.feature("images.edit, mask")
def test_a_mask_counts_or_is_refused(
    client: openai.OpenAI, painter: Painter, refused: Refused
) -> None:
    """C-167."""

    def edit() -> Any:
        return client.images.edit(model=painter.model, prompt="x", image=GIVEN, mask=GIVEN)

    if painter.masks:
        looked_at(edit().data[0])
        return
    with pytest.raises(openai.BadRequestError) as caught:
        edit()
    assert caught.value.param == "mask"
    refused(caught.value)


STREAMED: list[Any] = [
    pytest.param(False, id="drawn", marks=pytest.mark.feature("images.generate, stream")),
    pytest.param(True, id="edited", marks=pytest.mark.feature("images.edit, stream")),
]


@pytest.mark.parametrize("edits", STREAMED)
def test_pictures_come_on_their_way_where_there_are_any(
    client: openai.OpenAI, painter: Painter, edits: bool
) -> None:
    more: Any = {"model": painter.model, "prompt": "A kite", "stream": True, "partial_images": 2}
    stream = client.images.edit(image=GIVEN, **more) if edits else client.images.generate(**more)
    *partial, last = list(stream)

    name = "image_edit" if edits else "image_generation"
    assert [one.type for one in partial] == [f"{name}.partial_image"] * (2 * painter.partials)
    assert [one.partial_image_index for one in partial] == [0, 1][: len(partial)]
    assert last.type == f"{name}.completed"
    for one in (*partial, last):
        look(base64.b64decode(one.b64_json, validate=True))
    assert (last.usage is not None) == painter.counts


@pytest.mark.feature("images.generate, async")
def test_a_picture_that_nobody_waits_for_is_made(
    door: Door, painter: Painter, studio: Stack
) -> None:
    """C-175 to C-177."""
    client = client_of(studio.url(door.name), studio.licence)
    begun = client.images.generate(
        model=painter.model, prompt="A kite", extra_body={"async": True}
    ).to_dict()
    assert begun["object"] == "image.task" and begun["status"] in ("queued", "in_progress")

    def over() -> openai.types.ImagesResponse | None:
        told = client.get(f"/images/{begun['id']}", cast_to=openai.types.ImagesResponse)
        assert told.to_dict()["status"] != "failed", told
        return told if told.data else None

    told = until(over, START_PATIENCE)  # the worker may only just have been started
    assert told is not None and told.data is not None
    (image,) = told.data
    looked_at(image)


@pytest.mark.feature("chat.completions.create, a picture")
def test_a_chat_shows_the_picture(client: openai.OpenAI, painter: Painter) -> None:
    """C-114."""
    words: Any = [{"role": "user", "content": "A kite"}]
    told = client.chat.completions.create(model=painter.model, messages=words)
    (choice,) = told.choices

    shown(choice.message.content or "")
    assert (choice.finish_reason, told.model) == ("stop", painter.model)


@pytest.mark.feature("error: moderation")
def test_what_breaks_the_rules_is_told_as_openai_tells_it(
    client: openai.OpenAI, door: Door, painter: Painter
) -> None:
    """The platform is asked once: it would say the same again."""
    door.stack.simulators.clear(door.name)
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(model=painter.model, prompt=painter.refusal, stream=stream)
        assert caught.value.code == "moderation_blocked"
    assert len(door.stack.simulators.posts(door.name)) == 2


@pytest.mark.parametrize(
    "fields, error, param",
    [
        ({"model": "no-such-model"}, openai.NotFoundError, "model"),
        ({"model": ""}, openai.BadRequestError, "model"),
        ({"size": "large"}, openai.BadRequestError, "size"),
        ({"n": 11}, openai.BadRequestError, "n"),
        ({"quality": "best"}, openai.BadRequestError, "quality"),
        ({"prompt": ""}, openai.BadRequestError, "prompt"),
        ({"prompt": "A" * 40_000}, openai.BadRequestError, "prompt"),
        ({"user": "A" * 70_000}, openai.BadRequestError, "user"),
        ({"response_format": "png"}, openai.BadRequestError, "response_format"),
        ({"extra_body": {"aspect_ratio": "wide"}}, openai.BadRequestError, "aspect_ratio"),
        ({"extra_body": {"resolution": "8K"}}, openai.BadRequestError, "resolution"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_told_by_its_name(
    client: openai.OpenAI,
    painter: Painter,
    fields: dict[str, Any],
    error: type[openai.APIStatusError],
    param: str,
) -> None:
    """C-134, C-135, C-158, C-168, C-171."""
    wish: Any = {"model": painter.model, "prompt": "A kite", **fields}
    with pytest.raises(error) as caught:
        client.images.generate(**wish)

    assert caught.value.param == param


def test_an_edit_needs_a_picture(client: openai.OpenAI, painter: Painter) -> None:
    """C-161, C-065."""
    for image in (b"hello", GIVEN[:20]):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.edit(model=painter.model, prompt="x", image=image)
        assert caught.value.param == "image"
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/images/edits", cast_to=object, body={"model": painter.model, "prompt": "x"})
    assert caught.value.param == "image"


@pytest.mark.parametrize("stream", [False, True])
def test_a_throttled_key_gives_way_to_the_next(
    door: Door, painter: Painter, gateway: Callable[..., Stack], stream: bool
) -> None:
    """C-125, C-126."""
    keys = key_settings("sim-throttled,sim-good")
    other = replace(door, stack=gateway(**keys, TOKENS_STICKY_SECONDS="0"))
    other.stack.simulators.clear(other.name)
    told: Any = client_of(other.url, other.licence).images.generate(
        model=painter.model, prompt="A kite", stream=stream
    )

    assert list(told)[-1].b64_json if stream else looked_at(told.data[0])
    assert len(other.stack.simulators.posts(other.name)) == 2


def test_what_one_brings_a_token_for_is_asked_with_it(door: Door, painter: Painter) -> None:
    """C-041 to C-044, C-047, C-050: once, and refusals come as they are."""
    door.stack.simulators.clear(door.name)
    headers = {"Tokens-Authorization": door.licence}

    def make(token: str) -> Any:
        own = openai.OpenAI(
            base_url=f"{door.url}/v1", api_key=token, max_retries=0, default_headers=headers
        )
        return own.images.generate(model=painter.model, prompt="A kite")

    looked_at(make("sim-brought").data[0])
    with pytest.raises(openai.RateLimitError):
        make("sim-throttled")

    assert len(door.stack.simulators.posts(door.name)) == 2
