"""The official OpenAI SDK for Python, Videos, on every platform that makes films, and on Sora with
each engine that can stand in for its own.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from app.simulators.pictures import picture
from tests.conftest import STUDIO
from tests.sdk.films import AT_ONCE, ENGINES, HOUSES, LATER, MP4, NO_HOUSES, House
from tests.sdk.test_openai_python import opened as client_of
from tests.stack import START_PATIENCE, Stack

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
TEXT = {"id", "object", "model", "seconds", "size", "status"}
LINK = re.compile(r"\[video\]\((http://[^)?]+\.mp4)\)\n\n(video_[0-9a-f]{32})")
NOBODYS = "video_" + "0" * 32


def opened(house: House) -> openai.OpenAI:
    """With patience: a chat about a film takes as long as the film."""
    return client_of(house.url, house.licence).with_options(timeout=START_PATIENCE)


def made(house: House, prompt: str, **more: Any) -> Any:
    """A film, when it is done."""
    return opened(house).videos.create_and_poll(
        model=house.model, prompt=prompt, poll_interval_ms=100, **more
    )


@pytest.fixture(params=HOUSES, scope="module")
def house(request: pytest.FixtureRequest, studio: Stack, gateway: Callable[..., Stack]) -> House:
    """A scope wider than a test keeps the tests of one house, and so its film and its gateway, together."""
    name = str(request.param)
    if name in ENGINES:
        studio = gateway(**STUDIO, TOKENS_SORA_ENGINE=ENGINES[name])
        studio.work()
    return House(name, studio)


@pytest.fixture(scope="module")
def ready(house: House) -> Any:
    """A film that is there, for who only looks at it."""
    video = made(house, f"A boat waits in the harbour, for {house.name}")
    assert video.status == "completed", video.error
    return video


@pytest.fixture
def client(house: House) -> openai.OpenAI:
    return opened(house)


def fits(video: Any) -> None:
    """C-197 to C-200: every field that the SDK's type names, as the type names it."""
    told = video.to_dict()
    assert {name for name in TEXT if isinstance(told[name], str)} == TEXT
    assert told["object"] == "video"
    assert told["status"] in ("queued", "in_progress", "completed", "failed")
    assert type(told["progress"]) is int and 0 <= told["progress"] <= 100
    assert type(told["created_at"]) is int
    for name in ("completed_at", "expires_at"):
        assert told[name] is None or type(told[name]) is int
    assert {"error", "prompt", "remixed_from_video_id"} <= told.keys()


def ends_well(client: openai.OpenAI, video: Any) -> None:
    fits(video)
    video = client.videos.poll(video.id, poll_interval_ms=100)
    assert video.status == "completed", video.error
    assert client.videos.download_content(video.id).read() == MP4


# ---------------------------------------------------------------- making


@pytest.mark.feature("videos.create_and_poll")
def test_a_film_is_made(house):
    """C-191, C-197 to C-200: by who should, under the name that was asked for."""
    house.stack.simulators.clear(house.maker)
    prompt = f"A boat leaves the harbour, for {house.name}"
    video = made(house, prompt)

    fits(video)
    assert video.status == "completed", video.error
    assert (video.progress, video.prompt, video.model) == (100, prompt, house.model)
    assert video.completed_at is not None and video.completed_at >= video.created_at
    assert video.expires_at is not None and video.expires_at > video.created_at
    assert int(video.seconds) > 0
    assert any(prompt in str(one["body"]) for one in house.stack.simulators.journal(house.maker))


@pytest.mark.parametrize("variant", ["thumbnail", "spritesheet"])
def test_a_film_has_pictures_where_its_platform_makes_any(client, house, ready, variant):
    """C-202."""
    if house.name != "sora":
        with pytest.raises(openai.NotFoundError) as refusal:
            client.videos.download_content(ready.id, variant=variant)
        assert refusal.value.param == "variant"
        return
    content = client.videos.download_content(ready.id, variant=variant)
    assert content.response.headers["content-type"] == "image/webp"
    assert content.read()[8:12] == b"WEBP"


