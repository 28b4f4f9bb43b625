"""The official OpenAI SDK for Python, Videos, on every platform that makes films."""

from __future__ import annotations

import io
from typing import Any

import openai
import pytest

from app.simulators.films import film
from app.simulators.pictures import picture
from tests.stack import Stack

FILMS = {
    "sora": "sora-2",
    "grok": "grok-imagine-video",
    "flow": "veo_3_1",
    "gemini_official": "gemini-omni-1.1-flash",
}
MP4 = film(1280, 720, 4, "")
pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")
TEXT = {"id", "object", "model", "seconds", "size", "status"}


@pytest.fixture(params=sorted(FILMS))
def platform(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(platform: str, studio: Stack) -> openai.OpenAI:
    base = f"{studio.url(platform)}/v1"
    return openai.OpenAI(base_url=base, api_key=studio.licence, max_retries=0, timeout=20)


def made(client: openai.OpenAI, platform: str, prompt: str, **more: Any) -> Any:
    """A film, when it is done."""
    return client.videos.create_and_poll(
        model=FILMS[platform], prompt=prompt, poll_interval_ms=100, **more
    )


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


def test_a_film_is_made_looked_at_listed_and_deleted(client, platform):
    """C-191, C-197 to C-200, C-202, C-211."""
    prompt = f"A boat leaves the harbour, for {platform}"
    video = made(client, platform, prompt)

    fits(video)
    assert (video.status, video.progress, video.error) == ("completed", 100, None)
    assert (video.model, video.prompt) == (FILMS[platform], prompt)
    assert video.completed_at >= video.created_at and video.expires_at > video.completed_at
    assert int(video.seconds) > 0

    content = client.videos.download_content(video.id)
    assert content.read() == MP4
    assert content.response.headers["content-type"] == "video/mp4"

    newest = next(iter(client.videos.list(limit=1)))
    assert newest.to_dict() == video.to_dict()

    gone = client.videos.delete(video.id)
    assert gone.to_dict() == {"id": video.id, "object": "video.deleted", "deleted": True}
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)
    assert video.id not in {one.id for one in client.videos.list(limit=5).data}


@pytest.mark.parametrize("variant", ["thumbnail", "spritesheet"])
def test_a_film_has_pictures_where_its_platform_makes_any(client, platform, variant):
    """C-202."""
    video = made(client, platform, f"A boat, for its {variant}")
    if platform != "sora":
        with pytest.raises(openai.NotFoundError) as refusal:
            client.videos.download_content(video.id, variant=variant)
        assert refusal.value.param == "variant"
        return
    content = client.videos.download_content(video.id, variant=variant)
    assert content.response.headers["content-type"] == "image/webp"
    assert content.read()[8:12] == b"WEBP"


def test_a_film_from_a_picture_is_asked_for_in_a_form(client, platform, studio):
    """C-192, C-195: the picture is what the platform is shown."""
    reference = ("boat.png", io.BytesIO(picture(1280, 720, "a boat", "png")), "image/png")
    studio.simulators.clear(platform)
    video = made(client, platform, "The boat of the picture leaves", input_reference=reference)

    fits(video)
    assert video.status == "completed", video.error
    assert client.videos.download_content(video.id).read() == MP4
    begun = [one for one in studio.simulators.journal(platform) if one["method"] == "POST"]
    assert any(int(one["headers"]["content-length"]) > 500 for one in begun)


def test_a_film_that_is_on_its_way_says_when_to_look_again(client, platform):
    """C-197, C-203: the SDK polls as it is told to, and is not told to try content again."""
    raw = client.videos.with_raw_response.create(
        model=FILMS[platform], prompt="A slow boat\nsimulate: takes=30"
    )
    video = raw.parse()
    fits(video)
    assert (video.completed_at, video.expires_at, video.error) == (None, None, None)
    assert 500 <= int(raw.headers["openai-poll-after-ms"]) <= 5500

    with pytest.raises(openai.ConflictError) as refusal:
        client.videos.download_content(video.id)
    assert refusal.value.code == "video_not_ready"
    assert refusal.value.response.headers["x-should-retry"] == "false"


def test_a_film_is_made_anew_of_another(client, platform, studio):
    """C-204, C-205: OpenAI's SDK names no model."""
    first = made(client, platform, "A boat leaves")
    video = client.videos.remix(first.id, prompt="The boat is red")
    fits(video)
    assert video.remixed_from_video_id == first.id and video.model == first.model

    video = client.videos.poll(video.id, poll_interval_ms=100)
    assert video.status == "completed", video.error
    assert client.videos.download_content(video.id).read() == MP4


def test_a_film_that_fails_says_why(client, platform):
    """C-190, C-198, C-203."""
    video = made(client, platform, "A boat sinks\nsimulate: failed")
    fits(video)
    assert video.status == "failed" and video.error.code and video.error.message
    assert video.completed_at is None
    with pytest.raises(openai.APIStatusError) as refusal:
        client.videos.download_content(video.id)
    assert refusal.value.status_code == 410
