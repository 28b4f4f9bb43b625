"""What a film is to begin from, in every form that callers send it in, on every platform that makes
films: what counts is what the platform is shown.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from app.simulators.films import film
from app.simulators.pictures import picture
from tests.conftest import STUDIO
from tests.platforms.album import shown_at
from tests.platforms.test_videos import Screen
from tests.stack import PATIENCE, Json, Stack

FILMS = {
    "sora": "sora-2",
    "grok": "grok-imagine-video",
    "flow": "veo_3_1",
    "gemini_official": "gemini-omni-1.1-flash",
}
SINGLE = ("sora",)  # takes one picture and no more
MARKS = (b"the-first-reference", b"the-second-reference")  # behind the end of each picture
FIRST, SECOND = (picture(64, 64, "a boat", "png") + mark for mark in MARKS)
TEXT, TEXT_2 = (base64.b64encode(one).decode() for one in (FIRST, SECOND))
DATA_URL, DATA_URL_2 = (f"data:image/png;base64,{text}" for text in (TEXT, TEXT_2))
MP4 = film(1280, 720, 4, "")
LINK = "<link>"  # of the picture on this machine, whose port is known only then


@pytest.fixture(scope="module")
def album() -> Iterator[str]:
    """The address of the first picture on this machine."""
    with shown_at(FIRST) as address:
        yield address


@pytest.fixture(scope="module")
def trusting(album: str, gateway: Callable[..., Stack]) -> Stack:
    """A gateway that may fetch it."""
    return gateway(TOKENS_FETCH_ALLOWED_HOSTS=urlsplit(album).netloc)


@pytest.fixture(params=sorted(FILMS))
def platform(request: pytest.FixtureRequest, trusting: Stack) -> str:
    trusting.simulators.clear(request.param)
    return str(request.param)


def asked_for(stack: Stack, platform: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {stack.licence}"}
    url = f"{stack.url(platform)}/v1/videos"
    return requests.post(url, headers=headers, timeout=PATIENCE, **more)


def in_json(stack: Stack, platform: str, fields: Json) -> requests.Response:
    body = {"model": FILMS[platform], "prompt": "The boat of the picture leaves", **fields}
    return asked_for(stack, platform, json=body)


def in_a_form(stack: Stack, platform: str, parts: list[Any]) -> requests.Response:
    texts = {"model": FILMS[platform], "prompt": "The boat of the picture leaves"}
    fields = [(name, (None, text)) for name, text in texts.items()]
    return asked_for(stack, platform, files=fields + parts)


def shown(stack: Stack, platform: str) -> list[int]:
    """How often the platform was shown each of the two pictures, in the one call that begins a film."""
    (begun,) = stack.simulators.posts(platform)
    body = str(begun["body"])
    marks = MARKS if platform == "sora" else (TEXT.encode(), TEXT_2.encode())
    return [body.count(mark.decode()) for mark in marks]


def checked(stack: Stack, platform: str, told: requests.Response, many: int) -> None:
    if many > 1 and platform in SINGLE:
        assert told.status_code == 400, told.text
        assert told.json()["error"]["param"] == "input_reference"
        assert stack.simulators.posts(platform) == []
        return
    assert told.status_code == 200, told.text
    assert shown(stack, platform) == [1, many - 1]


JSON: dict[str, tuple[Any, int]] = {
    "a link": (LINK, 1),
    "a data URL": (DATA_URL, 1),
    "bare base64": (TEXT, 1),
    "a list of one": ([TEXT], 1),
    "a list of a link": ([LINK], 1),
    "a list of two": ([DATA_URL, TEXT_2], 2),
    "an object with a link": ({"image_url": LINK}, 1),
    "an object with a data URL": ({"image_url": DATA_URL}, 1),
    "an object with base64": ({"image_url": TEXT}, 1),
    "an object in an object": ({"image_url": {"url": DATA_URL}}, 1),
    "a list of objects": ([{"image_url": DATA_URL}, {"image_url": DATA_URL_2}], 2),
}


@pytest.mark.parametrize("field", ["input_reference", "input_references"])
@pytest.mark.parametrize("given, many", JSON.values(), ids=list(JSON))
def test_a_reference_in_json_is_what_the_platform_is_shown(
    trusting: Stack, album: str, platform: str, field: str, given: Any, many: int
) -> None:
    """C-192, C-193, C-194, C-196."""
    linked = _linked(given, album)
    told = in_json(trusting, platform, {field: linked})
    checked(trusting, platform, told, many)


FORMS: dict[str, tuple[list[Any], int]] = {
    "a file": ([("input_reference", ("a.png", FIRST, "image/png"))], 1),
    "a file of no type": ([("input_reference", ("a", FIRST, "application/octet-stream"))], 1),
    "a list of one file": ([("input_reference[]", ("a.png", FIRST))], 1),
    "a list of two": (
        [("input_reference[]", ("a.png", FIRST)), ("input_reference[]", ("b.png", SECOND))],
        2,
    ),
    "a file twice": (
        [("input_reference", ("a.png", FIRST)), ("input_reference", ("b.png", SECOND))],
        2,
    ),
    "the plural": ([("input_references[]", ("a.png", FIRST))], 1),
    "a text": ([("input_reference", (None, DATA_URL))], 1),
    "an object's part": ([("input_reference[image_url]", (None, DATA_URL))], 1),
    "a list's text": ([("input_reference[0]", (None, TEXT))], 1),
}


@pytest.mark.parametrize("parts, many", FORMS.values(), ids=list(FORMS))
def test_a_reference_in_a_form_is_what_the_platform_is_shown(
    trusting: Stack, platform: str, parts: list[Any], many: int
) -> None:
    """C-192, C-195, C-196: both SDKs of OpenAI's send an object as `input_reference[image_url]`."""
    checked(trusting, platform, in_a_form(trusting, platform, parts), many)