@pytest.mark.feature("videos.create, input_reference")
def test_a_film_from_a_picture_is_asked_for_in_a_form(house):
    """C-192, C-195: the picture is what the platform is shown."""
    reference = ("boat.png", io.BytesIO(picture(1280, 720, "a boat", "png")), "image/png")
    house.stack.simulators.clear(house.maker)
    video = made(house, "The boat of the picture leaves", input_reference=reference)

    fits(video)
    assert video.status == "completed", video.error
    assert opened(house).videos.download_content(video.id).read() == MP4
    begun = [one for one in house.stack.simulators.journal(house.maker) if one["method"] == "POST"]
    assert any(int(one["headers"]["content-length"]) > 500 for one in begun)


def test_whoever_stands_in_is_named(client, house):
    """In the answer and whenever the film is looked at; nobody is named where nobody stands in."""
    engine = house.maker if house.maker != house.platform else None
    raw = client.videos.with_raw_response.create(model=house.model, prompt="A boat passes")
    assert raw.headers.get("x-tokens-engine") == engine
    seen = client.videos.with_raw_response.retrieve(raw.parse().id)
    assert seen.headers.get("x-tokens-engine") == engine


CHANGES = [
    pytest.param(
        lambda client, **more: client.videos.edit(**more),
        id="edited",
        marks=pytest.mark.feature("videos.edit, a film of one's own"),
    ),
    pytest.param(
        lambda client, **more: client.videos.extend(**more, seconds="8"),
        id="longer",
        marks=pytest.mark.feature("videos.extend, a film of one's own"),
    ),
]


@pytest.mark.feature("videos.remix")
def test_a_film_is_made_anew_of_another(client, ready):
    """C-204, C-205: OpenAI's SDK names no model."""
    video = client.videos.remix(ready.id, prompt="The boat is red")
    assert video.remixed_from_video_id == ready.id and video.model == ready.model
    ends_well(client, video)


@pytest.mark.parametrize("call", CHANGES)
def test_a_film_of_the_callers_own_is_changed(client, house, call):
    """The SDK sends the film and has no field for a model: the platform's usual one works on it."""
    own: Any = {"prompt": "The boat comes back", "video": ("boat.mp4", MP4, "video/mp4")}
    ends_well(client, call(client, **own))


@pytest.mark.feature("chat.completions.create, a film")
def test_a_chat_ends_with_a_link_to_the_film(client, house):
    """C-115: the link opens without a key; the film's name stands on a line of its own."""
    words: Any = [{"role": "user", "content": "A boat leaves"}]
    told = client.chat.completions.create(model=house.model, messages=words)
    (choice,) = told.choices
    assert (choice.finish_reason, told.model) == ("stop", house.model)
    found = LINK.fullmatch(choice.message.content or "")
    assert found, choice.message.content
    answer = httpx2.get(found[1])
    assert (answer.status_code, answer.content) == (200, MP4)
    assert client.videos.retrieve(found[2]).status == "completed"


# ---------------------------------------------------------------- looking


@pytest.mark.feature("videos.retrieve")
def test_a_film_that_is_on_its_way_says_when_to_look_again(client, house):
    """C-197, C-203: the SDK polls as it is told to, and is not told to try content again."""
    raw = client.videos.with_raw_response.create(
        model=house.model, prompt="A slow boat\nsimulate: takes=30"
    )
    begun = raw.parse()
    assert 500 <= int(raw.headers["openai-poll-after-ms"]) <= 5500
    video = client.videos.retrieve(begun.id)
    fits(video)
    assert video.status in ("queued", "in_progress")
    assert (video.completed_at, video.expires_at, video.error) == (None, None, None)

    with pytest.raises(openai.ConflictError) as refusal:
        client.videos.download_content(video.id)
    assert refusal.value.code == "video_not_ready"
    assert refusal.value.response.headers["x-should-retry"] == "false"


@pytest.mark.feature("videos.list")
def test_films_are_listed_from_the_newest(client, house):
    """C-211: page by page, as the SDK turns them."""
    older, newer = (
        client.videos.create(model=house.model, prompt=f"A boat, {word}").id
        for word in ("older", "newer")
    )
    page = client.videos.list(limit=1)
    assert [one.id for one in page.data] == [newer]
    fits(page.data[0])
    assert [one.id for one in page.get_next_page().data] == [older]


