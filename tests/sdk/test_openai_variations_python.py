"""Variations of a picture, with the official OpenAI SDK and as plain HTTP.

OpenAI's own went with the model that made them, which the simulator plays where it is told to.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
import requests

from app.simulators.pictures import picture
from tests.sdk.pictures import DRAWING, look, opened
from tests.stack import PATIENCE, Stack, key_settings, until

VARYING = ("chatgpt", "codex", "sora")
SQUARE = picture(64, 64, "given")
TEXT = base64.b64encode(SQUARE).decode()
GONE = "simulate: gone"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=VARYING)
def name(request: pytest.FixtureRequest, stack: Stack) -> Iterator[str]:
    stack.simulators.clear(request.param)
    yield request.param
    stack.simulators.clear(request.param)


@pytest.fixture
def client(name: str, stack: Stack) -> openai.OpenAI:
    base = f"{stack.url(name)}/v1"
    return openai.OpenAI(base_url=base, api_key=stack.licence, max_retries=0, timeout=20)


def post(stack: Stack, name: str, query: str = "", **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {stack.licence}"} | more.pop("headers", {})
    url = f"{stack.url(name)}/v1/images/variations{query}"
    return requests.post(url, headers=headers, timeout=PATIENCE, **more)


def only(told: requests.Response) -> tuple[str, tuple[int, int]]:
    assert told.status_code == 200, told.text
    (one,) = told.json()["data"]
    assert one.keys() == {"b64_json"}
    return look(base64.b64decode(one["b64_json"], validate=True))


def test_a_picture_is_varied(client: openai.OpenAI, name: str, stack: Stack) -> None:
    """C-166, C-168 to C-170: as base64 unless told otherwise, whatever the vendor's habit is."""
    told = client.images.create_variation(image=("a.png", SQUARE), n=2, size="256x256", user="me")

    assert told.data is not None and len(told.data) == 2
    for one in told.data:
        assert one.url is None and one.b64_json is not None
        assert look(base64.b64decode(one.b64_json, validate=True)) == ("image/png", (256, 256))
    (asked,) = stack.simulators.posts(name)
    assert asked["path"] == "/v1/images/variations"
    assert asked["headers"]["content-type"].startswith("multipart/form-data")
    body = asked["body"]
    for field, value in (("model", "dall-e-2"), ("n", "2"), ("user", "me")):
        assert f'name="{field}"\r\n\r\n{value}\r\n' in body
    assert body.count('name="image"; filename=') == 1 and 'name="prompt"' not in body


def test_a_link_to_it_is_one_of_ours(client: openai.OpenAI) -> None:
    """C-116, C-168."""
    told = client.images.create_variation(image=SQUARE, response_format="url", size="512x512")

    (one,) = told.data or []
    assert one.b64_json is None and one.url is not None
    assert opened(one.url) == ("image/png", (512, 512))


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"image": TEXT}},
        {"json": {"image": f"data:image/png;base64,{TEXT}", "n": 1, "size": "1024x1024"}},
        {"json": {"images": [{"image_url": TEXT}], "model": "dall-e-2"}},
        {"files": [("image", ("a.png", SQUARE))]},
        {"files": [("image[]", ("a.png", SQUARE)), ("model", (None, "dall-e-2"))]},
    ],
    ids=["text", "data URL", "object", "file", "list of files"],
)
def test_it_comes_in_every_form(stack: Stack, how: dict[str, Any]) -> None:
    """C-162 to C-166."""
    assert only(post(stack, "chatgpt", **how)) == ("image/png", (1024, 1024))


@pytest.mark.parametrize(
    "fields, param",
    [
        ({}, "image"),
        ({"image": [TEXT, TEXT]}, "image"),
        ({"image": "aGVsbG8="}, "image"),
        ({"image": TEXT, "n": 11}, "n"),
        ({"image": TEXT, "size": "large"}, "size"),
        ({"image": TEXT, "response_format": "png"}, "response_format"),
        ({"image": TEXT, "stream": True}, "stream"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(
    stack: Stack, fields: dict[str, Any], param: str
) -> None:
    """C-161, C-168, and nobody is asked."""
    stack.simulators.clear("chatgpt")
    told = post(stack, "chatgpt", json=fields)

    assert (told.status_code, told.json()["error"]["param"]) == (400, param), told.text
    assert stack.simulators.posts("chatgpt") == []


def test_what_the_vendor_finds_wrong_is_told_as_it_is(client: openai.OpenAI, name: str) -> None:
    """C-185: a picture that is not square, and a model that is gone."""
    with pytest.raises(openai.BadRequestError) as oblong:
        client.images.create_variation(image=("a.png", picture(64, 48, "given")))
    with pytest.raises(openai.NotFoundError) as gone:
        client.images.create_variation(image=SQUARE, user=GONE)

    assert oblong.value.param == "image" and gone.value.code == "model_not_found"


@pytest.mark.parametrize("name", sorted(set(DRAWING) - set(VARYING)))
def test_where_the_vendor_has_none_there_are_none(stack: Stack, name: str) -> None:
    """C-027."""
    stack.simulators.clear(name)
    told = post(stack, name, json={"image": TEXT, "model": "dall-e-2"})

    assert (told.status_code, told.json()["error"]["code"]) == (404, "endpoint_not_supported")
    assert stack.simulators.posts(name) == []


def test_a_platform_without_pictures_has_none_either(stack: Stack) -> None:
    """C-027."""
    told = post(stack, "claude", json={"image": TEXT})
    assert (told.status_code, told.json()["error"]["code"]) == (404, "endpoint_not_supported")


def test_a_throttled_key_gives_way_to_the_next(
    name: str, gateway: Callable[..., Stack], stack: Stack
) -> None:
    """C-125, C-126."""
    keys = key_settings("sim-throttled,sim-good")
    other = gateway(**keys, TOKENS_STICKY_SECONDS="0")
    told = post(other, name, json={"image": TEXT})

    only(told)
    assert told.headers["x-tokens-attempts"] == "2"
    assert len(stack.simulators.posts(name)) == 2


def test_who_brings_a_token_hears_the_vendor_word_for_word(stack: Stack, name: str) -> None:
    """C-042 to C-044, C-047, C-050."""
    headers = {"Authorization": "Bearer sim-own", "Tokens-Authorization": stack.licence}
    only(post(stack, name, json={"image": TEXT}, headers=headers))
    told = post(stack, name, json={"image": TEXT, "user": GONE}, headers=headers)

    message = "The model 'dall-e-2' does not exist."
    assert told.status_code == 404 and told.json()["error"]["message"] == message
    assert len(stack.simulators.posts(name)) == 2


def test_nobody_need_wait_for_it(studio: Stack) -> None:
    """C-174, C-177."""
    task = post(studio, "chatgpt", "?async=true", json={"image": TEXT, "size": "256x256"}).json()
    headers = {"Authorization": f"Bearer {studio.licence}"}
    url = f"{studio.url('chatgpt')}/v1/images/{task['id']}"

    def found() -> Any:
        told = requests.get(url, headers=headers, timeout=PATIENCE)
        return told if told.json()["status"] in ("completed", "failed") else None

    assert task["model"] == "dall-e-2"
    assert only(until(found, 60)) == ("image/png", (256, 256))


def test_a_licence_for_other_models_does_not_cover_it(stack: Stack) -> None:
    """The model counts, even where nobody has named it."""
    other = stack.tokens("licence", "add", "--label", "g", "--models", "gpt-*").strip()
    told = post(stack, "chatgpt", json={"image": TEXT}, headers={"Authorization": other})

    assert (told.status_code, told.json()["error"]["code"]) == (403, "forbidden")