@pytest.mark.parametrize(
    "given",
    [{"file_id": "file-1"}, [{"file_id": "file-1"}], "nothing", {"image_url": "%%%"}, 7, {}],
    ids=str,
)
def test_what_is_no_picture_is_told_by_its_field(
    trusting: Stack, platform: str, given: Any
) -> None:
    """C-065, C-066, C-194: files of OpenAI's are not kept here."""
    told = in_json(trusting, platform, {"input_reference": given})
    assert (told.status_code, told.json()["error"]["param"]) == (400, "input_reference"), told.text
    assert trusting.simulators.posts(platform) == []


def test_a_file_by_its_id_is_refused_in_a_form_too(trusting: Stack, platform: str) -> None:
    """C-195."""
    told = in_a_form(trusting, platform, [("input_reference[file_id]", (None, "file-1"))])
    error = told.json()["error"]
    assert (told.status_code, error["param"]) == (400, "input_reference")
    assert "send the file itself" in error["message"]
    assert trusting.simulators.posts(platform) == []


# ---------------------------------------------------------------- of a film that was made here


@pytest.fixture(scope="module")
def films(studio: Stack) -> Callable[[str], str]:
    """A film of each platform, made once."""
    made: dict[str, str] = {}

    def film_of(platform: str) -> str:
        if platform not in made:
            made[platform] = Screen(studio, platform).made(model=FILMS[platform])
        studio.simulators.clear(platform)
        return made[platform]

    return film_of


@pytest.mark.parametrize("name", sorted(FILMS))
@pytest.mark.parametrize("path", ["remix", "edits"])
def test_a_film_is_named_where_it_was_made_and_shown_where_it_has_no_name(
    studio: Stack, films: Callable[[str], str], name: str, path: str
) -> None:
    """C-204."""
    film, screen = films(name), Screen(studio, name)
    wish: Json = {"prompt": "It is red", "model": FILMS[name]}
    wish |= {"video": {"id": film}} if path == "edits" else {}
    answer = screen.call("POST", f"/{film}/remix" if path == "remix" else "/edits", json=wish)

    assert answer.status_code == 200, answer.text
    assert answer.json()["remixed_from_video_id"] == film
    (begun,) = studio.simulators.posts(name)
    is_shown = int(begun["headers"]["content-length"]) > len(MP4)
    assert is_shown == (name == "grok")
    assert screen.ended(answer.json()["id"])["status"] == "completed"


@pytest.mark.parametrize("name", sorted(FILMS))
def test_a_picture_goes_into_a_film_where_there_is_room_for_it(
    studio: Stack, films: Callable[[str], str], name: str
) -> None:
    """C-204: a remix takes references in the same forms, or says that it cannot."""
    film, screen = films(name), Screen(studio, name)
    for given in (DATA_URL, [TEXT], {"image_url": DATA_URL}):
        studio.simulators.clear(name)
        wish = {"prompt": "With this boat", "model": FILMS[name], "input_reference": given}
        answer = screen.call("POST", f"/{film}/remix", json=wish)
        if name in ("sora", "grok"):
            assert answer.status_code == 400, answer.text
            assert answer.json()["error"]["param"] == "input_reference"
            assert studio.simulators.posts(name) == []
        else:
            assert answer.status_code == 200, answer.text
            assert shown(studio, name) == [1, 0]


def test_the_older_engine_goes_on_with_its_own_film(gateway: Callable[..., Stack]) -> None:
    """C-204, C-209: a film of Veo's is made longer by its address; nothing of it is sent."""
    stack = gateway(**STUDIO, TOKENS_FLOW_ENGINE="veo")
    stack.work()
    screen = Screen(stack, "flow")
    film = screen.made(model="veo_3_1")
    wish = {"prompt": "And returns", "model": "veo_3_1", "video": {"id": film}}
    answer = screen.call("POST", "/extensions", json=wish)

    assert answer.status_code == 200, answer.text
    assert screen.ended(answer.json()["id"])["status"] == "completed"


def _linked(given: Any, album: str) -> Any:
    if isinstance(given, list):
        return [_linked(one, album) for one in given]
    if isinstance(given, dict):
        return {name: _linked(one, album) for name, one in given.items()}
    return album if given == LINK else given