@pytest.mark.feature("videos.download_content")
def test_a_film_comes_whole(client, ready):
    """C-202."""
    content = client.videos.download_content(ready.id)
    assert content.read() == MP4
    assert content.response.headers["content-type"] == "video/mp4"
    assert content.response.headers["content-length"] == str(len(MP4))


@pytest.mark.feature("videos.download_content, Range")
def test_a_film_comes_in_parts(client, ready):
    """C-202."""
    part = client.videos.download_content(ready.id, extra_headers={"Range": "bytes=4-11"})
    assert (part.response.status_code, part.read()) == (206, MP4[4:12])
    assert part.response.headers["content-range"] == f"bytes 4-11/{len(MP4)}"


@pytest.mark.feature("videos.delete")
def test_a_film_is_deleted(client, house):
    """C-211: it is nowhere any more."""
    video = made(house, "A boat is lost")
    gone = client.videos.delete(video.id)
    assert gone.to_dict() == {"id": video.id, "object": "video.deleted", "deleted": True}
    for look in (client.videos.retrieve, client.videos.download_content):
        with pytest.raises(openai.NotFoundError):
            look(video.id)
    assert video.id not in {one.id for one in client.videos.list(limit=5).data}


# ---------------------------------------------------------------- no film


@pytest.mark.feature("error: a film that fails")
def test_a_film_that_fails_says_why(house):
    """C-190, C-198, C-203."""
    video = made(house, "A boat sinks\nsimulate: failed")
    fits(video)
    assert video.status == "failed" and video.error.code and video.error.message
    assert video.completed_at is None
    with pytest.raises(openai.APIStatusError) as refusal:
        opened(house).videos.download_content(video.id)
    assert refusal.value.status_code == 410


@pytest.mark.feature("error: moderation")
def test_what_breaks_the_rules_is_told(house):
    """C-190: at once where the platform says so at once, else by the film."""
    if house.refusal == LATER:
        video = made(house, f"A bad boat\n{LATER}")
        assert (video.status, video.error.code) == ("failed", "moderation_blocked")
        return
    with pytest.raises(openai.BadRequestError) as caught:
        made(house, f"A bad boat\n{AT_ONCE}")
    assert caught.value.code == "moderation_blocked"


CALLS: dict[str, Callable[[openai.OpenAI], Any]] = {
    "videos.create_and_poll": lambda client: client.videos.create_and_poll(prompt="A boat"),
    "videos.create, input_reference": lambda client: client.videos.create(
        prompt="A boat", input_reference=io.BytesIO(picture(1280, 720, "a boat", "png"))
    ),
    "videos.retrieve": lambda client: client.videos.retrieve(NOBODYS),
    "videos.list": lambda client: client.videos.list(),
    "videos.delete": lambda client: client.videos.delete(NOBODYS),
    "videos.remix": lambda client: client.videos.remix(NOBODYS, prompt="It is red"),
    "videos.edit, a film of one's own": lambda client: client.videos.edit(
        prompt="It is red", video=MP4
    ),
    "videos.extend, a film of one's own": lambda client: client.videos.extend(
        prompt="It goes on", seconds="8", video=MP4
    ),
    "videos.download_content": lambda client: client.videos.download_content(NOBODYS),
    "videos.download_content, Range": lambda client: client.videos.download_content(
        NOBODYS, extra_headers={"Range": "bytes=4-11"}
    ),
}
FEATURES = [
    pytest.param(call, id=name, marks=pytest.mark.feature(name)) for name, call in CALLS.items()
]


@pytest.mark.parametrize("door", NO_HOUSES, indirect=True)
@pytest.mark.parametrize("call", FEATURES)
def test_who_makes_no_films_says_so(door, call, refused):
    """C-027."""
    with pytest.raises(openai.NotFoundError) as caught:
        call(client_of(door.url, door.licence))
    assert caught.value.code == "endpoint_not_supported"
    refused(caught.value)
