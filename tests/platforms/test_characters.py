"""Characters: made of a film, known to the key that made them and to the licence that asked for them.

The simulator of OpenAI's protocol shows a character to none but the key that made it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import openai
import pytest
import requests

from app.platforms import PLATFORMS
from app.simulators.films import film
from app.simulators.pictures import picture
from tests.conftest import STUDIO
from tests.platforms.test_videos import Screen, error
from tests.stack import PATIENCE, Json, Simulators, Stack

MP4 = film(1280, 720, 4, "")
FILE = ("ada.mp4", MP4, "video/mp4")
BROUGHT = "brought-character-token-77a1"
ROUTE, OLD_ROUTE = "/v1/videos/characters", "/v1/characters"
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

Start = Callable[..., Stack]


@pytest.fixture(scope="module")
def cast(gateway: Start) -> Stack:
    """Two keys, which take turns."""
    stack = gateway(**STUDIO, TOKENS_SORA_KEYS="cast-key-one,cast-key-two")
    stack.work()
    return stack


def call(
    stack: Stack,
    method: str,
    path: str,
    *,
    platform: str = "sora",
    licence: str = "",
    token: str = "",
    **more: Any,
) -> requests.Response:
    licence = licence or stack.licence
    headers = {"Authorization": f"Bearer {token or licence}"}
    headers |= {"Tokens-Authorization": licence} if token else {}
    return requests.request(
        method, stack.url(platform) + path, headers=headers, timeout=PATIENCE, **more
    )


def made(stack: Stack, name: str = "Ada", **more: Any) -> Json:
    answer = call(stack, "POST", ROUTE, data={"name": name}, files={"video": FILE}, **more)
    assert answer.status_code == 200, answer.text
    told: Json = answer.json()
    return told


def looks(stack: Stack) -> list[Json]:
    """How often the platform was asked for a character."""
    asked = stack.simulators.journal("sora")
    return [one for one in asked if one["method"] == "GET" and ROUTE in one["path"]]


# ---------------------------------------------------------------- OpenAI's routes


def test_the_sdk_makes_a_character_and_finds_it_again(cast: Stack) -> None:
    base = f"{cast.url('sora')}/v1"
    client = openai.OpenAI(base_url=base, api_key=cast.licence, max_retries=0, timeout=20)
    cast.simulators.clear("sora")
    one = client.videos.create_character(name="Ada", video=FILE)
    told = client.videos.get_character(str(one.id))

    assert one.name == "Ada" and type(one.created_at) is int
    assert told.to_dict() == one.to_dict()
    (asked,) = cast.simulators.posts("sora")
    assert asked["path"] == ROUTE
    assert 'name="name"\r\n\r\nAda\r\n' in asked["body"]
    assert asked["body"].count('name="video"; filename=') == 1
    (looked,) = looks(cast)
    assert str(one.id) not in looked["path"]  # the id is ours


def test_the_key_that_made_it_is_asked_for_it(cast: Stack) -> None:
    """C-209: each key knows its own characters only, so any other would find nothing."""
    names = [made(cast, f"Ada {number}")["id"] for number in range(4)]
    for _ in range(2):
        for number, name in enumerate(names):
            answer = call(cast, "GET", f"{ROUTE}/{name}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["name"] == f"Ada {number}"


def test_nobody_else_sees_it(cast: Stack) -> None:
    """C-210, R-087."""
    name = made(cast)["id"]
    other = cast.tokens("licence", "add", "--label", "somebody else").strip()
    nobodys = f"char_{'0' * 32}"
    for more in ({"licence": other}, {"token": BROUGHT}, {"platform": "flow"}):
        found = call(cast, "GET", f"{ROUTE}/{name}", **more)
        absent = call(cast, "GET", f"{ROUTE}/{nobodys}", **more)
        assert found.status_code == absent.status_code == 404
        assert error(found)["message"].replace(name, "") == error(absent)["message"].replace(
            nobodys, ""
        )
    assert call(cast, "GET", f"{ROUTE}/{name.upper()}").status_code == 404
    assert call(cast, "GET", f"{ROUTE}/{name}").status_code == 200


def test_it_outlives_the_gateway(simulators: Simulators, gateway: Start, tmp_path: Any) -> None:
    """C-208."""
    stack = Stack(simulators, tmp_path / "own", TOKENS_SORA_KEYS="cast-key-one,cast-key-two")
    try:
        names = [made(stack)["id"] for _ in range(2)]
        stack.restart()
        assert {call(stack, "GET", f"{ROUTE}/{name}").status_code for name in names} == {200}
    finally:
        stack.stop()


@pytest.mark.parametrize(
    "name, file, param",
    [
        ("", FILE, "name"),
        ("A" * 81, FILE, "name"),
        ("Ada", None, "video"),
        ("Ada", ("a.mp4", b"hello", "video/mp4"), "video"),
        ("Ada", ("a.png", picture(8, 8, "a"), "image/png"), "video"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(cast: Stack, name: str, file: Any, param: str) -> None:
    cast.simulators.clear("sora")
    files = {"video": file} if file else {"other": ("a.txt", b"x")}
    answer = call(cast, "POST", ROUTE, data={"name": name}, files=files)

    assert (answer.status_code, error(answer)["param"]) == (400, param), answer.text
    assert cast.simulators.posts("sora") == []


def test_a_throttled_key_gives_way_to_the_next(gateway: Start) -> None:
    """C-125, C-126, C-209."""
    stack = gateway(TOKENS_SORA_KEYS="sim-throttled,sim-good", TOKENS_STICKY_SECONDS="0")
    name = made(stack)["id"]

    assert call(stack, "GET", f"{ROUTE}/{name}").status_code == 200


def test_who_brings_a_token_hears_the_platform_and_finds_what_it_made(cast: Stack) -> None:
    """C-041 to C-044, C-047, C-050."""
    name = made(cast, token=BROUGHT)["id"]
    assert call(cast, "GET", f"{ROUTE}/{name}", token=BROUGHT).json()["name"] == "Ada"
    assert call(cast, "GET", f"{ROUTE}/{name}").status_code == 404  # no key of the pool knows it
    cast.simulators.clear("sora")
    answer = call(cast, "GET", f"{ROUTE}/{name}", token=f"{BROUGHT}-revoked")
    assert (answer.status_code, error(answer)["code"]) == (401, "invalid_api_key")
    assert len(looks(cast)) == 1


# ---------------------------------------------------------------- the older route


def test_the_older_route_takes_a_link(cast: Stack) -> None:
    """C-021: the seconds are seen to be ones, and told to be left out."""
    link = f"data:video/mp4;base64,{base64.b64encode(MP4).decode()}"
    cast.simulators.clear("sora")
    answer = call(cast, "POST", OLD_ROUTE, json={"url": link, "timestamps": "0,3"})

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tokens-dropped"] == "timestamps"
    (asked,) = cast.simulators.posts("sora")
    assert asked["path"] == ROUTE and 'name="video"; filename=' in asked["body"]
    name = answer.json()["id"]
    assert call(cast, "GET", f"{ROUTE}/{name}").json() == answer.json()


def test_the_older_route_takes_a_film_that_was_made_here(cast: Stack) -> None:
    """C-021, C-210."""
    screen = Screen(cast)
    task = screen.made("A boat leaves")
    cast.simulators.clear("sora")
    answer = call(cast, "POST", OLD_ROUTE, json={"from_task": task, "name": "The captain"})

    assert (answer.status_code, answer.json()["name"]) == (200, "The captain"), answer.text
    assert "x-tokens-dropped" not in answer.headers
    (asked,) = cast.simulators.posts("sora")
    assert int(asked["headers"]["content-length"]) > len(MP4)
    both = {"name": "Ada", "video": {"id": task}}
    assert call(cast, "POST", ROUTE, json=both).status_code == 200

    other = cast.tokens("licence", "add", "--label", "somebody else").strip()
    wish = {"from_task": task}
    assert call(cast, "POST", OLD_ROUTE, json=wish, licence=other).status_code == 404
    early = call(cast, "POST", OLD_ROUTE, json={"from_task": screen.begun("simulate: takes=60")})
    assert (early.status_code, error(early)["code"]) == (409, "video_not_ready")


@pytest.mark.parametrize(
    "wish, param",
    [
        ({}, "url"),
        ({"url": "nothing"}, "url"),
        ({"url": "http://127.0.0.1:9/a.mp4"}, "url"),
        ({"url": "x", "timestamps": "3"}, "timestamps"),
        ({"url": "x", "timestamps": "3,3"}, "timestamps"),
        ({"url": "x", "timestamps": [0, 3]}, "timestamps"),
        ({"url": "x", "timestamps": "0,3", "strict": True}, "timestamps"),
    ],
)
def test_what_is_wrong_on_the_older_route_is_told_too(cast: Stack, wish: Json, param: str) -> None:
    """C-021, C-064, C-065."""
    cast.simulators.clear("sora")
    answer = call(cast, "POST", OLD_ROUTE, json=wish)

    assert (answer.status_code, error(answer)["param"]) == (400, param), answer.text
    assert cast.simulators.posts("sora") == []


# ---------------------------------------------------------------- where there are none


@pytest.mark.parametrize("platform", ["flow", "gemini_official", "grok", "claude"])
def test_platforms_without_characters_say_so(cast: Stack, platform: str) -> None:
    """C-027."""
    for method, path in (("POST", ROUTE), ("GET", f"{ROUTE}/char_1"), ("POST", OLD_ROUTE)):
        answer = call(cast, method, path, platform=platform, json={"name": "Ada"})
        assert (answer.status_code, error(answer)["code"]) == (404, "endpoint_not_supported"), path


def test_another_engine_has_none(gateway: Start) -> None:
    """C-021, C-027."""
    stack = gateway(TOKENS_SORA_ENGINE="grok")
    for method, path, status in (
        ("POST", ROUTE, 404),
        ("GET", f"{ROUTE}/char_1", 404),
        ("POST", OLD_ROUTE, 501),
    ):
        answer = call(stack, method, path, json={"name": "Ada", "url": "x"})
        assert (answer.status_code, error(answer)["code"]) == (status, "endpoint_not_supported")


def test_the_address_that_has_no_films_any_more_is_not_asked(gateway: Start) -> None:
    """C-021: the simulator's address is not there at all, so nobody could have answered."""
    stack = gateway(TOKENS_SORA_BASE_URL=PLATFORMS["sora"].base_url)
    gone = call(stack, "POST", ROUTE, data={"name": "Ada"}, files={"video": FILE})
    assert (gone.status_code, error(gone)["code"]) == (410, "model_not_found")
    older = call(stack, "POST", OLD_ROUTE, files={"url": FILE})
    assert (older.status_code, error(older)["code"]) == (501, "endpoint_not_supported")
